"""An engine that is no model: a function that replies to the ends of the prompts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from refine_af.engines.replies import Group, Reply

Replies = Iterator[tuple[int, Reply]]


@dataclass
class Replying:
    """Gives what `reply` gives to all tails, their seeds and the places answered already."""

    reply: Callable[[Sequence[str], Sequence[int], Collection[int]], Replies]
    loading_s: float = 0.0

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Replies:
        return self.reply([tail for group in groups for tail in group.tails], seeds, answered)
