"""The Super-NI test tasks: which they are, and how a task's file is known to be the right one."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.digests import sha256_of_text
from refine_af.files.rows import each_once, read_records

TASK_NAME = re.compile(r"\w[\w.-]*")
OFFICIAL_INSTANCES = 100  # of a task, the first in its file


@dataclass(frozen=True)
class TaskDigest:
    """A test task with the number and the digest of its official instances."""

    task_id: str
    category: str
    instances: int
    sha256: str


def read_task_digests(path: Path) -> list[TaskDigest]:
    """The tasks of a digests file, in its order.

    InputError naming the line of a doubled task, or of one whose name cannot be a file's.
    """
    tasks = read_records(path, TaskDigest)
    for number, task in each_once(tasks, path, of=attrgetter("task_id"), called="task"):
        name = task.task_id
        if not TASK_NAME.fullmatch(name):
            raise InputError(f"{path}, line {number}: 'task_id' is no file name: {shown(name)}")
    if not tasks:
        raise InputError(f"{path}: holds no task")
    return tasks


def select_tasks(
    tasks: Sequence[TaskDigest], wanted: Sequence[str] | None, source: Path
) -> list[TaskDigest]:
    """The tasks that `wanted` names, or all where it is None, in the order of `tasks`.

    InputError where a name is not among them.
    """
    if wanted is None:
        return list(tasks)
    known = {task.task_id for task in tasks}
    for name in wanted:
        if name not in known:
            raise InputError(f"fetch.superni_tasks: no task {shown(name)} among those of {source}")
    return [task for task in tasks if task.task_id in wanted]


def references_digest(path: Path) -> str:
    """The SHA-256 of a task file's official instances, or why it has none.

    It is that of the compact JSON [[id, [reference, ...]], ...] of the first 100 instances, made
    from the reference file of natural-instructions@55a36563 (119 tasks, 11,810 instances).
    """
    try:
        pairs = _official_references(json.loads(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        return f"none ({shown(str(error))})"
    text = json.dumps(pairs, ensure_ascii=False, separators=(",", ":"))
    return sha256_of_text(text)


def _official_references(task: Any) -> list[tuple[str, list[str]]]:
    instances = task.get("Instances") if isinstance(task, dict) else None
    if not isinstance(instances, list):
        raise ValueError("no list of Instances")
    pairs = []
    for number, instance in enumerate(instances[:OFFICIAL_INSTANCES], 1):
        if not isinstance(instance, dict) or not {"id", "output"} <= instance.keys():
            raise ValueError(f"no id and output in instance {number}")
        pairs.append((instance["id"], instance["output"]))
    return pairs
