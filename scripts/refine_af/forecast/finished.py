"""What a finished run says of a forecast: how its hours compare with those foretold for it."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.forecast.assumptions import Estimate
from refine_af.forecast.hours import Foretold, Row

Ratios = Mapping[tuple[str, str], float]


def seconds_taken(cost: Path) -> dict[tuple[str, str], float]:
    """The seconds of a run's jobs by model and stage, of its cost.csv: of the GPUs that they saw,
    and of the processor where they saw none.

    InputError, with file and line, where there is none, or it is damaged.
    """
    if not cost.is_file():
        raise InputError(f"{cost}: there is no such file: is this the results/ of a finished run?")
    found: dict[tuple[str, str], float] = {}
    with open(cost, encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), 2):
            try:
                seconds = float(row["gpu_s"]) or float(row["cpu_s"])
                key = row["model"], row["stage"]
            except (KeyError, TypeError, ValueError):
                seconds, key = math.nan, ("", "")
            if not 0 <= seconds < math.inf:
                raise InputError(f"{cost}, line {line}: no model, stage and seconds: {shown(row)}")
            found[key] = seconds
    return found


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


def document_of(foretold: Foretold, configuration: str) -> dict[str, Any]:
    """What results/forecast.json holds: what was foretold before a run, in seconds of GPUs or of
    the processor; `configuration` is the digest of the run's settings.
    """
    machine = foretold.machine
    return {
        "configuration_sha256": configuration,
        "machine": machine.name,
        "rests_on": machine.rests_on,
        "gpu": machine.gpu,
        "rows": [
            {
                "model": row.model,
                "stage": row.stage,
                "jobs": row.jobs,
                "seconds": _triple(row.spent),
            }
            for row in foretold.rows()
        ],
    }


def _triple(found: Estimate | None) -> list[float] | None:
    return None if found is None else [round(value, 1) for value in found.triple]
