"""The whole experiment as config.yaml states it, checked before any job runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field, ValidationError, field_validator, model_validator

from refine_af.demo.settings import Demo
from refine_af.errors import InputError, shown
from refine_af.fetch.settings import Fetch
from refine_af.fields import Count, Method, Name, Section, Text
from refine_af.ppo.settings import Ppo
from refine_af.ratings.settings import Ratings
from refine_af.report.settings import Report
from refine_af.settings import Instances, Instructions, OverlapBounds, Server, Users, Watch
from refine_af.sft.settings import Sft
from refine_af.superni.settings import Superni

HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{7,40})")


MOST_SHARDS = 8  # jobs that may share the work of one


class Model(Section):
    checkpoint: Text

    @field_validator("checkpoint")
    @classmethod
    def is_pinned(cls, value: str) -> str:
        if "@" in value and not HUB.fullmatch(value):
            raise ValueError("a hub checkpoint is organisation/name@revision, a commit of 7-40 hex")
        return value


class Data(Section):
    seeds: Text
    user_instructions: Text
    superni: Text


class Prompts(Section):
    instructions: Text
    instances: Text
    sft: Text
    users: Text


class Machine(Section):
    """What one job of a stage asks of the machine: CPU threads, memory in MB, minutes."""

    threads: Count
    mem_mb: Count
    runtime: Count


class Shared(Machine):
    """The same of each of the `shards` jobs that take a part of the work of one."""

    shards: Annotated[int, Field(ge=1, le=MOST_SHARDS)]


class SeveralGpus(Machine):
    """The same of a job that may train on more than one GPU."""

    gpus: Annotated[int, Field(ge=1, le=64)]


class Compute(Section):
    demo: Machine
    instructions: Machine
    ppo: Machine
    instances: Shared
    sft: SeveralGpus
    superni: Shared
    users: Machine


class Experiment(Section):
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    sizes: Annotated[tuple[Count, ...], Field(min_length=1, strict=False)]
    methods: Annotated[tuple[Method, ...], Field(min_length=1, strict=False)]
    data: Data
    prompts: Prompts
    fetch: Fetch | None
    instructions: Instructions
    ppo: Ppo
    instances: Instances
    sft: Sft
    superni: Superni
    users: Users
    overlap: OverlapBounds
    ratings: Ratings
    report: Report
    watch: Watch
    servers: dict[Name, Server]
    demo: Demo | None
    compute: Compute

    @field_validator("sizes", "methods")
    @classmethod
    def is_a_set(cls, value: tuple[object, ...]) -> tuple[object, ...]:
        doubled = {entry for entry in value if value.count(entry) > 1}
        if doubled:
            raise ValueError(f"listed twice: {', '.join(sorted(map(str, doubled)))}")
        return value

    @model_validator(mode="after")
    def has_a_server_for_each_model(self) -> Experiment:
        if unknown := self.servers.keys() - self.models.keys():
            raise ValueError(f"servers: {sorted(unknown)[0]!r} is none of the models")
        lacking = sorted(self.models.keys() - self.servers.keys())
        if self.instructions.engine == "server" and lacking:
            raise ValueError(
                f"instructions.engine is server, and servers names none for {lacking[0]!r}"
            )
        return self

    @model_validator(mode="after")
    def asks_for_what_exists(self) -> Experiment:
        if self.segments > 1000:  # each names all before it: planning takes minutes
            raise ValueError(
                f"sizes: {max(self.sizes)} needs {self.segments} segments of "
                f"{self.instructions.segment} (instructions.segment), more than 1,000"
            )
        if self.ppo.rollouts > self.instructions.segment:
            raise ValueError(
                f"ppo.rollouts {self.ppo.rollouts} exceeds the {self.instructions.segment} "
                "instructions of the pool's first segment (instructions.segment), which PPO reads"
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
    def rates_what_is_made(self) -> Experiment:
        self.ratings.check(models=self.models, methods=self.methods, sizes=[*self.sizes])
        return self

    @property
    def segments(self) -> int:
        """How many segments of the pool the largest size needs."""
        return self.segments_of(max(self.sizes))

    @property
    def instance_rounds(self) -> int:
        """In how many rounds stage 3 asks for the replies of a segment."""
        return -(-self.instructions.segment // self.instances.requests)

    def segments_of(self, size: int) -> int:
        return -(-size // self.instructions.segment)


def read_experiment(config: Mapping[str, object]) -> Experiment:
    """The experiment that `config` describes.

    Raises InputError with one line a fault: the key's path, what is wrong, and the value.
    """
    try:
        return Experiment.model_validate(config)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"] if part != "[key]")
            hidden = fault["type"] == "missing" or _may_be_a_key(fault["loc"])
            got = "" if hidden else f"; got {shown(fault['input'])}"
            wrong = fault["msg"].removeprefix("Value error, ")
            faults.append(f"  {key or 'top level'}: {wrong}{got}")
        raise InputError("config.yaml is wrong:\n" + "\n".join(faults)) from None


def _may_be_a_key(place: tuple[int | str, ...]) -> bool:
    """Whether what stands there may be a server's key, put where its variable's name belongs."""
    told = {"url", "model", "concurrency", "timeout_s", "attempts"}
    return place[:1] == ("servers",) and place[-1] not in told


def canonical(section: Section) -> str:
    """A section as one line of JSON: the same text for the same values, whatever their order."""
    return json.dumps(section.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def checkpoint_folder(checkpoint: str) -> str:
    """Where a checkpoint's files stand: a local folder as given, a hub one where fetch lands it."""
    hub = HUB.fullmatch(checkpoint)
    if hub is None:
        return checkpoint
    name = hub["repository"].replace("/", "--")
    return f"results/checkpoints/{name}--{hub['revision']}"


def hub_name(folder: str, experiment: Experiment) -> str:
    """The organisation/name@revision whose files belong in a folder of results/checkpoints/."""
    reward = experiment.ppo.reward
    named = [*(model.checkpoint for model in experiment.models.values()), *reward.judges.values()]
    return next(name for name in named if checkpoint_folder(name) == folder)


def local_paths(experiment: Experiment) -> list[tuple[str, str]]:
    """Each file and folder that config.yaml names, with its key."""
    paths = [("data.seeds", experiment.data.seeds), ("data.superni", experiment.data.superni)]
    paths.append(("data.user_instructions", experiment.data.user_instructions))
    paths += [(f"prompts.{key}", path) for key, path in experiment.prompts.model_dump().items()]
    paths += [("superni.prompt", experiment.superni.prompt), *experiment.ratings.named_files()]
    for name, baseline in experiment.superni.baselines.items():
        paths.append((f"superni.baselines.{name}.prompt", baseline.prompt))
    if experiment.fetch:
        paths.append(("fetch.superni_digests", experiment.fetch.superni_digests))
        if experiment.fetch.mirror:
            paths.append(("fetch.mirror", experiment.fetch.mirror))
    checkpoints = {
        f"models.{name}.checkpoint": m.checkpoint for name, m in experiment.models.items()
    }
    judges = experiment.ppo.reward.judges
    checkpoints |= {f"ppo.reward.{key}": checkpoint for key, checkpoint in judges.items()}
    paths += [(key, checkpoint_folder(name)) for key, name in checkpoints.items()]
    return paths
