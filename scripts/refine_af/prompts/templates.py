"""Prompt files: text with named slots, each filled in one pass."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError
from refine_af.prompts.marked import Marked, Span, own

SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Prompt:
    """A prompt file in two parts: what all its prompts begin with, and the rest, with the slots.

    Of the texts that it gives, the file's own are marked: a special token's name is one there.
    """

    prefix: str
    rest: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "prefix", own(self.prefix))

    def tail(self, **values: str) -> Marked:
        """The text after the prefix with every slot filled.

        What a value holds is never a slot, and never a special token.
        """
        pieces, spans, place = [], list[Span](), 0
        for number, piece in enumerate(SLOT.split(self.rest)):
            fixed = number % 2 == 0  # every other one is a slot's name
            text = piece if fixed else str(values[piece])
            if fixed and text:
                spans.append((place, place + len(text)))
            pieces.append(text)
            place += len(text)
        return Marked("".join(pieces), spans)

    def fill(self, **values: str) -> Marked:
        return own(self.prefix) + self.tail(**values)


def prompt_of(text: str, slots: set[str], source: str) -> Prompt:
    """The prompt that `text` states. InputError where its slots are not exactly `slots`."""
    found = set(SLOT.findall(text))
    for slot in sorted(found - slots):
        raise InputError(f"{source}: unknown slot {{{slot}}}; known are {sorted(slots)}")
    for slot in sorted(slots - found):
        raise InputError(f"{source}: the slot {{{slot}}} is missing")
    first = SLOT.search(text)
    # A space before a word is part of the word's token: it goes with the slot that it precedes.
    start = len(text[: first.start()].rstrip(" ")) if first else len(text)
    return Prompt(prefix=text[:start], rest=text[start:])


def read_prompt(path: Path, slots: set[str]) -> Prompt:
    """The prompt in a file. InputError where it is not UTF-8 or its slots are not `slots`."""
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    if text.startswith("\ufeff"):
        raise InputError(f"{path}: begins with a byte order mark, which the model would read")
    return prompt_of(text, slots, str(path))
