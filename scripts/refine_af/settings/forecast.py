"""The section of config.yaml on what a run will cost: machines, and what is assumed of replies."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from refine_af.settings.fields import Count, FilePath, Name, Positive, Section


def _ascending(value: tuple[float, ...]) -> tuple[float, ...]:
    if list(value) != sorted(value):
        raise ValueError("not in the order least, likeliest, most")
    return value


THREE = Field(strict=False, min_length=3, max_length=3)
Range = Annotated[tuple[Positive, ...], THREE, AfterValidator(_ascending)]
ShareRange = Annotated[
    tuple[Annotated[Positive, Field(le=1)], ...], THREE, AfterValidator(_ascending)
]


class MachineSheet(Section):
    """What the maker of a GPU states of it."""

    memory_gb: Positive = Field(description="Memory, in 10^9 bytes (its data sheet).")
    bandwidth_gb_s: Positive = Field(
        description="Bandwidth of that memory, in 10^9 bytes a second (its data sheet)."
    )
    tflops_16: Positive = Field(
        description="Operations a second in bfloat16, dense, in 10^12 (its data sheet)."
    )
    tflops_32: Positive = Field(
        description="The same in float32, in which the judges score (its data sheet)."
    )


class Efficiency(Section):
    """What share of its data sheet a GPU reaches: least, likeliest and most."""

    training: ShareRange = Field(
        description="Of the operations a second, in training and where prompts are read (ours: "
        "model FLOP utilisation of GPT-3, Gopher and PaLM in PaLM's table 3, arXiv 2204.02311)."
    )
    writing: ShareRange = Field(
        description="Of the bandwidth, where texts are written token by token (ours: not measured)."
    )


class Lengths(Section):
    """How many tokens a text has that nothing cuts off: least, likeliest and most, as means."""

    instruction: Range = Field(description="An instruction (ours).")
    task_list: Range = Field(description="A reply of stage 1 (ours).")
    instance: Range = Field(description="A reply of stages 2 and 3 (ours).")
    evaluated: Range = Field(description="A prompt of Super-NI (ours).")
    prediction: Range = Field(description="A reply to one (ours).")
    answer: Range = Field(description="A reply to a user-oriented instruction (ours).")


class Yield(Section):
    """How many texts replies give: least, likeliest and most."""

    accepted: Range = Field(description="New instructions of a reply to the seeds alone (ours).")
    halves_with: Range = Field(
        description="Instructions by which the pool grows until a reply gives half as many (ours)."
    )
    kept: ShareRange = Field(
        description="Of stage 3's replies, the share that holds an instance that is kept (ours: "
        "0.40 to 0.85 of laptop/config.yaml's)."
    )


class Forecast(Section):
    machine: Name | None = Field(
        description="Which of `machines` the hours are of; null: the machine that `make calibrate` "
        "has measured, and without that the first of them (ours)."
    )
    machines: Annotated[dict[Name, MachineSheet], Field(min_length=1)] = Field(
        description="GPUs by name, with what their data sheets state (NVIDIA)."
    )
    finished: FilePath | None = Field(
        description="The results of a finished run, whose hours correct those of the same stages "
        "here; null: of none (ours)."
    )
    efficiency: Efficiency = Field(description="How much of a data sheet is reached (ours).")
    layer_ms: Range = Field(
        description="Milliseconds that starting a layer's kernels takes a GPU's host, whatever "
        "their size (ours: not measured)."
    )
    start_s: Range = Field(
        description="Seconds that a job takes to import its libraries, on a machine that is not "
        "measured (ours)."
    )
    disk_gb_s: Range = Field(
        description="Speed at which weights are read from disk, in 10^9 bytes a second (ours)."
    )
    measured: Range = Field(
        description="What an hour may turn out to be where the machine is measured, in hours of "
        "its rates (ours)."
    )
    repeated: Range = Field(
        description="The same where a finished run corrects the hours of a stage (ours)."
    )
    characters: Range = Field(description="Characters of a prompt's token (ours).")
    unread_prompt: Count = Field(
        description="Characters of a prompt file that is not fetched yet (SI: its eleven "
        "demonstrations have 5,749)."
    )
    lengths: Lengths = Field(description="How many tokens texts are expected to have (ours).")
    yields: Yield = Field(description="How many instructions and instances replies give (ours).")
    headroom: Annotated[Positive, Field(ge=1)] = Field(
        description="Times the longest time of a job's range that its `runtime` is, where "
        "compute.<stage>.runtime is null (ours)."
    )
    least_runtime: Count = Field(description="The least such `runtime`, in minutes (ours).")
    unknown_runtime: Count = Field(
        description="That of a job of which nothing can be foretold, in minutes (ours)."
    )

    @model_validator(mode="after")
    def names_a_machine_that_there_is(self) -> Forecast:
        if self.machine is not None and self.machine not in self.machines:
            raise ValueError(f"machine: {self.machine!r} is none of machines")
        return self
