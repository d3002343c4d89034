"""The loop of rounds: prompts to replies, each on disk before it is used, counted and timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from refine_af.engines.origins import Origins
from refine_af.engines.replies import Engine, Group, Reply
from refine_af.engines.reply_log import ReplyLog
from refine_af.jobs.progress import Progress

Row = TypeVar("Row")


@dataclass(frozen=True)
class Written:
    """A round's replies in the order of its prompts, and what this run had to do for them.

    It wrote `new` of them, with `tokens` tokens, in `seconds`; the `loading_s` seconds that the
    engine took to load are not in these.
    """

    replies: list[Reply]
    new: int
    tokens: int
    seconds: float
    loading_s: float

    @property
    def rate(self) -> str:
        """How fast the new ones were written, in words."""
        seconds = max(self.seconds, 1e-9)
        return f"{self.new / seconds:,.1f} replies/s · {self.tokens / seconds:,.0f} tokens/s"


def rounds_of(rows: Sequence[Row], prompts: int) -> list[Sequence[Row]]:
    """What is asked in `prompts` a round, in order; the last round may be shorter.

    What shares a batch decides a reply's last bits, so a round is the least that a job can take.
    """
    return [rows[start : start + prompts] for start in range(0, len(rows), prompts)]


class Rounds:
    """An engine's replies to rounds of prompts, kept in a log: none of them is asked for twice.

    The same round must have the same prompts and seeds in every run. What shares a batch decides
    a reply's last bits, so the engine gets the whole round, and is told what the log has of it.
    """

    def __init__(
        self, path: Path, engine: Engine, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log, self._engine, self._clock = ReplyLog(path), engine, clock
        self._origins = Origins(path)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def counted(
        self, number: int, groups: Sequence[Group], seeds: Sequence[int], progress: Progress
    ) -> Written:
        """A round as `written` gives it; `progress` counts its replies."""
        if known := len(self._log.known(number, len(seeds))):
            progress.skip(known)
        return self.written(number, groups, seeds, lambda _: progress.advance())

    def written(
        self,
        number: int,
        groups: Sequence[Group],
        seeds: Sequence[int],
        came: Callable[[int], None],
    ) -> Written:
        """A round's replies: those in the log, and the engine's; all are on disk on return.

        `came` is called after each new one, with how many there are.
        """
        began, loaded = self._clock(), self._engine.loading_s
        replies = self._log.known(number, len(seeds))
        known, tokens = len(replies), 0
        if known < len(seeds):
            for request, reply in self._engine(groups, seeds, answered=frozenset(replies)):
                # An engine that writes a round in one go repeats what the log has.
                if request not in replies:
                    self._origins.note(self._engine.origin, self._log.lines + 1)
                    self._log.add(number, request, reply)
                    replies[request] = reply
                    tokens += reply.tokens
                    came(len(replies))
            self._log.sync()
        loading_s = self._engine.loading_s - loaded
        return Written(
            replies=[replies[request] for request in range(len(seeds))],
            new=len(replies) - known,
            tokens=tokens,
            seconds=self._clock() - began - loading_s,
            loading_s=loading_s,
        )
