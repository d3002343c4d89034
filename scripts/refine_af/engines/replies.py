"""What an engine gives for a prompt, and what an engine is: the models' side of stages 1 and 3."""

from __future__ import annotations

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


def loaded_late(load: Callable[[], Engine]) -> Engine:
    """An engine that is loaded when the first prompts come: most often that takes longest."""
    loaded: list[Engine] = []

    def engine(
        tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        if not loaded:
            loaded.append(load())
        yield from loaded[0](tails, seeds, answered)

    return engine
