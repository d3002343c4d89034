"""The judges' scores of instances, round by round, each round on disk before the next is scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.device_faults import device_faults
from refine_af.errors import InputError, shown
from refine_af.journal import Journal
from refine_af.rewards import COMPONENTS, Scorer, Triplet

Scores = dict[str, float]
Judge = Callable[[Sequence[Triplet]], list[Scores]]


@dataclass(frozen=True)
class LoggedScores:
    """A round as a line of the log: of each of its instances the four components, in order."""

    round: int
    scores: list[list[float]]


class ScoreLog:
    """A judge whose scores are kept in a journal.

    A round is scored in one go: what shares a batch decides the last bits of a score, so a killed
    run does a round that it had not finished all over.
    """

    def __init__(self, path: Path, judge: Judge) -> None:
        self._path, self._judge = path, judge
        self._journal = Journal(path)
        self._rounds: dict[int, list[list[float]]] = {}
        for line, row in enumerate(self._journal.records(LoggedScores), 1):
            if row.round in self._rounds:
                raise InputError(f"{path}, line {line}: round {row.round} is scored already")
            if odd := [entry for entry in row.scores if len(entry) != len(COMPONENTS)]:
                raise InputError(f"{path}, line {line}: not {len(COMPONENTS)} scores: {odd[0]}")
            self._rounds[row.round] = row.scores

    def close(self) -> None:
        self._journal.close()

    def scores(self, number: int, triplets: Sequence[Triplet]) -> list[Scores]:
        """The components of a round's triplets, in order, on disk before this returns.

        InputError where a judge gives one that is no number.
        """
        if number not in self._rounds:
            judged = self._judge(triplets) if triplets else []
            rows = [[float(entry[name]) for name in COMPONENTS] for entry in judged]
            for triplet, row in zip(triplets, rows, strict=True):
                _check(triplet, row)
            self._journal.append([vars(LoggedScores(number, rows))])
            self._journal.sync()
            self._rounds[number] = rows
        known = self._rounds[number]
        if len(known) != len(triplets):
            raise InputError(
                f"{self._path}: {len(known)} scores of round {number}, which has "
                f"{len(triplets)} instances"
            )
        return [dict(zip(COMPONENTS, row, strict=True)) for row in known]


def judge_of(load: Callable[[], Scorer]) -> Judge:
    """The judges of a scorer that is loaded when the first triplets come."""
    loaded: list[Scorer] = []

    def judge(triplets: Sequence[Triplet]) -> list[Scores]:
        if not loaded:
            loaded.append(load())
        with device_faults():
            return loaded[0].score(triplets)

    return judge


def _check(triplet: Triplet, row: Sequence[float]) -> None:
    for name, score in zip(COMPONENTS, row, strict=True):
        if not math.isfinite(score):
            raise InputError(f"the judges' {name} is {score} for {shown(triplet)}")
