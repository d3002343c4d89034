"""What is kept of the rows of one model and method once they are written: numbers and examples."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refine_af.exports.formats import TEXTS
from refine_af.randomness import derived_seed

LENGTHS = tuple(f"{name}_{unit}" for unit in ("words", "tokens") for name in TEXTS)
NUMBERS = ("reward", "seed_rouge_l", "nearest_rouge_l", "reference_rouge_l", *LENGTHS)


@dataclass
class Part:
    """A model's rows by a method: how many there are, where they stand, and what is told of them.

    `numbers` has a value a row, without those that are None; `counts` is what became of the pairs
    that the model wrote; `mended` counts rows that held half a character. Where the rows were not
    `compared` with the evaluation sets, `overlapping` tells nothing.
    """

    model: str
    method: str
    counts: Mapping[str, int]
    mended: int
    files: int
    compared: bool
    rows: int = 0
    overlapping: int = 0
    numbers: dict[str, array[float]] = field(
        default_factory=lambda: {name: array("d") for name in NUMBERS}
    )
    examples: list[dict[str, Any]] = field(default_factory=list)
    outputs: set[bytes] = field(default_factory=set)
    instructions: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)

    @property
    def name(self) -> str:
        """What `load_dataset` calls it, and its folder."""
        return f"{self.model}_{self.method}"

    def add(self, row: dict[str, Any], shown: Container[int]) -> None:
        """Count a row, and keep it as an example where its place is among those `shown`."""
        if self.rows in shown:
            self.examples.append(row)
        self.rows += 1
        self.overlapping += bool(row["overlaps"])
        self.instructions.add(row["instruction_id"])
        self.outputs.add(hashlib.sha256(row["output"].encode("utf-8")).digest())
        if row["verb"] is not None and row["noun"] is not None:
            self.pairs.add((row["verb"], row["noun"]))
        for name, values in self.numbers.items():
            if row[name] is not None:
                values.append(row[name])


def drawn(rows: int, count: int, seed: int, *purpose: str) -> set[int]:
    """The places of `count` rows of so many, at random; fewer are among those of more."""
    ranked = sorted(range(rows), key=lambda place: derived_seed(seed, *purpose, place))
    return set(ranked[:count])


def columns_of(rows: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, list[Any]]:
    """Rows by column."""
    return {name: [row[name] for row in rows] for name in names}


def chunks(rows: Iterable[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """The rows in lists of at most so many."""
    held: list[dict[str, Any]] = []
    for row in rows:
        held.append(row)
        if len(held) == most:
            yield held
            held = []
    if held:
        yield held
