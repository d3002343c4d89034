"""What the jobs of a model's stage took, read off the table cost.csv of a finished run."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError, shown


@dataclass(frozen=True)
class Taken:
    """Seconds of the GPUs that a stage's jobs saw, or of the processor where they saw none.

    None where they are not known, and `why` says why; it is empty where they are. `gpu` tells which
    of the two they are, None where not even that is known.
    """

    seconds: float | None
    gpu: bool | None
    why: str


def taken(*, gpu_s: float, cpu_s: float | None, resumed: int, unrecorded: int) -> Taken:
    """By the columns of those names; `cpu_s` is None or nan where the processor's time is lost."""
    if unrecorded:
        return Taken(None, None, "whether its jobs saw a GPU is not known")
    if gpu_s:
        return Taken(gpu_s, True, "")
    if resumed:
        why = "a job was killed: the processor's time is known of its last run alone"
        return Taken(None, False, why)
    if cpu_s is None or math.isnan(cpu_s):
        return Taken(None, False, "the processor's time is not known")
    return Taken(cpu_s, False, "")


def seconds_taken(cost: Path) -> dict[tuple[str, str], float]:
    """The seconds of a run's jobs by model and stage, of its cost.csv, without those not known.

    InputError, with file and line, where there is none, or it is damaged.
    """
    if not cost.is_file():
        raise InputError(f"{cost}: there is no such file: is this the results/ of a finished run?")
    found: dict[tuple[str, str], float] = {}
    with open(cost, encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            try:
                model, stage, seconds = row["model"], row["stage"], _of_row(row).seconds
            except (KeyError, TypeError, ValueError):
                model, stage, seconds = "", "", math.inf
            if not 0 <= (seconds or 0) < math.inf:
                raise InputError(f"{cost}, line {line}: no model, stage and seconds: {shown(row)}")
            if seconds is not None:
                found[model, stage] = seconds
    return found


def _of_row(row: dict[str, str]) -> Taken:
    return taken(
        gpu_s=float(row["gpu_s"]),
        cpu_s=float(row["cpu_s"]) if row["cpu_s"] else None,
        resumed=int(row["resumed"]),
        unrecorded=int(row["unrecorded"]),
    )
