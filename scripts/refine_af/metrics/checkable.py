"""Instructions whose answers a rule checks: which replies of which model are right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.rows import each_once, read_records
from refine_af.metrics.intervals import share
from refine_af.metrics.solvers import SOLVERS
from refine_af.records.evaluation import UserPrediction

CASED = ("copy", "lower", "upper")  # the solvers for which letters are right in one case alone
# The solvers of a number that no echo of the input ends with: a sentence may tell it.
TOLD = ("add", "subtract", "multiply", "sum", "count_items", "count_letters", "count_words")
NUMBER = re.compile(r"-?\d+")
LEAD = re.compile(r"^(?:the|this|these|it|here)\b.*?\b(?:is|are)\b:?\s+", re.IGNORECASE)
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
NUMBERS += ["ten", "eleven", "twelve"]
LABEL = re.compile(r"^(output|answer)\s*:\s*", re.IGNORECASE)
AROUND = " \t\"'`*"
COLUMNS = ("model", "cell", "solver", "instructions", "right", "share", "low", "high")
ALL = "all"


@dataclass(frozen=True)
class Checkable:
    """An instruction, in the form of user-oriented ones, and the solver of its one instance."""

    id: str
    instruction: str
    solver: str
    instances: list[dict[str, str]]

    @property
    def output(self) -> str:
        """The right output."""
        return self.instances[0]["output"]


def read_checkable(path: Path) -> list[Checkable]:
    """The instructions of a file. InputError where a solver is unknown, or finds another output."""
    rows = read_records(path, Checkable, extra=True)
    for line, row in each_once(rows, path):
        where = f"{path}, line {line}"
        if row.solver not in SOLVERS:
            raise InputError(f"{where}: no solver {shown(row.solver)}; {', '.join(SOLVERS)} are")
        if len(row.instances) != 1 or not {"input", "output"} <= row.instances[0].keys():
            raise InputError(f"{where}: not one input and output: {shown(row.instances)}")
        found = SOLVERS[row.solver](row.instances[0]["input"])
        if found != row.output:
            raise InputError(f"{where}: {row.solver} gives {shown(found)}, not {row.output!r}")
    return rows


def is_right(item: Checkable, reply: str) -> bool:
    """Whether a reply is the right output.

    Its first line counts, without a label, quotation marks, spaces and a full stop around it, whole
    or without words such as "The answer is" before it; a small number may be spelt out. Where the
    task counts or calculates, the line's last number is enough. Otherwise a further word is wrong.
    """
    cased, first = item.solver in CASED, _first_line(reply)
    right = _plain(item.output, cased=cased)
    found = [_plain(text, cased=cased) for text in (first, LEAD.sub("", first))]
    if item.solver in TOLD:
        found += NUMBER.findall(found[0])[-1:]
    return right in found


def table(
    items: Sequence[Checkable], replies: Sequence[UserPrediction]
) -> Iterator[dict[str, Any]]:
    """A row for each cell and solver, and one for all: how many are right, with Wilson's interval.

    The columns are COLUMNS; the intervals are at 95%. A reply to another instruction is left out.
    InputError where a cell has none to an instruction, or two.
    """
    cells = dict.fromkeys((reply.model, reply.cell) for reply in replies)
    for model, cell in cells:
        own = [reply for reply in replies if (reply.model, reply.cell) == (model, cell)]
        right = _right(items, own, f"{model}, {cell}")
        for solver in (ALL, *dict.fromkeys(item.solver for item in items)):
            marks = [right[item.id] for item in items if solver in (ALL, item.solver)]
            mean, low, high = share(marks, confidence=0.95)
            counts = (model, cell, solver, len(marks), sum(marks), mean, low, high)
            yield dict(zip(COLUMNS, counts, strict=True))


def _right(
    items: Sequence[Checkable], replies: Sequence[UserPrediction], cell: str
) -> Mapping[str, bool]:
    by_id: dict[str, list[str]] = {item.id: [] for item in items}
    for reply in replies:
        by_id.get(reply.id, []).append(reply.prediction)
    for name, found in by_id.items():
        if len(found) != 1:
            raise InputError(f"{cell}: {len(found)} replies to {name!r}, where one is expected")
    return {item.id: is_right(item, by_id[item.id][0]) for item in items}


def _first_line(reply: str) -> str:
    """The first line that is not blank, without a label."""
    first = next((line for line in reply.split("\n") if line.strip()), "")
    return LABEL.sub("", first.strip(AROUND))


def _plain(line: str, *, cased: bool) -> str:
    """A line as it is compared."""
    said = line.strip(AROUND).removesuffix(".").strip(AROUND)
    said = re.sub(r"\s*,\s*", ", ", " ".join(said.split()))
    said = said if cased else said.casefold()
    return str(NUMBERS.index(said)) if said in NUMBERS else said
