"""The whole experiment as config.yaml states it, checked before any job runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from refine_af.settings.browser import Browser
from refine_af.settings.checkpoints import Model
from refine_af.settings.compute import Compute
from refine_af.settings.demo import Demo
from refine_af.settings.diversity import Diversity
from refine_af.settings.fetch import Fetch
from refine_af.settings.fields import Count, Distinct, FilePath, Method, Name, Section
from refine_af.settings.forecast import Forecast
from refine_af.settings.instances import Instances
from refine_af.settings.instructions import Instructions
from refine_af.settings.neighbours import NeighbourTexts
from refine_af.settings.overlap import OverlapBounds
from refine_af.settings.ppo import Ppo
from refine_af.settings.prompts import Prompts
from refine_af.settings.ratings import Ratings
from refine_af.settings.release import Release
from refine_af.settings.replicates import Replicates
from refine_af.settings.report import Report
from refine_af.settings.reward import Reward
from refine_af.settings.servers import Server
from refine_af.settings.sft import Sft
from refine_af.settings.subsets import Subsets
from refine_af.settings.superni import Superni
from refine_af.settings.users import Users
from refine_af.settings.watch import Watch

GENERATING = ("instructions", "instances", "superni", "users")  # the stages with an engine
MOST_SEGMENTS = 1000  # a segment's job names all before it: planning more takes minutes


class Data(Section):
    seeds: FilePath = Field(
        description="JSON lines with the human-written seed tasks (paper III-A: the 175 of SI)."
    )
    user_instructions: FilePath = Field(
        description="JSON lines with the user-oriented instructions (paper IX-E: the 252 of SI)."
    )
    superni: FilePath = Field(description="Folder with Super-NI's test tasks (paper III-B: 119).")


class Experiment(Section):
    models: Annotated[dict[Name, Model], Field(min_length=1)] = Field(
        description="The backbones by name (paper III-A)."
    )
    sizes: Annotated[tuple[Count, ...], Field(min_length=1, strict=False), Distinct] = Field(
        description="Numbers of instructions to fine-tune on, nested in one pool (paper table II); "
        "or, by subsets.count, of instances (ours)."
    )
    subsets: Subsets = Field(description="What a size counts, and which of them it has (ours).")
    methods: Annotated[tuple[Method, ...], Field(min_length=1, strict=False), Distinct] = Field(
        description="Who writes the instances: the untouched backbone, or the one that PPO "
        "trained (paper III-A)."
    )
    replicates: Replicates = Field(
        description="How often trainings are repeated with another seed; more only add jobs (ours)."
    )
    data: Data = Field(description="The data that the stages read (paper III).")
    prompts: Prompts = Field(description="The prompt files (paper IX-C, IX-D; SI; T-k).")
    fetch: Fetch | None = Field(
        description="What is fetched, from where, with which digests; null where nothing is (ours)."
    )
    instructions: Instructions = Field(
        description="Stage 1, the pool of instructions (paper II-B)."
    )
    ppo: Ppo = Field(description="Stage 2, PPO of the instance generator (paper II-C).")
    reward: Reward = Field(
        description="How instances are scored, in stages 2 and 3 (paper table I, Eq. 1)."
    )
    instances: Instances = Field(
        description="Stage 3, input and output for every instruction (paper II-D)."
    )
    sft: Sft = Field(description="Fine-tuning (paper III-A).")
    superni: Superni = Field(description="The evaluation on Super-NI (paper III-B).")
    users: Users = Field(description="The replies to the user-oriented instructions (paper IX-E).")
    neighbours: NeighbourTexts = Field(
        description="Which texts each instruction of the pool is nearest to (paper IV-A, figures 4 "
        "and 5)."
    )
    diversity: Diversity | None = Field(
        description="Verb and noun of each instruction, by a parser of English; null leaves it out "
        "(paper IV-A, figure 8)."
    )
    overlap: OverlapBounds = Field(
        description="What instances share with the evaluation sets (ours)."
    )
    browser: Browser = Field(
        description="The page to browse a model's data on, results/browser_<model>.html (ours)."
    )
    ratings: Ratings = Field(
        description="Ratings by people, blind, on a page for each model (paper figure 6, table IV)."
    )
    report: Report = Field(description="The report on the run (paper III).")
    release: Release = Field(
        description="The data of all models as one data set for the hub, results/release/ (ours)."
    )
    watch: Watch = Field(
        description="What a stage watches as it runs; a change reruns nothing (ours)."
    )
    servers: dict[Name, Server] = Field(
        description="By model, the servers of the stages whose engine is server, at an address or "
        "started by each job; by its name in reward.llm_judge, the judge's (ours)."
    )
    forecast: Forecast = Field(
        description="What a run will cost, before it runs; a change reruns nothing (ours)."
    )
    demo: Demo | None = Field(description="The embedded demo's tiny models, or null (ours).")
    compute: Compute = Field(
        description="What a job of each stage asks of the machine; a change reruns nothing (ours)."
    )

    @model_validator(mode="after")
    def has_a_server_for_each_model(self) -> Experiment:
        judge = {self.reward.llm_judge.server} if self.reward.llm_judge else set[str]()
        if absent := judge - self.servers.keys():
            raise ValueError(f"reward.llm_judge.server: servers names no {min(absent)!r}")
        if started := [name for name in judge if self.servers[name].start]:
            raise ValueError(
                f"servers.{started[0]}.start: a judge is asked at an address, so this needs url"
            )
        if unknown := self.servers.keys() - self.models.keys() - judge:
            raise ValueError(
                f"servers.{min(unknown)}: there is no such model; an entry bears the name of its "
                f"model, here {', '.join(self.models)}"
            )
        return self

    @model_validator(mode="after")
    def can_ask_its_servers(self) -> Experiment:
        asking = [stage for stage in GENERATING if getattr(self, stage).engine == "server"]
        lacking = sorted(self.models.keys() - self.servers.keys())
        if asking and lacking:
            raise ValueError(
                f"{asking[0]}.engine is server, and servers names none for {lacking[0]!r}"
            )
        plain = [name for name in self.models if asking and self.servers[name].prompts == "text"]
        if chatting := [name for name in plain if self.models[name].chat]:
            raise ValueError(
                f"models.{chatting[0]}.chat: true, where servers.{chatting[0]}.prompts: text sends "
                "a prompt as it stands: say prompts: tokens, or chat: false and write the model's "
                f"markup into the prompt files, or {asking[0]}.engine: transformers"
            )
        return self

    @model_validator(mode="after")
    def asks_for_what_exists(self) -> Experiment:
        most = self.subsets.pool if self.subsets.order == "random" else max(self.sizes)
        counts = self.subsets.count == "instances"
        share = self.watch.subsets.least_kept if counts else 1.0
        if most > MOST_SEGMENTS * self.instructions.segment_size * share:
            kept = f", {share:g} of whose instructions are kept (watch.subsets.least_kept)"
            raise ValueError(
                f"sizes: {most} needs more than {MOST_SEGMENTS:,} segments of "
                f"{self.instructions.segment_size} (instructions.segment_size)"
                f"{kept if counts else ''}"
            )
        if self.ppo.rollouts > self.instructions.segment_size:
            raise ValueError(
                f"ppo.rollouts {self.ppo.rollouts} exceeds the {self.instructions.segment_size} "
                "instructions of the pool's first segment (instructions.segment_size), which PPO "
                "reads"
            )
        return self

    @model_validator(mode="after")
    def draws_from_what_the_pool_has(self) -> Experiment:
        if self.subsets.order == "random" and max(self.sizes) > self.subsets.pool:
            raise ValueError(
                f"sizes: {max(self.sizes)} exceeds subsets.pool {self.subsets.pool}, the first "
                f"{self.subsets.count} that random subsets are drawn from. Another subsets.pool "
                "draws all of them anew"
            )
        return self

    @model_validator(mode="after")
    def has_a_part_for_each_gpu(self) -> Experiment:
        steps, gpus = self.sft.gradient_accumulation_steps, self.compute.sft.gpus
        if steps % gpus:
            raise ValueError(
                f"compute.sft.gpus: {gpus} GPUs cannot share sft.gradient_accumulation_steps "
                f"{steps} evenly, and the batch of an update does not change with the hardware"
            )
        return self

    @model_validator(mode="after")
    def prompts_baselines_that_there_are(self) -> Experiment:
        if unknown := self.prompts.baselines.keys() - self.superni.baselines.keys():
            raise ValueError(f"prompts.baselines.{min(unknown)}: none of superni.baselines")
        return self
