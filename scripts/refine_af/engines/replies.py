"""What an engine is, and what it gives for a prompt."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Finish = Literal["stop", "eos", "length", "cut"]


@dataclass(frozen=True)
class Reply:
    """A model's reply to a prompt, and how many tokens prompt and reply have.

    `text` ends before the stop string or end-of-text token that ended it, which `tokens` counts.
    `finish` says what ended it: a stop string, the end-of-text token, the length limit, or the
    `Ending` of its prompt.
    """

    text: str
    finish: Finish
    prompt_tokens: int
    tokens: int


@dataclass(frozen=True)
class Ending:
    """Where replies end before the model ends them, by their texts alone.

    `place` gives where a text so far is to end, or None; for any text that goes on from one with a
    place it must give the same. It is asked after a character of `signs`, and now and then.
    """

    signs: str
    place: Callable[[str], int | None]


@dataclass(frozen=True)
class Group:
    """Prompts that begin with one `prefix`, which is computed once, and end in a tail each.

    An engine may end a reply once `ending` gives it a place, and need not: who asks cuts again.
    """

    prefix: str
    tails: Sequence[str]
    ending: Ending | None = None


class Engine(Protocol):
    """Completes prompts; a model is loaded at the first call."""

    @property
    def loading_s(self) -> float:
        """The seconds spent on loading so far."""

    @property
    def origin(self) -> str:
        """Which server gave the last reply, as JSON; "" of a model in this process."""

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        """Replies as they come, each with its prompt's place among all tails of the groups.

        Reply i draws its random numbers from `seeds[i]`. `answered` holds the places whose replies
        the caller has: they may be left out; where they are not, the same reply comes again.
        """
        ...
