"""What fine-tuning left of each cell, read back with every fault named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from refine_af.errors import InputError, shown
from refine_af.files.documents import read_document
from refine_af.records.cells import method_and_size
from refine_af.report.files import count, existing, read_table, real

COUNTS = ("instances", "tokens", "completion_tokens")


@dataclass(frozen=True)
class TunedCell:
    """Step, epoch and loss of a cell's updates, and how much text they came from.

    `tokens` are those of its rows, `completion_tokens` those among them that the loss is on.
    """

    history: pd.DataFrame
    instances: int
    tokens: int
    completion_tokens: int


def read_tuned(folders: Sequence[Path]) -> dict[tuple[str, str], TunedCell]:
    """The cells by the method and size that their folders are named for."""
    found = {}
    for folder in folders:
        cell = method_and_size(folder.name)
        if not cell[1]:
            raise InputError(f"{folder}: not named as a method and a size: {shown(folder.name)}")
        found[cell] = _read(folder)
    return found


def _read(folder: Path) -> TunedCell:
    path, summary = folder / "history.csv", existing(folder / "summary.json")
    history = read_table(path, {"step": count, **dict.fromkeys(("epoch", "loss"), real)})
    if history.empty:
        raise InputError(f"{path}: holds no update")
    document = read_document(summary)
    counts = []
    for name in COUNTS:
        value = document.get(name)
        if type(value) is not int or value < 0:
            raise InputError(f"{summary}: {name!r} is no count: {shown(value)}")
        counts.append(value)
    return TunedCell(history, *counts)
