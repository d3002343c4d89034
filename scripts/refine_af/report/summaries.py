"""What sections tell of one model's results: counts, means, and rows picked as examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import pandas as pd

from refine_af.records.fixed_prompts import Answer
from refine_af.report.finished_run import ModelRun

Row = TypeVar("Row")
Cell = tuple[str, str]  # method and size; a baseline's size is empty


def evenly_spaced(rows: Sequence[Row], wanted: int) -> list[Row]:
    """At most `wanted` rows, evenly spaced from the first: examples that nobody picked."""
    kept = min(wanted, len(rows))
    return [rows[index * len(rows) // kept] for index in range(kept)]


def reasons(table: pd.DataFrame, counts: Sequence[str]) -> dict[str, int]:
    """How many rejections each column of `table` beside `counts` names, the most frequent first."""
    totals = {str(name): int(table[name].sum()) for name in table if name not in counts}
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def parsed_counts(run: ModelRun) -> tuple[int, int]:
    """How many answers parsed before and after PPO."""
    before, after = zip(*run.answers, strict=True)
    return int(sum(map(parses, before))), int(sum(map(parses, after)))


def parses(answer: Answer) -> bool:
    """Whether an answer could be parsed: only then it has an output."""
    return answer.output is not None


def sizes(scores: pd.DataFrame) -> list[str]:
    """The sizes of the tuned cells, the smallest first."""
    return sorted({size for size in scores["size"] if size}, key=int)


def cells(scores: pd.DataFrame) -> list[Cell]:
    """The baselines, then each method's cells by size."""
    found = dict.fromkeys(zip(scores["method"], scores["size"], strict=True))
    baselines = [cell for cell in found if not cell[1]]
    methods = dict.fromkeys(method for method, size in found if size)
    return baselines + [(method, size) for method in methods for size in sizes(scores)]


def largest_cells(scores: pd.DataFrame) -> list[Cell]:
    """The baselines and each method at the largest size."""
    largest = sizes(scores)[-1]
    return [cell for cell in cells(scores) if cell[1] in ("", largest)]


def cell_means(scores: pd.DataFrame) -> dict[Cell, Mapping[str, float]]:
    """Each cell's figures as means over instances, which is what the official evaluation does."""
    return {cell: _instance_means(rows_of(scores, cell)) for cell in cells(scores)}


def category_means(scores: pd.DataFrame, wanted: Sequence[Cell]) -> pd.DataFrame:
    """ROUGE-L by category and cell, with the category's tasks and instances."""
    base = rows_of(scores, wanted[0]).groupby("category")
    columns = {"tasks": base["task"].count(), "instances": base["instances"].sum()}
    for cell in wanted:
        groups = rows_of(scores, cell).groupby("category")
        columns[cell_name(cell)] = pd.Series(
            {name: _instance_means(group)["rouge_l"] for name, group in groups}
        )
    return pd.DataFrame(columns).sort_values(["tasks", "instances"], ascending=False, kind="stable")


def cell_name(cell: Cell) -> str:
    """`refine-af, 15,000`; of a baseline its name alone."""
    method, size = cell
    return f"{method}, {int(size):,}" if size else method


def _instance_means(rows: pd.DataFrame) -> dict[str, float]:
    """Means over instances of the figures of tasks."""
    figures = rows[["rouge_l", "exact_match", "reply_words", "eos_share"]]
    weighted = figures.mul(rows["instances"], axis=0).sum() / rows["instances"].sum()
    return {str(name): float(value) for name, value in weighted.items()}


def rows_of(scores: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    """A cell's tasks in a table of scores."""
    return scores[(scores["method"] == cell[0]) & (scores["size"] == cell[1])]
