"""How many replies are right, where a rule checks them, read back from its table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from refine_af.errors import InputError
from refine_af.metrics.checkable import ALL, COLUMNS
from refine_af.report.files import count, read_table, real


def read_right_answers(path: Path) -> pd.DataFrame:
    """The table of `refine_af.metrics.checkable`; InputError names file, line and value."""
    texts, counts = dict.fromkeys(COLUMNS[:3], str), dict.fromkeys(COLUMNS[3:5], count)
    found = read_table(path, texts | counts | dict.fromkeys(COLUMNS[5:], real))
    if found.empty or ALL not in set(found["solver"]):
        raise InputError(f"{path}: no row of solver {ALL!r}")
    return found[list(COLUMNS)]
