"""All of a model's differences, and those that a table shows as numbers for a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import NamedTuple

import pandas as pd

from refine_af.report.differences import Change, Compared, changes, compared, rewards
from refine_af.report.finished_run import ModelRun
from refine_af.settings.report import Report
from refine_af.settings.reward import Weights


class Findings(NamedTuple):
    """One model's differences: before and after PPO, and refine-af against self-instruct."""

    changes: dict[str, Change | None]
    rewards: dict[str, Change]
    compared: list[Compared]


def findings(run: ModelRun, weights: Weights, settings: Report) -> Findings:
    """One model's differences, each with its interval."""
    return Findings(
        changes(run, weights, settings),
        rewards(run, weights, settings),
        compared(run, settings),
    )


def change_numbers(found: Mapping[str, Change | None]) -> pd.DataFrame:
    """What a table of changes shows, and the ends of the intervals; a row a name."""
    rows = [{"name": name, **asdict(change)} for name, change in found.items() if change]
    return pd.DataFrame(rows, columns=["name", *(each.name for each in fields(Change))]).round(6)
