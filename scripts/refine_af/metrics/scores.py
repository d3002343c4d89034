"""Super-NI's official scores: ROUGE-L and exact match, the best over an instance's references.

Source: allenai/natural-instructions@55a36563, eval/automatic/evaluation.py.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from rapidfuzz.distance import LCSseq

from refine_af.errors import InputError
from refine_af.files.rows import each_once, read_records
from refine_af.records.evaluation import EvaluationInstance, Prediction

PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class PlainPrediction:
    """A model's reply to the evaluation instance of that id."""

    id: str
    prediction: str


AnyPrediction = TypeVar("AnyPrediction", PlainPrediction, Prediction)


@dataclass(frozen=True)
class Score:
    """How well one prediction fits one instance; both figures lie in 0..1."""

    rouge_l: float
    exact_match: float


def score(prediction: str, references: Sequence[str]) -> Score:
    """ROUGE-L and exact match of a prediction, each the best over the references."""
    return Score(rouge_l(prediction, references), float(exact_match(prediction, references)))


def rouge_l(prediction: str, references: Sequence[str]) -> float:
    """The highest ROUGE-L F, 0..1, over the references, equal to rouge_score's with stemmer."""
    said = _tokens(prediction)
    return max(_f_measure(said, _reference_tokens(reference)) for reference in references)


def exact_match(prediction: str, references: Sequence[str]) -> bool:
    """Whether a reference says the same, whatever its case, ASCII punctuation and spacing."""
    said = _normal(prediction)
    return any(said == _normal(reference) for reference in references)


def read_instances(path: Path) -> list[EvaluationInstance]:
    """The evaluation instances of a file; ids must differ, and each needs a reference."""
    instances = read_records(path, EvaluationInstance)
    if not instances:
        raise InputError(f"{path}: holds no evaluation instance")
    for line, instance in each_once(instances, path):
        if not instance.references:
            raise InputError(f"{path}, line {line}: {instance.id!r} has no reference: []")
    return instances


def by_id(
    predictions: Iterable[AnyPrediction], instances: Sequence[EvaluationInstance], path: Path
) -> dict[str, AnyPrediction]:
    """The rows of a predictions file by id. InputError at an id that is unknown or comes twice."""
    known = {instance.id for instance in instances}
    found = {}
    for line, row in each_once(predictions, path):
        if row.id not in known:
            raise InputError(f"{path}, line {line}: no evaluation instance has id {row.id!r}")
        found[row.id] = row
    return found


def summary(
    instances: Sequence[EvaluationInstance], predictions: Mapping[str, PlainPrediction]
) -> dict[str, Any]:
    """The scores ×100, to 4 decimals: over all instances, by category and by task.

    An instance without a prediction counts with an empty one, and its id is listed as missing.
    """
    missing = [instance.id for instance in instances if instance.id not in predictions]
    silence = dict.fromkeys(missing, "")
    said = silence | {id: row.prediction for id, row in predictions.items()}
    rows = [(instance, score(said[instance.id], instance.references)) for instance in instances]
    return {
        "missing": missing,
        "overall": mean([row for _, row in rows]),
        "by_category": _grouped(rows, lambda instance: instance.category),
        "by_task": _grouped(rows, lambda instance: instance.task),
    }


def mean(scores: Sequence[Score]) -> dict[str, Any]:
    """How many scores there are and their means ×100, rounded to 4 decimals as upstream does."""
    count = len(scores)
    return {
        "instances": count,
        "rouge_l": round(100 * sum(row.rouge_l for row in scores) / count, 4),
        "exact_match": round(100 * sum(row.exact_match for row in scores) / count, 4),
    }


def _grouped(
    rows: Sequence[tuple[EvaluationInstance, Score]], key: Callable[[EvaluationInstance], str]
) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[Score]] = {}
    for instance, row in rows:
        groups.setdefault(key(instance), []).append(row)
    return {name: mean(group) for name, group in groups.items()}


def _normal(text: str) -> str:
    return " ".join(text.lower().translate(PUNCTUATION).split())


def _f_measure(prediction: Sequence[str], reference: Sequence[str]) -> float:
    common = LCSseq.similarity(prediction, reference)
    if not common:
        return 0.0
    precision, recall = common / len(prediction), common / len(reference)
    return 2 * precision * recall / (precision + recall)


@lru_cache(maxsize=2**16)
def _reference_tokens(text: str) -> list[str]:
    return _tokens(text)


def _tokens(text: str) -> list[str]:
    tokens: list[str] = _tokenizer().tokenize(text)
    return tokens


@cache
def _tokenizer() -> Any:
    from rouge_score.tokenizers import DefaultTokenizer  # takes a second to load

    return DefaultTokenizer(use_stemmer=True)
