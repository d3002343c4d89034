"""Numbered lists of tasks: the one that a prompt begins, and the items with which a reply goes on.

Source: yizhongw/self-instruct@0b26ccaa, self_instruct/bootstrap_instructions.py, with the
numbering "Task 1:" of the paper's appendix IX-C.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable, Sequence
from functools import lru_cache

from refine_af.prompts.markdown import marked_numbers, plain_numbers
from refine_af.settings.instructions import InstructionFilter, Instructions
from refine_af.settings.sampling import Sampling
from refine_af.words import begins_with, holds_keyword, words_of

LONGEST_LOOP = 32  # words that are said again
SURROGATE = re.compile("[\ud800-\udfff]")

ITEM_REASONS = (
    "no room",
    "truncated",
    "empty",
    "not unicode",
    "too short",
    "too long",
    "loop",
    "keyword",
    "prefix",
    "punctuation",
    "not ascii",
)


def demonstrations(settings: Instructions) -> int:
    """How many tasks a prompt shows before it asks for more."""
    return settings.human_demonstrations + settings.machine_demonstrations


def task_list(instructions: Sequence[str], numbering: str) -> str:
    """The demonstrations as a numbered list that the model is to continue (appendix IX-C)."""
    texts = [" ".join(text.split()).rstrip(":：") for text in instructions]
    numbers = [numbering.replace("{number}", str(place + 1)) for place in range(len(texts) + 1)]
    lines = [f"{number} {text}\n" for number, text in zip(numbers, texts, strict=False)]
    return "".join(lines) + numbers[-1]


def decoding(settings: Instructions) -> Sampling:
    """The sampling, with the end of the list, if set, among its stop strings: `Task 16`."""
    if settings.last_item is None:
        return settings.sampling
    before, _, after = settings.numbering.partition("{number}")
    number = f"{before}{settings.last_item + 1}"
    end = number if before.strip() else f"\n{number}{after}"
    return settings.sampling.model_copy(update={"stop": (*settings.sampling.stop, end)})


def items(text: str, settings: Instructions, *, truncated: bool) -> list[tuple[str, bool]]:
    """The items of a reply, on one line each, and whether each is whole.

    Items count by place, whatever number the model gave them; those past `last_item`, if set, are
    left out. A `truncated` reply, which the length limit ended, has no whole last item, or none at
    all, as `filter.truncated` says. Where numbers are `spaced`, Markdown around them does not
    count, nor do those that a reply begins with: a chat model begins a list of its own.
    """
    if settings.splitting == "spaced":
        text = plain_numbers(text, settings.numbering)
        text = _said_again(settings.numbering).sub("", text)
    parts = _beginning(settings.numbering, settings.splitting).split(text)
    whole = len(parts)
    if truncated:
        whole = len(parts) - 1 if settings.filter.truncated == "drop item" else 0
    lines = [" ".join(part.split()) for part in parts]
    if settings.filter.capitalize:
        lines = [line.capitalize() for line in lines]
    found = [(line, place < whole) for place, line in enumerate(lines)]
    last = settings.last_item
    return found if last is None else found[: last - demonstrations(settings)]


def item_ends(text: str, settings: Instructions) -> list[int]:
    """Where the items of a reply end, each where the number of the next one begins.

    A number counts once a character follows it, so that what is written later changes none.
    """
    beginning = _beginning(settings.numbering, settings.splitting)
    found = {match.start() for match in beginning.finditer(text) if match.end() < len(text)}
    if settings.splitting == "spaced":
        found |= set(marked_numbers(text, settings.numbering))
    return sorted(found)


def loop_end(words: Iterable[str], times: int) -> int | None:
    """After how many of the words the same ones, at most 32, stand `times` times in a row."""
    said: list[str] = []
    # By the length of what is said again: how many words in a row were said that long ago.
    runs = [0] * (LONGEST_LOOP + 1)
    for word in words:
        said.append(word.casefold())
        for length in range(1, min(LONGEST_LOOP, len(said) - 1) + 1):
            runs[length] = runs[length] + 1 if said[-1] == said[-1 - length] else 0
            if runs[length] == (times - 1) * length:
                return len(said)
    return None


def refusal(text: str, rules: InstructionFilter) -> str | None:
    """The reason of the first of Self-Instruct's rules that refuses an item, or None."""
    said = words_of(text)
    words = len(said)
    # By what spaces part too, as a reply is ended while it is written.
    loops = rules.loop and (loop_end(said, rules.loop) or loop_end(text.split(), rules.loop))
    checks = {
        "empty": not text,
        "not unicode": SURROGATE.search(text),
        "too short": words < rules.min_words,
        "too long": words > rules.max_words,
        "loop": loops,
        "keyword": holds_keyword(text, rules.keywords),
        "prefix": begins_with(text, rules.prefixes),
        "punctuation": not rules.punctuation and text[:1] in string.punctuation,
        "not ascii": not rules.non_ascii and not text[:1].isascii(),
    }
    return next((reason for reason, holds in checks.items() if holds), None)


@lru_cache
def _beginning(numbering: str, splitting: str) -> re.Pattern[str]:
    """What an item begins with: exactly, or with spaces as they come.

    A bare number must begin a line.
    """
    if splitting == "exact":
        before, after = map(re.escape, numbering.rstrip().split("{number}"))
        return re.compile(rf"\n{before}\d+\s?{after} ")
    before, after = _spaced(numbering)
    spaced = rf"\d+\s*{after}"
    return re.compile(rf"\n?{before}\s*{spaced}" if before else rf"\n[^\S\n]*{spaced}(?!\d)")


@lru_cache
def _said_again(numbering: str) -> re.Pattern[str]:
    """The numbers that a reply begins with."""
    before, after = _spaced(numbering)
    number = rf"{before}\s*\d+" if before else r"\d+"  # each space in one place: no backtracking
    return re.compile(rf"\A(?:\s*{number}\s*{after}(?!\d))+")


def _spaced(numbering: str) -> tuple[str, str]:
    """Patterns of what stands before and after a number, with any spaces."""
    before, after = (
        r"\s*".join(map(re.escape, part.split())) for part in numbering.split("{number}")
    )
    return before, after
