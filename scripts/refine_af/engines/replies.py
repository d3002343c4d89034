"""What an engine gives for a prompt, and what an engine is: the models' side of stages 1 and 3."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Finish = Literal["stop", "eos", "length"]


@dataclass(frozen=True)
class Reply:
    """A model's reply to a prompt, and how many tokens prompt and reply have.

    `text` ends before the stop string or end-of-text token that ended it, which `tokens` counts.
    `finish` says what ended it: a stop string, the end-of-text token, or the length limit.
    """

    text: str
    finish: Finish
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True)
class Group:
    """Prompts that begin with one `prefix`, which is computed once, and end in a tail each."""

    prefix: str
    tails: Sequence[str]


class Engine(Protocol):
    """Completes one prompt file's prompts, of which it is given the ends."""

    def __call__(
        self, tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        """Replies as they come, each with its prompt's place in `tails`.

        Reply i draws its random numbers from `seeds[i]`. Places in `answered` may be left out;
        where they are not, the reply is the one that was given before.
        """
        ...


def in_order(
    engine: Engine, tails: Sequence[str], seeds: Sequence[int], came: Callable[[], None]
) -> list[Reply]:
    """All replies in the order of their prompts; `came` is called at each one."""
    replies = {}
    for place, reply in engine(tails, seeds):
        replies[place] = reply
        came()
    return [replies[place] for place in range(len(tails))]


class LateEngine:
    """An engine that is loaded when the first prompts come, which took `loading_s` seconds."""

    def __init__(
        self, load: Callable[[], Engine], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._load, self._clock = load, clock
        self._engine: Engine | None = None
        self.loading_s = 0.0

    def __call__(
        self, tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        if self._engine is None:
            began = self._clock()
            self._engine = self._load()
            self.loading_s = self._clock() - began
        yield from self._engine(tails, seeds, answered)
