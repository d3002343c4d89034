"""The whole experiment as config.yaml states it, checked before any job runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from refine_af.settings.checkpoints import Model
from refine_af.settings.compute import Compute
from refine_af.settings.demo import Demo
from refine_af.settings.fetch import Fetch
from refine_af.settings.fields import Count, Method, Name, Section, Text
from refine_af.settings.instances import Instances
from refine_af.settings.instructions import Instructions
from refine_af.settings.overlap import OverlapBounds
from refine_af.settings.ppo import Ppo
from refine_af.settings.ratings import Ratings
from refine_af.settings.report import Report
from refine_af.settings.servers import Server
from refine_af.settings.sft import Sft
from refine_af.settings.superni import Superni
from refine_af.settings.users import Users
from refine_af.settings.watch import Watch

MOST_SEGMENTS = 1000  # each names all before it: planning more takes minutes


class Data(Section):
    seeds: Text
    user_instructions: Text
    superni: Text


class Prompts(Section):
    instructions: Text
    instances: Text
    sft: Text
    users: Text


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
        if max(self.sizes) > MOST_SEGMENTS * self.instructions.segment:
            raise ValueError(
                f"sizes: {max(self.sizes)} needs more than {MOST_SEGMENTS:,} segments of "
                f"{self.instructions.segment} (instructions.segment)"
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
