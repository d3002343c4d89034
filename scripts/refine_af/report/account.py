"""What a run cost and where it was made, read back with every fault named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from refine_af.errors import InputError, shown
from refine_af.files.digests import sha256_of
from refine_af.files.documents import read_document, read_text
from refine_af.records.forecast import KeptForecast, digest_of_settings, read_forecast
from refine_af.report.files import count, existing, read_table, real, real_or_none

COLUMNS: dict[str, Callable[[str], Any]] = {"model": str, "stage": str, "gpus": count}
COLUMNS |= dict.fromkeys(("jobs", "resumed", "unrecorded"), count)
COLUMNS |= dict.fromkeys(("seconds", "longest_s", "gpu_s"), real)
COLUMNS |= dict.fromkeys(("cpu_s", "memory_mb", "tokens"), real_or_none)
LISTS = {
    "code": ("commit", "dirty", "jobs"),
    "machines": ("system", "cpu", "cores", "memory_gb", "gpus", "jobs"),
    "software": ("python", "libraries", "jobs"),
    "origins": ("what", "name", "sha256"),
}


@dataclass(frozen=True)
class Account:
    """A run's costs, a row a model and stage, with the columns of cost.csv; and where it was made.

    `provenance` is the document of that name, `configuration_sha256` the digest of config.yaml as
    the run resolved it, and `settings_sha256` that of what it had to do. `forecast` is what was
    kept of a forecast, None of a run that kept none.
    """

    costs: pd.DataFrame
    provenance: Mapping[str, Any]
    configuration_sha256: str
    settings_sha256: str
    forecast: KeptForecast | None

    def of(self, model: str) -> pd.DataFrame:
        """A model's rows; those of "" belong to none."""
        return self.costs[self.costs["model"] == model]


def read_account(cost: Path, provenance: Path, configuration: Path, forecast: Path) -> Account:
    """A run's account from its files, the last of which there may be or not.

    InputError, with file and value, where one is damaged.
    """
    costs = read_table(cost, COLUMNS)
    document = read_document(existing(provenance))
    for name, keys in LISTS.items():
        rows = document.get(name)
        if not isinstance(rows, list) or not all(
            isinstance(row, dict) and row.keys() >= set(keys) for row in rows
        ):
            raise InputError(f"{provenance}: {name!r} is no list of {', '.join(keys)}")
    for name in ("jobs", "jobs_without_record"):
        if type(document.get(name)) is not int:
            raise InputError(f"{provenance}: {name!r} is no count: {shown(document.get(name))}")
    settings = digest_of_settings(read_text(existing(configuration)))
    foretold = read_forecast(forecast) if forecast.is_file() else None
    return Account(costs, document, sha256_of(configuration), settings, foretold)


def total(rows: pd.DataFrame, column: str) -> float:
    """The sum of a column; nan where one of its values is not known."""
    return math.fsum(rows[column])
