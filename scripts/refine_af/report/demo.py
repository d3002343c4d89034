"""What a run of the embedded demo holds beside any other's: which of its answers are true.

Its corpus is generated, and so an exact solver can tell of an answer what no reward knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from refine_af.errors import InputError, shown
from refine_af.files.documents import read_document
from refine_af.metrics.intervals import Mark
from refine_af.report.files import existing

COUNTS, MARKS = ("prompts", "parsed", "junk", "checked", "true"), ("junk", "true")


@dataclass(frozen=True)
class Truth:
    """What is known of a model's answers to `prompts` without the reward, as counts.

    Of those that `parsed` some are `junk`; of those that a solver can check, `checked`, some are
    `true`. `answers` says of each, in the order of prompts, whether it is junk and whether true;
    None where it did not parse, or cannot be checked.
    """

    prompts: int
    parsed: int
    junk: int
    checked: int
    true: int
    answers: tuple[tuple[Mark, Mark], ...]


class Truths(NamedTuple):
    """The truth of the answers to the same prompts before and after PPO."""

    before: Truth
    after: Truth


def read_truth(path: Path) -> Truths:
    """How many answers before and after PPO are junk, and how many are true.

    InputError names file, place and value where one is not as it must be.
    """
    document = read_document(existing(path))
    before, after = (_truth(path, when, document) for when in ("before", "after"))
    if before.prompts != after.prompts:
        raise InputError(f"{path}: not the same number of prompts before and after")
    return Truths(before, after)


def _truth(path: Path, when: str, document: Mapping[str, Any]) -> Truth:
    counts = document.get(when)
    if not isinstance(counts, dict):
        raise InputError(f"{path}: no object under {when!r}: {shown(document)}")
    for name in COUNTS:
        if type(counts.get(name)) is not int or counts[name] < 0:
            raise InputError(f"{path}, {when}.{name}: no count: {shown(counts.get(name))}")
    answers = counts.get("answers")
    if not isinstance(answers, list) or len(answers) != counts["prompts"]:
        raise InputError(f"{path}, {when}.answers: not one answer a prompt: {shown(answers)}")
    marks = [_marks(f"{path}, {when}.answers[{n}]", answer) for n, answer in enumerate(answers)]
    return Truth(**{name: counts[name] for name in COUNTS}, answers=tuple(marks))


def _marks(where: str, answer: object) -> tuple[Mark, Mark]:
    junk, true = (answer.get(name, 0) if isinstance(answer, dict) else 0 for name in MARKS)
    if not all(mark is None or type(mark) is bool for mark in (junk, true)):
        raise InputError(f"{where}: no marks: {shown(answer)}")
    return junk, true
