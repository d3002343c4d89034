"""What the jobs took beside what was foretold of them: stage by stage, and in all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from refine_af.records.cost import taken
from refine_af.records.forecast import ForetoldStage, KeptForecast
from refine_af.report.account import Account
from refine_af.report.wording import counted


@dataclass(frozen=True)
class Beside:
    """A stage of a model: seconds foretold, as least, likeliest and most, and those taken.

    `why` says why the two cannot be compared; it is empty where they can, and only then are both
    known.
    """

    model: str
    stage: str
    jobs: int
    foretold: tuple[float, float, float] | None
    taken: float | None
    why: str

    @property
    def place(self) -> str:
        """Where what was taken lies: `within` the range, `below` or `above` it; "" of neither."""
        if self.foretold is None or self.taken is None or self.why:
            return ""
        least, _, most = self.foretold
        return "below" if self.taken < least else "above" if self.taken > most else "within"


@dataclass(frozen=True)
class Sums:
    """Seconds foretold and taken in all, of the stages of which both are known."""

    stages: int
    foretold: float
    taken: float


def beside(account: Account, kept: KeptForecast) -> list[Beside]:
    """A row for each stage that was foretold."""
    costs = {(row["model"], row["stage"]): row for _, row in account.costs.iterrows()}
    return [_beside(each, costs.get((each.model, each.stage)), kept.gpu) for each in kept.stages]


def sums(rows: Sequence[Beside]) -> Sums:
    """Of the rows that can be compared."""
    known = [(row.foretold[1], row.taken) for row in rows if row.place and row.foretold]
    return Sums(len(known), sum(said for said, _ in known), sum(taken or 0 for _, taken in known))


def _beside(said: ForetoldStage, row: pd.Series | None, gpu: bool) -> Beside:
    triple = None
    if said.least_s is not None and said.likeliest_s is not None and said.most_s is not None:
        triple = said.least_s, said.likeliest_s, said.most_s
    seconds, why = (None, "no job of it ran") if row is None else _taken(row, gpu)
    if not why and row is not None and row["jobs"] != said.jobs:
        why = f"{counted(said.jobs, 'job')} foretold, {row['jobs']:,} ran"
    if triple is None:
        why = "nothing was foretold"
    return Beside(said.model, said.stage, said.jobs, triple, seconds, why)


def _taken(row: pd.Series, gpu: bool) -> tuple[float | None, str]:
    """Seconds of the GPUs, or else of the processor; or why they are not to be had."""
    found = taken(**{name: row[name] for name in ("gpu_s", "cpu_s", "resumed", "unrecorded")})
    if found.gpu is not None and found.gpu != gpu:
        return None, f"its jobs saw {'a' if found.gpu else 'no'} GPU"
    return found.seconds, found.why
