"""The section of config.yaml on what a job of each stage asks of the machine."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from refine_af.settings.fields import Count, Section

# Jobs that may share the work of one. A cell's predictions on Super-NI come in as many parts,
# however many jobs share them, so another number here renames files.
MOST_SHARDS = 8


class Machine(Section):
    """What one job of a stage asks of the machine."""

    threads: Count = Field(description="CPU threads of a job (ours).")
    mem_mb: Count = Field(description="Memory of a job, in MB (ours).")
    runtime: Count | None = Field(
        description="Time limit of a job, in minutes; null: of the forecast, with its headroom "
        "(ours)."
    )


class Shared(Machine):
    """What each of several jobs that share the work of one asks of the machine."""

    shards: Annotated[int, Field(ge=1, le=MOST_SHARDS)] = Field(
        description="Jobs that share the work: the replies of a segment, or a cell's tasks (ours)."
    )


class PpoMachine(Machine):
    """What PPO's job asks of the machine, and how it trades memory and disk for time."""

    checkpoint_every: Count = Field(
        description="Steps between checkpoints; a killed job repeats at most these (ours)."
    )
    gradient_checkpointing: bool = Field(
        description="Whether layers are computed again in the backward pass: less memory, more "
        "time, the same bytes (ours)."
    )


class SftMachine(Machine):
    """What a job that fine-tunes asks of the machine, and how it trades memory for time."""

    gpus: Annotated[int, Field(ge=1, le=64)] = Field(
        description="GPUs that share the batch of every update (ours)."
    )
    checkpoint_every: Count = Field(
        description="Updates between checkpoints; a killed job repeats at most these (ours)."
    )
    micro_batch: Count = Field(
        description="Rows at once on a GPU, of an update's batch_size × "
        "gradient_accumulation_steps; halved where memory runs out. Another number makes the same "
        "updates, but not the same bytes (ours)."
    )
    gradient_checkpointing: bool = Field(
        description="Whether layers are computed again in the backward pass: less memory, more "
        "time (ours)."
    )


class Compute(Section):
    gpu_mem_mb: Count | None = Field(
        description="Memory of a GPU, in MB; a backbone whose weights alone are more is refused "
        "before any job. null: not checked (ours)."
    )
    demo: Machine = Field(description="Of a job that trains a model of the embedded demo (ours).")
    instructions: Machine = Field(description="Of a job of stage 1 (ours).")
    ppo: PpoMachine = Field(description="Of the job of stage 2 (ours).")
    instances: Shared = Field(description="Of a job of stage 3 (ours).")
    sft: SftMachine = Field(description="Of a job that fine-tunes (ours).")
    superni: Shared = Field(description="Of a job that answers Super-NI's tasks (ours).")
    diversity: Machine = Field(description="Of a job that parses instructions (ours).")
    users: Machine = Field(
        description="Of a job that answers the user-oriented instructions (ours)."
    )
