"""Numbers, tables and settings of a card for the hub, in Markdown."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from typing import Any

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (10**6, "100K<n<1M"))
# Printable by their category, and yet not seen: fillers, joiners, selectors of variants.
UNSEEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0100-\U000e01ef]"
)


def size_category(rows: int) -> str:
    """The hub's name for a data set of so many rows."""
    return next((name for limit, name in SIZES if rows < limit), "1M<n<10M")


def plain_json(value: Any) -> str:
    """JSON with the letters of every script as they are, and what hides by its number."""
    return "".join(
        letter
        if letter == "\n" or (letter.isprintable() and not UNSEEN.match(letter))
        else json.dumps(letter)[1:-1]
        for letter in json.dumps(value, indent=1, ensure_ascii=False)
    )


def spread(values: Sequence[float], digits: int) -> list[str]:
    """Mean, standard deviation, least, median and most."""
    if not values:
        return ["–"] * 5
    found = [statistics.fmean(values), statistics.pstdev(values)]
    found += [min(values), statistics.median(values), max(values)]
    return [f"{value:.{digits}f}" for value in found]


def share(part: int, whole: int) -> str:
    """Percent, or a dash of nothing."""
    return f"{part / whole:.1%}" if whole else "–"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are Markdown themselves."""
    lines = [head, ["---"] * len(head), *rows]
    cells = [[cell.replace("|", "\\|") for cell in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)
