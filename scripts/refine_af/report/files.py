"""A finished run's tables and rows, read with every fault named."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from refine_af.errors import InputError, shown
from refine_af.files.rows import read_records


def read_table(
    path: Path,
    columns: Mapping[str, Callable[[str], Any]],
    further: Callable[[str], Any] | None = None,
) -> pd.DataFrame:
    """A CSV file's `columns`, and with `further` all others too, each read by its function.

    InputError names file, line, column and value at the first that a function refuses.
    """
    try:
        with open(existing(path), encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            head = next(reader, [])
            lines = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV in UTF-8 ({error})") from None
    for name in columns:
        if head.count(name) != 1:
            raise InputError(f"{path}: not one column {name!r} in {shown(head)}")
    kinds = {name: columns.get(name, further) for name in head}
    rows = []
    for line, row in lines:
        if len(row) != len(head):
            raise InputError(f"{path}, line {line}: {len(row)} values for {len(head)} columns")
        values = {}
        for name, text in zip(head, row, strict=True):
            kind = kinds[name]
            if kind is None:
                continue
            try:
                values[name] = kind(text)
            except ValueError as error:
                raise InputError(f"{path}, line {line}: {name!r} {error}: {shown(text)}") from None
        rows.append(values)
    return pd.DataFrame(rows, columns=[name for name in head if kinds[name]])


def count(text: str) -> int:
    """A whole number of things."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("is no count")
    return int(text)


def real(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("is no finite number")
    return value


def real_or_none(text: str) -> float:
    """A finite number, or nan of an empty text."""
    return real(text) if text else math.nan


def read_rows(paths: Sequence[Path], kind: type[Any], *, extra: bool = False) -> list[Any]:
    """The rows of several JSON Lines files as `kind`; `extra` lets unknown keys pass unread."""
    return [row for path in paths for row in read_records(existing(path), kind, extra=extra)]


def read_tables(paths: Sequence[Path], names: Sequence[str]) -> pd.DataFrame:
    """Tables of counts as one; a column, such as a reason, that one of them lacks is 0 there."""
    tables = [read_table(path, dict.fromkeys(names, count), count) for path in paths]
    table = pd.concat(tables, ignore_index=True).fillna(0).astype(int)
    if table.empty:
        raise InputError(f"{paths[0]}: holds no row")
    return table


def seen_from(page: Path, paths: Iterable[Path]) -> list[str]:
    """Paths as they are named on a page: as seen from its folder."""
    return [os.path.relpath(path, page.parent) for path in paths]


def existing(path: Path) -> Path:
    """The path itself. InputError where there is no such file."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    return path
