"""The numbers of a report, computed from one model's results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from refine_af.records.fixed_prompts import Answer
from refine_af.records.instances import Instance
from refine_af.report.finished_run import ModelRun

Cell = tuple[str, str]  # method and size; a baseline's size is empty

POOL_COUNTS = ("round", "requested", "parsed", "accepted", "rejected", "tokens")
INSTANCE_COUNTS = ("instructions", "parsed", "kept")


@dataclass(frozen=True)
class DatasetFigures:
    """Table V: numbers of instances and mean words, split at white space; nan without any text."""

    instances: int
    empty_inputs: int
    instruction_words: float
    input_words: float
    output_words: float


def reasons(table: pd.DataFrame, counts: Sequence[str]) -> dict[str, int]:
    """How many rejections each column of `table` beside `counts` names, the most frequent first."""
    totals = {str(name): int(table[name].sum()) for name in table if name not in counts}
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def parsed_counts(run: ModelRun) -> tuple[int, int]:
    """How many answers parsed before and after PPO."""
    before, after = zip(*run.answers, strict=True)
    return int(sum(map(parses, before))), int(sum(map(parses, after)))


def parses(answer: Answer) -> bool:
    return answer.output is not None


def dataset_figures(instances: Sequence[Instance]) -> DatasetFigures:
    """Table V; an instruction with several instances counts once among the instructions."""
    instructions = {row.instruction_id: row.instruction for row in instances}
    inputs = [row.input for row in instances if row.input.strip()]
    return DatasetFigures(
        instances=len(instances),
        empty_inputs=len(instances) - len(inputs),
        instruction_words=_mean_words(list(instructions.values())),
        input_words=_mean_words(inputs),
        output_words=_mean_words([row.output for row in instances]),
    )


def _mean_words(texts: Sequence[str]) -> float:
    return sum(len(text.split()) for text in texts) / len(texts) if texts else float("nan")


def sizes(scores: pd.DataFrame) -> list[str]:
    """The sizes of the tuned cells, the smallest first."""
    return sorted({size for size in scores["size"] if size}, key=int)


def cells(scores: pd.DataFrame) -> list[Cell]:
    """The baselines, then each method's cells by size."""
    found = dict.fromkeys(zip(scores["method"], scores["size"], strict=True))
    baselines = [cell for cell in found if not cell[1]]
    methods = dict.fromkeys(method for method, size in found if size)
    return baselines + [(method, size) for method in methods for size in sizes(scores)]


def cell_means(scores: pd.DataFrame) -> dict[Cell, Mapping[str, float]]:
    """Each cell's figures as means over instances, which is what the official evaluation does."""
    return {cell: instance_means(_rows_of(scores, cell)) for cell in cells(scores)}


def category_means(scores: pd.DataFrame, wanted: Sequence[Cell]) -> pd.DataFrame:
    """ROUGE-L by category and cell, with the category's tasks and instances."""
    base = _rows_of(scores, wanted[0]).groupby("category")
    columns = {"tasks": base["task"].count(), "instances": base["instances"].sum()}
    for cell in wanted:
        groups = _rows_of(scores, cell).groupby("category")
        columns[cell_name(cell)] = pd.Series(
            {name: instance_means(group)["rouge_l"] for name, group in groups}
        )
    return pd.DataFrame(columns).sort_values(["tasks", "instances"], ascending=False, kind="stable")


def cell_name(cell: Cell) -> str:
    method, size = cell
    return f"{method}, {int(size):,}" if size else method


def instance_means(rows: pd.DataFrame) -> dict[str, float]:
    """Means over instances of the figures of tasks."""
    figures = rows[["rouge_l", "exact_match", "reply_words", "eos_share"]]
    weighted = figures.mul(rows["instances"], axis=0).sum() / rows["instances"].sum()
    return {str(name): float(value) for name, value in weighted.items()}


def _rows_of(scores: pd.DataFrame, cell: Cell) -> pd.DataFrame:
    return scores[(scores["method"] == cell[0]) & (scores["size"] == cell[1])]
