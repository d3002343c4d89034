"""Super-NI: the test instances of its task files, and the table of results over all cells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.records import EvaluationInstance, Prediction
from refine_af.scores import Score, mean, score

TASK_NAME = re.compile(r"\w[\w.-]*")
TUNED = re.compile(r"(?P<method>self-instruct|refine-af)_(?P<size>\d+)")
COLUMNS = (
    "method",
    "size",
    "task",
    "category",
    "instances",
    "rouge_l",
    "exact_match",
    "reply_words",
    "eos_share",
)


def task_names(lines: Sequence[str], path: Path) -> list[str]:
    """The tasks that tasks.txt lists. InputError at a line that is no name, or comes twice."""
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not TASK_NAME.fullmatch(name):
            raise InputError(f"{path}, line {number}: no task name: {shown(line)}")
        if name in first:
            raise InputError(f"{path}, line {number}: {name!r} stands on line {first[name]} too")
        first[name] = number
    if not first:
        raise InputError(f"{path}: names no task")
    return list(first)


def task_instances(
    document: Mapping[str, Any], *, task: str, limit: int, path: Path
) -> list[EvaluationInstance]:
    """The first `limit` instances of a task file, in its order.

    The category is the file's first, in the key form of the official evaluation; the definition
    is its first. InputError names file, key or index, and value.
    """
    categories = _texts(document, "Categories", path)
    definitions = _texts(document, "Definition", path)
    instances = document.get("Instances")
    if not isinstance(instances, list) or not instances:
        raise InputError(f"{path}: 'Instances' is no list of instances: {shown(instances)}")
    return [
        EvaluationInstance(
            id=_text(instance, "id", place),
            task=task,
            category="_".join(categories[0].lower().split()),
            definition=definitions[0],
            input=_text(instance, "input", place, empty=True),
            references=_texts(instance, "output", place, empty=True),
        )
        for index, instance in enumerate(instances[:limit])
        for place in [f"{path}, Instances[{index}]"]
    ]


def check_ids(instances: Sequence[EvaluationInstance]) -> None:
    """InputError where two instances have one id."""
    tasks: dict[str, str] = {}
    for instance in instances:
        if instance.id in tasks:
            earlier = tasks[instance.id]
            raise InputError(
                f"{instance.task}: id {instance.id!r} is that of an instance of {earlier} too"
            )
        tasks[instance.id] = instance.task


def scored(
    instances: Sequence[EvaluationInstance], cells: Mapping[str, Mapping[str, Prediction]]
) -> dict[str, list[Score]]:
    """Each cell's scores, in the order of the instances.

    `cells` gives for each cell its predictions by instance id, one for every instance.
    """
    return {
        cell: [score(replies[row.id].prediction, row.references) for row in instances]
        for cell, replies in cells.items()
    }


def table(
    instances: Sequence[EvaluationInstance],
    cells: Mapping[str, Mapping[str, Prediction]],
    scores: Mapping[str, Sequence[Score]],
) -> list[dict[str, str | int | float]]:
    """A row a cell and task, of `COLUMNS`; scores ×100, to 4 decimals.

    `scores` are those that `scored` gives for `cells`.
    """
    tasks: dict[tuple[str, str], list[int]] = {}
    for place, instance in enumerate(instances):
        tasks.setdefault((instance.task, instance.category), []).append(place)
    rows: list[dict[str, str | int | float]] = []
    for cell, predictions in cells.items():
        method, size = method_and_size(cell)
        for (task, category), places in tasks.items():
            replies = [predictions[instances[place].id] for place in places]
            words = sum(len(reply.prediction.split()) for reply in replies)
            finished = sum(reply.finished for reply in replies)
            rows.append(
                {
                    "method": method,
                    "size": size,
                    "task": task,
                    "category": category,
                    **mean([scores[cell][place] for place in places]),
                    "reply_words": round(words / len(places), 4),
                    "eos_share": round(finished / len(places), 4),
                }
            )
    return rows


def score_rows(
    instances: Sequence[EvaluationInstance], scores: Mapping[str, Sequence[Score]]
) -> list[dict[str, str | float]]:
    """A row an instance: `id`, `task`, and by cell its ROUGE-L ×100, to 4 decimals."""
    return [
        {
            "id": instance.id,
            "task": instance.task,
            **{cell: round(100 * column[place].rouge_l, 4) for cell, column in scores.items()},
        }
        for place, instance in enumerate(instances)
    ]


def method_and_size(cell: str) -> tuple[str, str]:
    """("refine-af", "5000") of the cell refine-af_5000; a baseline's name has no size."""
    tuned = TUNED.fullmatch(cell)
    return (tuned["method"], tuned["size"]) if tuned else (cell, "")


def _texts(document: Mapping[str, Any], key: str, place: object, empty: bool = False) -> list[str]:
    value = document.get(key)
    if not isinstance(value, list) or not value:
        raise InputError(f"{place}: {key!r} is no list of texts: {shown(value)}")
    return [_checked(entry, f"{key}[{index}]", place, empty) for index, entry in enumerate(value)]


def _text(document: object, key: str, place: object, empty: bool = False) -> str:
    if not isinstance(document, dict):
        raise InputError(f"{place}: not a JSON object: {shown(document)}")
    return _checked(document.get(key), key, place, empty)


def _checked(value: object, key: str, place: object, empty: bool) -> str:
    if not isinstance(value, str) or not (empty or value.strip()):
        raise InputError(f"{place}: {key!r} is no text: {shown(value)}")
    return value
