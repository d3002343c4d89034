"""The section of config.yaml on what a job of each stage asks of the machine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from refine_af.settings.fields import Count, Section

MOST_SHARDS = 8  # jobs that may share the work of one


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
