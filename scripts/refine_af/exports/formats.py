"""A method's instances in the formats that others read: Alpaca's JSON, and columns for Parquet."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.documents import SURROGATE
from refine_af.files.tables import read_counts
from refine_af.records.instances import Instance

TEXTS = ("instruction", "input", "output")
NUMBER = "float64"
TYPES = {"str": "string", "float": NUMBER}
FIELDS = fields(Instance)
COUNTS = ("instructions", "classification", "parsed", "kept")
MOST = sys.float_info.max

Kind = str | dict[str, str] | list[dict[str, str]]  # of a column; a list of one is of any length


@dataclass(frozen=True)
class Texts:
    """Instances that any reader takes, and how many of them held half a character."""

    instances: list[Instance]
    mended: int


def whole_characters(instances: Sequence[Instance]) -> Texts:
    """The instances with U+FFFD for every lone surrogate.

    UTF-8 cannot hold one, and readers of JSON refuse its escape. All other characters stay.
    """
    found = [
        replace(
            row,
            instruction=whole_text(row.instruction),
            input=whole_text(row.input),
            output=whole_text(row.output),
        )
        for row in instances
    ]
    mended = sum(before != after for before, after in zip(instances, found, strict=True))
    return Texts(found, mended)


def whole_text(text: str) -> str:
    """A text with U+FFFD for every lone surrogate."""
    return SURROGATE.sub("\ufffd", text)


def alpaca(instances: Sequence[Instance]) -> list[dict[str, str]]:
    """The rows of Alpaca's format (stanford_alpaca@761dc5bf, alpaca_data.json)."""
    return [{name: getattr(row, name) for name in TEXTS} for row in instances]


def column_kinds(
    instances: Sequence[Instance], components: Sequence[str] | None = None
) -> dict[str, Kind]:
    """Each column of the data set with its type there; the components are one, a score a name.

    InputError naming an instance that has other `components` than the first, or than are given,
    or a score that is no number.
    """
    names = list(instances[0].components) if components is None else components
    for row in instances:
        scores = {"reward": row.reward, **row.components}
        # Not `>`, which a nan would pass.
        if odd := {name: score for name, score in scores.items() if not abs(score) <= MOST}:
            raise InputError(f"{row.id} has the scores {shown(odd)}")
        if row.components.keys() != set(names):
            raise InputError(
                f"{row.id} has the components {', '.join(row.components)}, and others before it "
                f"have {', '.join(names)}"
            )
    kinds = dict.fromkeys(names, NUMBER)
    return {entry.name: TYPES.get(str(entry.type), kinds) for entry in FIELDS}


def columns(instances: Sequence[Instance]) -> dict[str, list[Any]]:
    """The instances by column."""
    return {entry.name: [getattr(row, entry.name) for row in instances] for entry in FIELDS}


def counts_of(files: Sequence[Path], instances: int) -> Counter[str]:
    """The sums of the segments' counts, in the files' order of columns.

    InputError naming file and value at the first that is no count, and where the segments hold
    another number of instances than `instances`.
    """
    if not files:
        raise InputError("--segments: none is named")
    total: Counter[str] = Counter()
    for path in files:
        total.update(read_counts(path, COUNTS))
    if total["kept"] != instances:
        raise InputError(
            f"{files[0]} and the others count {total['kept']} instances, not {instances}"
        )
    return total
