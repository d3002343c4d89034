"""CSV tables: a row of column names, then one row an entry; of counts, a single row."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.files.landing import whole_file


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str | int | float]]
) -> None:
    """Write rows that hold exactly `columns` as CSV in UTF-8, complete or not at all."""
    with whole_file(path) as aside, open(aside, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def read_counts(path: Path, columns: Sequence[str]) -> dict[str, int]:
    """The counts of a table of one row, in the file's order of columns.

    InputError naming file and value at the first that is no count, and where one of `columns` is
    not there.
    """
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        try:
            rows = list(csv.DictReader(file))
        except csv.Error as error:
            raise InputError(f"{path}: no table of counts: {error}") from None
    if len(rows) != 1:
        raise InputError(f"{path}: {len(rows)} rows of counts, where a segment has one")
    found = {}
    for name, value in rows[0].items():
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,12}", value):
            raise InputError(f"{path}: {shown(name)} is no count: {shown(value)}")
        found[name] = int(value)
    for name in columns:
        if name not in found:
            raise InputError(f"{path}: no column {name!r}")
    return found
