"""The scores of instances, round by round, each round on disk before the next is scored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.files.journal import Journal
from refine_af.models.device_faults import device_faults
from refine_af.rewards.scorer import Triplet
from refine_af.rewards.scorers import Judge, Scores, is_score


@dataclass(frozen=True)
class LoggedScores:
    """A round as a line of the log: the components of each of its instances, in order."""

    round: int
    scores: list[Scores]


class ScoreLog:
    """A judge whose scores are kept in a journal.

    A round is scored in one go: what shares a batch decides the last bits of a score, so after a
    kill an unfinished round is scored from its start.
    """

    def __init__(self, path: Path, judge: Judge, components: Collection[str]) -> None:
        """`components` are the names of those that the judge gives.

        InputError, with file and line, where the log holds others, or a round twice.
        """
        self._path, self._judge = path, judge
        self._journal = Journal(path)
        self._rounds: dict[int, list[Scores]] = {}
        for line, row in enumerate(self._journal.records(LoggedScores), 1):
            if row.round in self._rounds:
                raise InputError(f"{path}, line {line}: round {row.round} is scored already")
            for entry in row.scores:
                if entry.keys() != set(components) or not all(map(is_score, entry.values())):
                    wanted = ", ".join(components)
                    raise InputError(f"{path}, line {line}: not {wanted}: {shown(entry)}")
            self._rounds[row.round] = row.scores

    def close(self) -> None:
        """Close the file."""
        self._journal.close()

    def scores(self, number: int, triplets: Sequence[Triplet]) -> list[Scores]:
        """The components of a round's triplets, in order, on disk before this returns."""
        if number not in self._rounds:
            rows = self._judge(triplets) if triplets else []
            self._journal.append([vars(LoggedScores(number, rows))])
            self._journal.sync()
            self._rounds[number] = rows
        known = self._rounds[number]
        if len(known) != len(triplets):
            raise InputError(
                f"{self._path}: {len(known)} scores of round {number}, which has "
                f"{len(triplets)} instances"
            )
        return known


def judge_of(load: Callable[[], Judge]) -> Judge:
    """A judge that is loaded at its first call; a device that fails is an InputError."""
    loaded: list[Judge] = []

    def judge(triplets: Sequence[Triplet]) -> list[Scores]:
        with device_faults():
            if not loaded:
                loaded.append(load())
            return loaded[0](triplets)

    return judge
