"""The rounds of stage 1: what each gave, how long it took, and what a killed run goes on from."""

from __future__ import annotations

import math
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
from refine_af.metrics.decline_fit import Forecast, forecast
from refine_af.prompts.task_lists import ITEM_REASONS

REASONS = (*ITEM_REASONS, "no tokens", "similar")
LONGEST_S = 1e12  # some 30,000 years: what is longer is told as this long
RECENT = 10  # rounds that an estimate looks back on


@dataclass(frozen=True)
class Round:
    """One round's figures: prompts, accepted items, rejections by reason, generated tokens.

    `cut` replies were ended early. `unwritten` items could still have followed in these, up to
    `last_item` if that is set; `dropped` characters did follow, and do not count.
    """

    number: int
    requested: int
    accepted: int
    reasons: Counter[str]
    tokens: int
    cut: int
    unwritten: int
    dropped: int

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
            "cut": self.cut,
            "unwritten": self.unwritten,
            "dropped": self.dropped,
        }


COLUMNS = tuple(Round(0, 0, 0, Counter(), 0, 0, 0, 0).row())


@dataclass(frozen=True)
class RoundTime:
    """How long a round took, in the run that ended it.

    `seconds` are all of it and `engine_seconds` the wait for replies, both without the time to load
    a model; `tokens` were generated in that wait; `pool` is the pool's size after it;
    `seconds_left` is an estimate until the segment is full, None where unknown; where the yield's
    decline could be fitted, it is that of the fit, with an 80% interval.
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
    seconds_left_low: float | None
    seconds_left_high: float | None


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
        longest_hours: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` is kept from run to run; the pool is to grow from `start` to `target`.

        A warning is printed once the pool is foretold to need more than `longest_hours`.
        """
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
        self._pools, self._accepted = [start], list[int]()
        self._fit: Forecast | None = None  # to all rounds that have ended
        self._longest_s, self._warned = 3600 * longest_hours, False
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
        self._pools.append(pool)
        self._accepted.append(row.accepted)
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
        told = _left(taken)
        left = f" · {told}" if told else ""
        early = f" · {row.cut} replies ended early" if row.cut else ""
        self._progress.line(
            f"round {row.number}: {row.accepted} of {row.parsed} accepted, {pool} in the pool · "
            f"{taken.tokens_per_second:,.0f} tokens/s · "
            f"{taken.instructions_per_hour:,.0f} instructions/h{early}{left}"
        )
        self._warn(taken)
        slow = " · too long: see the log" if self._warned else ""
        self._progress.left = f"{told}{slow}"
        self._progress.advance(counted)

    def _time(self, row: Round, pool: int, seconds: float) -> RoundTime:
        accepted, spent = map(sum, zip(*self._recent, strict=True))
        written = self._written
        self._fit = forecast(self._pools[:-1], self._accepted, [1.0] * len(self._accepted))
        left, low, high = self._seconds_left(pool)
        return RoundTime(
            round=row.number,
            seconds=round(seconds, 3),
            engine_seconds=round(written.seconds, 3),
            tokens=written.tokens,
            tokens_per_second=round(written.tokens / max(written.seconds, 1e-9), 1),
            accepted=row.accepted,
            instructions_per_hour=round(3600 * accepted / max(spent, 1e-9), 1),
            pool=pool,
            seconds_left=left,
            seconds_left_low=low,
            seconds_left_high=high,
        )

    def _seconds_left(self, pool: int) -> tuple[float | None, float | None, float | None]:
        """Until the pool is full: by the fitted decline, with its range, or by the last rounds."""
        accepted, spent = map(sum, zip(*self._recent, strict=True))
        if self._fit:
            asked = self._fit.asked(pool, self._target)
            low, left, high = (
                round(min(rounds * spent / len(self._recent), LONGEST_S), 1)
                for rounds in (asked[1], asked[0], asked[2])
            )
            return left, low, high
        missing = max(0, self._target - pool)
        return round(missing * spent / accepted, 1) if accepted else None, None, None

    def _warn(self, taken: RoundTime) -> None:
        """Say it once where even the shortest time that is likely is too long."""
        found = self._fit
        low, left, high = taken.seconds_left_low, taken.seconds_left, taken.seconds_left_high
        if self._warned or not found or low is None or left is None or high is None:
            return
        if low <= self._longest_s:
            return
        self._warned = True
        fit, rounds = found.likeliest, len(self._accepted)
        now, fall = f"{fit.at(taken.pool):,.3g}", "is steady"
        if fit.rate:
            fall = f"falls by half with every {math.log(2) / fit.rate:,.0f}"
        self._progress.line(
            f"warning: a pool of {self._target:,} will hardly be reached with this decoding. By "
            f"{rounds} rounds a round accepts {now} at {taken.pool:,} instructions, which {fall}; "
            f"the {self._target - taken.pool:,} that are missing would take {duration(left)} (80% "
            f"interval: {duration(low)} to {duration(high)}), and "
            f"watch.instructions.longest_hours is {self._longest_s / 3600:,.4g}. What may help: a "
            "higher instructions.sampling.temperature or top_p, or fewer instructions"
        )


def _left(taken: RoundTime) -> str:
    """The time left in words, with its range where there is one; empty where it is not known."""
    if taken.seconds_left is None:
        return ""
    said = f"{duration(taken.seconds_left)} left"
    if taken.seconds_left_low is None or taken.seconds_left_high is None:
        return said
    low, high = duration(taken.seconds_left_low), duration(taken.seconds_left_high)
    return said if low == high else f"{said} ({low} to {high})"
