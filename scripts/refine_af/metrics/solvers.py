"""Tasks whose right output follows from their input by a rule: the solver of each, by name.

A solver gives the right output of any input of its form, and None for any other text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

Solver = Callable[[str], str | None]


def comma(items: Sequence[object]) -> str:
    """A list as inputs and outputs write it: `a, b, c`."""
    return ", ".join(map(str, items))


def of_numbers(answer: Callable[[list[int]], object]) -> Solver:
    """A solver of lists of whole numbers, such as `3, 1, 2`."""

    def solve(text: str) -> str | None:
        if not re.fullmatch(r"\d{1,9}(, \d{1,9})*", text, re.ASCII):
            return None
        return str(answer([int(number) for number in text.split(", ")]))

    return solve


def of_pair(answer: Callable[[int, int], int]) -> Solver:
    """A solver of two whole numbers, such as `3 and 1`."""

    def solve(text: str) -> str | None:
        found = re.fullmatch(r"(\d{1,9}) and (\d{1,9})", text, re.ASCII)
        return str(answer(int(found[1]), int(found[2]))) if found else None

    return solve


def of_items(answer: Callable[[list[str]], object]) -> Solver:
    """A solver of lists of words, such as `pear, fig`; any text is a list of one item at least."""
    return lambda text: str(answer(text.split(", ")))


def of_word(answer: Callable[[str], object]) -> Solver:
    """A solver of one word of letters."""
    return lambda text: str(answer(text)) if text.isalpha() else None


def of_text(answer: Callable[[str], object]) -> Solver:
    """A solver of any text but a blank one."""
    return lambda text: str(answer(text)) if text.strip() else None


SOLVERS: dict[str, Solver] = {
    "add": of_pair(lambda x, y: x + y),
    "subtract": of_pair(lambda x, y: x - y),
    "multiply": of_pair(lambda x, y: x * y),
    "sum": of_numbers(sum),
    "sort_up": of_numbers(lambda x: comma(sorted(x))),
    "sort_down": of_numbers(lambda x: comma(sorted(x, reverse=True))),
    "maximum": of_numbers(max),
    "minimum": of_numbers(min),
    "sort_words": of_items(lambda x: ", ".join(sorted(x, key=str.casefold))),
    "reverse": of_items(lambda x: comma(x[::-1])),
    "first_item": of_items(lambda x: x[0]),
    "last_item": of_items(lambda x: x[-1]),
    "drop_first": of_items(lambda x: comma(x[1:])),
    "count_items": of_items(len),
    "count_letters": of_word(len),
    "reverse_letters": of_word(lambda x: x[::-1]),
    "count_words": of_text(lambda x: len(x.split())),
    "upper": of_text(str.upper),
    "lower": of_text(str.lower),
    "copy": of_text(lambda x: x),
}
