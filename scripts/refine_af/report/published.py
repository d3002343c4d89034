"""The numbers that the paper prints, read from the tables that the project ships."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from refine_af.errors import InputError
from refine_af.report.files import count, read_table, real, real_or_none, seen_from
from refine_af.report.rated import QUESTIONS
from refine_af.settings.reward import Weights

# Instances of each category in Super-NI's test set (natural-instructions@55a36563).
CATEGORY_INSTANCES = {
    "textual_entailment": 2400,
    "title_generation": 1784,
    "coreference_resolution": 1400,
    "answerability_classification": 1300,
    "question_rewriting": 1100,
    "data_to_text": 826,
    "word_analogy": 800,
    "cause_effect_classification": 700,
    "dialogue_act_recognition": 700,
    "keyword_tagging": 500,
    "overlap_extraction": 200,
    "grammar_error_correction": 100,
}
# Eq. 1, restored from arXiv 2307.06290, and the reward of what cannot be parsed, as config.yaml has
# them; an experiment may have others.
EQUATION_1 = Weights.model_validate(
    {
        "reward_model": 0.0078,
        "naturalness": 0.3212,
        "coherence": 0.1520,
        "understandability": -0.4421,
        "constant": -0.0274,
        "unparseable": -0.6,
    }
)
TABLE_3_SIZE = "15000"  # the number of instructions that table III is of
# Table V's columns: how many there are of what, and mean words.
STATISTICS: dict[str, Callable[[str], float]] = {
    "instructions": count,
    "instances": count,
    "empty_inputs": count,
    "instruction_words": real,
    "input_words": real,
    "output_words": real,
}


@dataclass(frozen=True)
class Paper:
    """What the paper prints of its backbones, by model and whatever else is named here.

    Table II's ROUGE-L by size and method, and by size its percentages of tasks on which refine-af
    is better; table III's ROUGE-L by category and method; table IV's percentages of yes by
    question; table V by its columns, `STATISTICS`; Spearman's correlation of figure 2, the unique
    pairs of figure 8, and of all backbones together the mean ROUGE-L of figure 5. `sources` are
    the files that hold it, by item, such as `table_2`, as seen from the page's folder.
    """

    scores: dict[tuple[str, str, str], float]
    tasks_better: dict[tuple[str, str], float]
    categories: dict[tuple[str, str, str], float]
    reviews: dict[tuple[str, str], float]
    statistics: dict[str, dict[str, float]]
    spearman: dict[str, float]
    unique_pairs: dict[str, int]
    nearest_reference: float
    sources: dict[str, str]

    @property
    def models(self) -> list[str]:
        """The paper's backbones, in the order of table II."""
        return list(dict.fromkeys(model for model, _, _ in self.scores))

    def average(self, model: str, method: str) -> float:
        """Table III's categories, each weighing as its instances: what table II should print."""
        return sum(
            count * self.categories[model, category, method]
            for category, count in CATEGORY_INSTANCES.items()
        ) / sum(CATEGORY_INSTANCES.values())


def read_paper(files: Sequence[Path], page: Path) -> Paper:
    """What the files of `resources/paper` hold, each known by its name.

    `page` is where they will be named.

    InputError where one is missing or broken, or lacks a category or a question of a backbone.
    """
    paths = {path.name: path for path in files}
    table_2, table_3 = (_named(paths, f"table_{number}.csv") for number in (2, 3))
    found = _by_key(
        read_table(table_3, {"model": str, "category": str, "method": str, "rouge_l": real})
    )
    kinds: dict[str, Callable[[str], Any]] = {
        "model": str,
        "size": str,
        "method": str,
        "rouge_l": real,
    }
    printed = read_table(table_2, {**kinds, "tasks_better": real_or_none})
    scores = _by_key(printed[list(kinds)])
    for model, _, method in scores:
        for category in CATEGORY_INSTANCES:
            if (model, category, method) not in found:
                raise InputError(f"{table_3}: no row of {model}, {category}, {method}")
    statistics = _by_model(_named(paths, "table_5.csv"), STATISTICS)
    better = _by_key(printed[["model", "size", "method", "tasks_better"]].dropna())
    return Paper(
        scores=scores,
        tasks_better={(model, size): value for (model, size, _), value in better.items()},
        categories=found,
        reviews=_reviews(_named(paths, "table_4.csv"), statistics),
        statistics=statistics,
        spearman=_one_by_model(_named(paths, "figure_2.csv"), "spearman", real),
        unique_pairs=_one_by_model(_named(paths, "figure_8.csv"), "unique_pairs", count),
        nearest_reference=_one(_named(paths, "figure_5.csv"), "mean_rouge_l"),
        sources={path.stem: name for path, name in zip(files, seen_from(page, files), strict=True)},
    )


def _named(paths: Mapping[str, Path], name: str) -> Path:
    if name not in paths:
        raise InputError(f"--paper: no {name} among {', '.join(map(str, paths.values()))}")
    return paths[name]


def _by_key(table: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """The last column by the three before it."""
    columns = (table[name].to_list() for name in table)
    return {(model, row, method): value for model, row, method, value in zip(*columns, strict=True)}


def _reviews(path: Path, models: Iterable[str]) -> dict[tuple[str, str], float]:
    """Table IV, which has every question of each of the models."""
    table = read_table(path, {"model": str, "question": str, "yes": real})
    keys = zip(table["model"], table["question"], strict=True)
    found = dict(zip(keys, table["yes"].to_list(), strict=True))
    for model in models:
        for question in QUESTIONS:
            if (model, question) not in found:
                raise InputError(f"{path}: no row of {model}, {question}")
    return found


def _by_model(path: Path, columns: Mapping[str, Callable[[str], Any]]) -> dict[str, dict[str, Any]]:
    """A row's columns, by model."""
    rows = read_table(path, {"model": str, **columns}).to_dict("records")
    return {
        str(row.pop("model")): {str(name): value for name, value in row.items()} for row in rows
    }


def _one_by_model(path: Path, column: str, kind: Callable[[str], Any]) -> dict[str, Any]:
    """One column, by model."""
    return {model: row[column] for model, row in _by_model(path, {column: kind}).items()}


def _one(path: Path, column: str) -> float:
    """The value of a table of one."""
    values = read_table(path, {column: real})[column].to_list()
    if len(values) != 1:
        raise InputError(f"{path}: {len(values)} rows, not one")
    return float(values[0])
