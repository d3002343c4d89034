"""Replies whose answers a rule checks, on the page: how many of each model's cells are right."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pandas as pd

from refine_af.metrics.checkable import ALL
from refine_af.report.pages import Html, paragraph, section, table
from refine_af.report.wording import number

Row = dict[Hashable, Any]


def right_answers_section(counts: pd.DataFrame | None) -> Html:
    """Right replies of every model and cell, of all and of each kind, with Wilson's 95% interval.

    `counts` has the columns of `refine_af.metrics.checkable.COLUMNS`; without it nothing is said.
    """
    if counts is None:
        return Html()
    rows = counts.to_dict("records")
    kinds = {kind: [row for row in rows if row["solver"] == kind] for kind in _kinds(rows)}
    whole = kinds[ALL]
    return section(
        "right_answers",
        "Answers that a rule checks",
        paragraph(
            f"The user-oriented instructions of this run are {whole[0]['instructions']} whose one "
            "right answer a rule knows, such as sums and sorted lists. Nothing was trained on "
            "them. The first line of a reply counts, and more than the answer makes it wrong, but "
            "for words such as “The answer is”.",
        ),
        table(
            "Right replies, their share, and its 95% interval (Wilson)",
            ["", *(f"{row['model']}, {row['cell']}" for row in whole)],
            [
                ["share", *map(_share, whole)],
                *([kind, *map(_count, of_kind)] for kind, of_kind in kinds.items()),
            ],
        ),
    )


def _kinds(rows: list[Row]) -> list[str]:
    """All, and then the solvers."""
    return [ALL, *(kind for kind in dict.fromkeys(row["solver"] for row in rows) if kind != ALL)]


def _share(row: Row) -> str:
    mean, low, high = (number(row[name], 2) for name in ("share", "low", "high"))
    return f"{mean} ({low} to {high})"


def _count(row: Row) -> str:
    return f"{row['right']} of {row['instructions']}"
