"""The test instances of Super-NI's task files."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.rows import each_once
from refine_af.records.evaluation import EvaluationInstance, Prediction

TASK_NAME = re.compile(r"\w[\w.-]*")


def task_names(text: str, path: Path) -> list[str]:
    """The tasks that tasks.txt lists. InputError at a line that is no name, or comes twice."""
    names = [line.strip() for line in text.removesuffix("\n").split("\n")] if text else []
    for number, name in each_once(names, path, of=str, called="task"):
        if not TASK_NAME.fullmatch(name):
            raise InputError(f"{path}, line {number}: no task name: {shown(name)}")
    if not names:
        raise InputError(f"{path}: names no task")
    return names


def task_instances(
    document: Mapping[str, Any], *, task: str, limit: int, path: Path
) -> list[EvaluationInstance]:
    """The first `limit` instances of a task file, in its order.

    The category is the file's first, in the key form of the official evaluation; definition and
    demonstration are its first. InputError names file, key or index, and value.
    """
    categories = _texts(document, "Categories", path)
    definitions = _texts(document, "Definition", path)
    demonstration = _demonstration(document, path)
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
            demonstration=demonstration,
        )
        for index, instance in enumerate(instances[:limit])
        for place in [f"{path}, Instances[{index}]"]
    ]


def part_of(
    instances: Sequence[EvaluationInstance], part: int, parts: int
) -> list[EvaluationInstance]:
    """The instances of every `parts`-th task, from number `part` on, in order."""
    tasks = {name: number for number, name in enumerate({row.task: None for row in instances})}
    return [row for row in instances if tasks[row.task] % parts == part]


def in_order(
    instances: Sequence[EvaluationInstance], files: Sequence[tuple[Path, Sequence[Prediction]]]
) -> list[Prediction]:
    """The predictions of all parts, in the order of the instances.

    InputError, with file and line, at one that belongs to no instance or comes twice, and at the
    first instance that has none.
    """
    found: dict[str, Prediction | None] = dict.fromkeys(row.id for row in instances)
    for path, rows in files:
        for line, row in enumerate(rows, 1):
            # None means an instance without a prediction yet; an unknown id gives `row`.
            if found.get(row.id, row) is not None:
                fault = "comes twice" if row.id in found else "is no evaluation instance's"
                raise InputError(f"{path}, line {line}: id {row.id!r} {fault}")
            found[row.id] = row
    made = [row for row in found.values() if row is not None]
    if len(made) < len(found):
        lacking = next(id for id, row in found.items() if row is None)
        raise InputError(f"{files[0][0].parent}: no prediction for {lacking!r}")
    return made


def check_ids(instances: Sequence[EvaluationInstance]) -> None:
    """InputError where two instances have the same id."""
    tasks: dict[str, str] = {}
    for instance in instances:
        if instance.id in tasks:
            earlier = tasks[instance.id]
            raise InputError(
                f"{instance.task}: id {instance.id!r} is that of an instance of {earlier} too"
            )
        tasks[instance.id] = instance.task


def _demonstration(document: Mapping[str, Any], path: Path) -> str:
    examples = document.get("Positive Examples", [])
    if not isinstance(examples, list):
        raise InputError(f"{path}: 'Positive Examples' is no list: {shown(examples)}")
    place = f"{path}, Positive Examples[0]"
    return _text(examples[0], "output", place, empty=True) if examples else ""


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
