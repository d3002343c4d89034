"""The rounds of stage 1: what each gave, how long it took, and what a killed run goes on from."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from refine_af.engines.replies import Engine, Group, Reply
from refine_af.engines.rounds import Rounds
from refine_af.errors import InputError
from refine_af.files.journal import Journal
from refine_af.files.rows import as_records
from refine_af.jobs.progress import Progress, duration
from refine_af.prompts.task_lists import ITEM_REASONS

REASONS = (*ITEM_REASONS, "no tokens", "similar")
RECENT = 10  # rounds that an estimate looks back on


@dataclass(frozen=True)
class Round:
    """One round's figures: prompts, accepted items, rejections by reason, generated tokens."""

    number: int
    requested: int
    accepted: int
    reasons: Counter[str]
    tokens: int

    @property
    def parsed(self) -> int:
        """The items in the replies, accepted or rejected."""
        return self.accepted + self.reasons.total()

    def row(self) -> dict[str, int]:
        """The round as a line of rounds.csv."""
        return {
            "round": self.number,
            "requested": self.requested,
            "parsed": self.parsed,
            "accepted": self.accepted,
            "rejected": self.reasons.total(),
            **{reason: self.reasons[reason] for reason in REASONS},
            "tokens": self.tokens,
        }


COLUMNS = tuple(Round(0, 0, 0, Counter(), 0).row())


@dataclass(frozen=True)
class RoundTime:
    """How long a round took, in the run that ended it.

    `seconds` are all of it and `engine_seconds` the wait for replies, both without the time to load
    a model; `tokens` were generated in that wait; `pool` is the pool's size after it;
    `seconds_left` is an estimate until the segment is full, None where unknown.
    """

    round: int
    seconds: float
    engine_seconds: float
    tokens: int
    tokens_per_second: float
    accepted: int
    instructions_per_hour: float
    pool: int
    seconds_left: float | None


class RoundLog:
    """Keeps every reply as it comes and every round's time, so that a killed run goes on.

    What is in the log is not asked for again: a round must have the same prompts in every run.
    """

    def __init__(
        self,
        folder: Path,
        engine: Engine,
        progress: Progress,
        *,
        start: int,
        target: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` is kept from run to run; the pool is to grow from `start` to `target`."""
        self._rounds = Rounds(folder / "replies.jsonl", engine, clock)
        self._timing = Journal(folder / "timing.jsonl")
        self.times = as_records(self._timing.rows, RoundTime)
        self._timed = {row.round for row in self.times}
        if len(self._timed) < len(self.times):
            raise InputError(f"{folder / 'timing.jsonl'}: a round stands in it twice")
        self._progress, self._clock = progress, clock
        self._counted, self._target = min(start, target), target
        # Instructions that the segment before carried over are there already.
        if known := self._counted - (target - progress.total):
            progress.skip(known)
        self._recent: list[tuple[int, float]] = []
        self._mark = clock()

    def __enter__(self) -> RoundLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._rounds.close()
        self._timing.close()

    def replies(self, number: int, groups: Sequence[Group], seeds: Sequence[int]) -> list[Reply]:
        """A round's replies in the order of its prompts, on disk before this returns."""

        def came(count: int) -> None:
            self._progress.show(f"round {number}: {count} of {len(seeds)} replies")

        self._written = self._rounds.written(number, groups, seeds, came)
        return self._written.replies

    def ended(self, row: Round, pool: int) -> None:
        """Note that a round is over and the pool now holds `pool` instructions.

        A round that an earlier run ended keeps the time that it took there.
        """
        now = self._clock()
        seconds, self._mark = now - self._mark - self._written.loading_s, now
        counted, self._counted = min(pool, self._target) - self._counted, min(pool, self._target)
        if row.number in self._timed:
            self._progress.skip(counted)
            return
        self._recent = [*self._recent, (row.accepted, seconds)][-RECENT:]
        taken = self._time(row, pool, seconds)
        self._timing.append([vars(taken)])
        self._timing.sync()
        self.times.append(taken)
        left = "" if taken.seconds_left is None else f" · {duration(taken.seconds_left)} left"
        self._progress.line(
            f"round {row.number}: {row.accepted} of {row.parsed} accepted, {pool} in the pool · "
            f"{taken.tokens_per_second:,.0f} tokens/s · "
            f"{taken.instructions_per_hour:,.0f} instructions/h{left}"
        )
        self._progress.advance(counted)

    def _time(self, row: Round, pool: int, seconds: float) -> RoundTime:
        accepted, spent = map(sum, zip(*self._recent, strict=True))
        missing, written = max(0, self._target - pool), self._written
        return RoundTime(
            round=row.number,
            seconds=round(seconds, 3),
            engine_seconds=round(written.seconds, 3),
            tokens=written.tokens,
            tokens_per_second=round(written.tokens / max(written.seconds, 1e-9), 1),
            accepted=row.accepted,
            instructions_per_hour=round(3600 * accepted / max(spent, 1e-9), 1),
            pool=pool,
            seconds_left=round(missing * spent / accepted, 1) if accepted else None,
        )
