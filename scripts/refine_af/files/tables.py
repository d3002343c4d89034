"""CSV tables: a row of column names, then one row an entry."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from refine_af.files.landing import whole_file


def write_table(
    path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, str | int | float]]
) -> None:
    """Write rows that hold exactly `columns` as CSV in UTF-8, complete or not at all."""
    with whole_file(path) as aside, open(aside, "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
