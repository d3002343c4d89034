"""An experiment as the rules ask for it: its axes, where files stand, and what jobs are handed."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

from refine_af.jobs.command_line import canonical
from refine_af.jobs.sources import code_digest
from refine_af.records.cells import BASE
from refine_af.records.human_tasks import checked_by_rule
from refine_af.records.subsets import counting
from refine_af.rewards.equation_1 import judges_of
from refine_af.rewards.own_code import homes, own_code
from refine_af.settings.compute import MOST_SHARDS, Machine
from refine_af.settings.experiment import Experiment
from refine_af.workflow.forecast_plan import ForecastPlan
from refine_af.workflow.instances_plan import InstancesPlan, Tracked, Untracked
from refine_af.workflow.judge_plan import JudgePlan
from refine_af.workflow.paths import checkpoint_folder, hub_folders, hub_name, role_of
from refine_af.workflow.replicates import Replicates
from refine_af.workflow.segments import Segments
from refine_af.workflow.servers_plan import ServersPlan

# The files of fetch_file, by the keys of config.yaml's section fetch.
PUBLISHED = ("seed_tasks", "user_oriented_instructions", "gpt3_instances")


class Plan:
    """What the rules ask of an experiment. Whatever needs another rule stands in common.smk.

    `root` is the Snakefile's folder as seen from the experiment's: relative, so that both may move
    together.
    """

    def __init__(self, experiment: Experiment, root: Path) -> None:
        self.experiment, self.root = experiment, root
        self.models = list(experiment.models)
        self.methods = list(experiment.methods)
        self.sizes = list(experiment.sizes)
        self.segments = Segments(experiment)
        self.baselines = list(experiment.superni.baselines)
        self.replicates = Replicates(experiment)
        self.tuned = self.replicates.tuned
        self.cells = self.baselines + self.tuned
        self.rated = list(experiment.ratings.files)
        self.archives = experiment.fetch.parsers if experiment.fetch else {}
        # Of a scorer of the user's own: an edit reruns what it scored.
        self.scorer = own_code(experiment.reward.scorer, homes(root))
        self.instances = InstancesPlan(experiment, self.located)
        self.servers = ServersPlan(experiment, self.located)
        self.asked_judge = JudgePlan(experiment, self.located)
        self.forecast = ForecastPlan(experiment, root, self.located)
        self.parts = list(range(MOST_SHARDS))  # of a cell's predictions on Super-NI
        self.evaluation_shards = list(range(experiment.compute.superni.shards))

    def parts_of(self, shard: int) -> list[int]:
        """Which parts of a cell's predictions a job of the evaluation takes."""
        return self.parts[shard :: len(self.evaluation_shards)]

    def rated_cells(self) -> list[str]:
        """The cells whose replies people rate, in the order of ratings.page.methods."""
        methods = self.experiment.ratings.page.methods
        return [name if name == BASE else f"{name}_{self.rated_size}" for name in methods]

    @property
    def checked_by_rule(self) -> bool:
        """Whether a rule can check the replies to the user-oriented instructions."""
        return checked_by_rule(Path(self.located(self.experiment.data.user_instructions)))

    @property
    def rated_size(self) -> int:
        """The size whose cells people rate: the largest where none is named."""
        return self.experiment.ratings.page.size or max(self.sizes)

    def axes(self, rule: str) -> dict[str, list[str]]:
        """The values that a rule's wildcards have in this experiment."""
        whole = self.experiment
        made_here = whole.demo.backbones if whole.demo else ()
        named = {"fetch_file": PUBLISHED, "fetch_parser": self.archives}
        own = {"sft": self.tuned, "users_predictions": [BASE, *self.tuned]}
        return {
            "model": self.rated if rule == "ratings_summary" else self.models,
            "method": self.replicates.data_sets,
            "segment": list(map(str, self.segments.possible)),
            "size": list(map(str, self.sizes)) if self.segments.grows else [],
            "cell": own.get(rule, self.cells),
            "replicate": self.replicates.ppo,
            "checkpoint": hub_folders(whole),
            "name": list(named.get(rule, made_here)),
        }

    # Where files stand.

    def located(self, path: str) -> str:
        """A path of config.yaml: results/ is the experiment's, any other the project's."""
        return path if path.startswith("results/") else str(self.root / Path(path).expanduser())

    def checkpoint(self, named: str) -> str:
        """The folder of a checkpoint that config.yaml names."""
        return self.located(checkpoint_folder(named))

    def backbone(self, wildcards: Any) -> str:
        """The folder of a model's backbone."""
        return self.checkpoint(self.experiment.models[wildcards.model].checkpoint)

    def chat(self, wildcards: Any) -> str:
        """Whether a model's prompts go through its chat template, as a job is told."""
        return "true" if self.experiment.models[wildcards.model].chat else "false"

    def judge(self, key: str) -> Callable[[Any], str | list[str]]:
        """The checkpoint of one of the scorer's judges, unless config.yaml says null."""
        if named := judges_of(self.experiment.reward).get(key):
            return lambda wildcards: self.checkpoint(named)
        own = key == "model" and self.experiment.reward.scorer == "likelihood"
        return self.backbone if own else lambda wildcards: []

    def evaluated_prompt(self, wildcards: Any) -> str:
        """A baseline's own prompt, or the one that every tuned cell is given."""
        prompts = self.experiment.prompts
        return self.located(prompts.baselines.get(wildcards.cell, prompts.superni))

    def returned_ratings(self, wildcards: Any) -> list[str]:
        """The files of ratings of a model that came back."""
        return [self.located(path) for path in self.experiment.ratings.files[wildcards.model]]

    def fetched_checkpoint(self, wildcards: Any) -> str:
        """The organisation/name@revision of a folder in results/checkpoints/."""
        return hub_name(f"results/checkpoints/{wildcards.checkpoint}", self.experiment)

    def fetched_role(self, wildcards: Any, threads: int) -> str:
        """What it is fetched for: as a judge its weights may be pickles. It decides no byte."""
        return role_of(self.fetched_checkpoint(wildcards), self.experiment)

    # What jobs are handed, and what of it counts. Each is given by a function: in a plain string
    # Snakemake would take {braces} for wildcards.

    def section(self, *names: str) -> Tracked:
        """A section of config.yaml, or one within it, as one canonical string."""
        text = canonical(self._section(names))
        return lambda wildcards: text

    def subsets(self) -> Tracked:
        """What a size counts, and which of them it has."""
        text = canonical(counting(self.experiment.subsets))
        return lambda wildcards: text

    def untracked(self, *names: str) -> Untracked:
        """The same for what decides no result: a change of it reruns nothing."""
        text = canonical(self._section(names))
        return lambda wildcards, threads: text

    def report_to(self, wildcards: Any, threads: int) -> list[str]:
        """What shows curves as they come, which decides no result."""
        return list(self.experiment.watch.report_to)

    def untracked_experiment(self, wildcards: Any, threads: int) -> str:
        """The whole experiment, for a job that nothing depends on."""
        return self.experiment.model_dump_json()  # in the order of config.yaml, as it is told

    def untracked_fetch(self) -> Untracked:
        """Fetch's section: the pins alone decide what lands."""
        fetch = self.experiment.fetch
        assert fetch is not None, "the rules of fetching stand only where there is such a section"
        mirror = fetch.mirror and self.located(fetch.mirror)
        text = canonical(fetch.model_copy(update={"mirror": mirror}))
        return lambda wildcards, threads: text

    def pins(self, *keys: str) -> Tracked:
        """What decides which bytes are fetched."""
        text = repr([getattr(self.experiment.fetch, key) for key in keys])
        return lambda wildcards: text

    def pinned_file(self, wildcards: Any) -> str:
        """The same for the file, or the archive of a parser, that the wildcard `name` names."""
        archive = self.archives.get(wildcards.name)
        return repr([archive]) if archive else self.pins(wildcards.name)(wildcards)

    def untracked_parts(self, shard: int) -> Untracked:
        """A job's parts: how many jobs share them decides no prediction."""
        return lambda wildcards, threads: self.parts_of(shard)

    def script(self, name: str) -> str:
        """The path of a script; what it computes is told by `code`."""
        return str(self.root / "scripts" / f"{name}.py")

    def code(self, name: str) -> str:
        """The digest of a script's code and of all that its results depend on."""
        return code_digest(Path(self.script(name)).resolve())

    def _section(self, names: Sequence[str]) -> Any:
        return reduce(getattr, names, self.experiment)

    # What a job asks of the machine.

    def machine(self, stage: str) -> Machine:
        """CPU threads, memory and minutes of a job of a stage."""
        found: Machine = getattr(self.experiment.compute, stage)
        return found

    def runtime(self, stage: str) -> Callable[[Any, int], int]:
        """A job's time limit in minutes: as config.yaml says, or else of the forecast."""
        return self.forecast.runtime(stage, self.machine(stage).runtime)

    def on_gpus(self, count: int | Callable[[Any], int]) -> Untracked:
        """What starts a script on GPUs of its own: which, and how many, reruns nothing."""
        place = shlex.quote(self.script("on_gpus"))

        def starter(wildcards: Any, threads: int) -> str:
            gpus = count if isinstance(count, int) else count(wildcards)
            several = f"accelerate launch --multi_gpu --num_machines 1 --num_processes {gpus}"
            several += " --mixed_precision no --dynamo_backend no --main_process_port 0"
            return f"python {place} {gpus} {several if gpus > 1 else 'python'}"

        return starter
