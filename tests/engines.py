"""An engine that is no model, and a tokenizer whose tokens are letters."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from refine_af.engines.form import Form
from refine_af.engines.replies import Group, Reply

Replies = Iterator[tuple[int, Reply]]


@dataclass
class Replying:
    """Gives what `reply` gives to all tails, their seeds and the places answered already."""

    reply: Callable[[Sequence[str], Sequence[int], Collection[int]], Replies]
    loading_s: float = 0.0
    origin: str = ""

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Replies:
        return self.reply([tail for group in groups for tail in group.tails], seeds, answered)


class Letters:
    """A tokenizer of which each character is a token, by its number; NUL ends a text."""

    name_or_path, eos_token, eos_token_id, bos_token_id = "letters", "\0", 0, None
    added_tokens_decoder: ClassVar[dict[int, object]] = {}

    def encode(self, text: str, **_: object) -> list[int]:
        return list(map(ord, text))


LETTERS = Form(Letters(), chat=None, room=None, ends=frozenset({0}))
