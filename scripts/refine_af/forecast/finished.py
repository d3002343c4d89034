"""What a finished run says of a forecast: how its hours compare with those foretold for it."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.forecast.assumptions import Estimate
from refine_af.forecast.hours import Foretold, Row
from refine_af.records.forecast import ForetoldStage, KeptForecast

Ratios = Mapping[tuple[str, str], float]


def seconds_taken(cost: Path) -> dict[tuple[str, str], float]:
    """The seconds of a run's jobs by model and stage, of its cost.csv: of the GPUs that they saw,
    and of the processor where they saw none. Those of a job that went on after a kill are not known
    without a GPU, and left out.

    InputError, with file and line, where there is none, or it is damaged.
    """
    if not cost.is_file():
        raise InputError(f"{cost}: there is no such file: is this the results/ of a finished run?")
    found: dict[tuple[str, str], float] = {}
    with open(cost, encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            try:
                model, stage, seconds = row["model"], row["stage"], _spent(row)
            except (KeyError, TypeError, ValueError):
                model, stage, seconds = "", "", math.inf
            if not 0 <= (seconds or 0) < math.inf:
                raise InputError(f"{cost}, line {line}: no model, stage and seconds: {shown(row)}")
            if seconds is not None:
                found[model, stage] = seconds
    return found


def _spent(row: Mapping[str, str]) -> float | None:
    """A row's seconds; None where they are not known."""
    if gpu_s := float(row["gpu_s"]):
        return gpu_s
    return None if int(row["resumed"]) or not row["cpu_s"] else float(row["cpu_s"])


def ratios_of(rows: Iterable[Row], taken: Mapping[tuple[str, str], float]) -> dict[Any, float]:
    """The seconds taken, by those foretold, by model and stage; ("", stage): of all models' sums.

    Stages of which either is not known are left out.
    """
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        actual = taken.get((row.model, row.stage), 0.0)
        if row.spent is None or not row.spent.likeliest or not actual:
            continue
        for key in ((row.model, row.stage), ("", row.stage)):
            sums[key][0] += actual
            sums[key][1] += row.spent.likeliest
    return {key: actual / foretold for key, (actual, foretold) in sums.items()}


def kept(foretold: Foretold, settings_sha256: str, made: str) -> KeptForecast:
    """What is kept of a forecast as a run begins, with the digest of its settings and the time."""
    machine = foretold.machine
    stages = [
        ForetoldStage(row.model, row.stage, row.jobs, *_rounded(row.spent))
        for row in foretold.rows()
    ]
    return KeptForecast(made, settings_sha256, machine.name, machine.rests_on, machine.gpu, stages)


def _rounded(found: Estimate | None) -> Sequence[float | None]:
    return (None, None, None) if found is None else [round(value, 1) for value in found.triple]
