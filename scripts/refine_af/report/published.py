"""The numbers that the paper prints, read from the tables that the project ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from refine_af.errors import InputError
from refine_af.report.files import read_table, real, real_or_none
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


@dataclass(frozen=True)
class Paper:
    """Table II's ROUGE-L by (model, size, method) and its percentages of tasks on which refine-af
    is better by (model, size); table III's ROUGE-L by (model, category, method)."""

    scores: dict[tuple[str, str, str], float]
    tasks_better: dict[tuple[str, str], float]
    categories: dict[tuple[str, str, str], float]

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


def read_paper(table_2: Path, table_3: Path) -> Paper:
    """The paper's tables. InputError where they are broken, or lack a category of a backbone."""
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
    better = _by_key(printed[["model", "size", "method", "tasks_better"]].dropna())
    return Paper(
        scores=scores,
        tasks_better={(model, size): value for (model, size, _), value in better.items()},
        categories=found,
    )


def _by_key(table: pd.DataFrame) -> dict[tuple[str, str, str], float]:
    """The last column by the three before it."""
    columns = (table[name].to_list() for name in table)
    return {(model, row, method): value for model, row, method, value in zip(*columns, strict=True)}
