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

    Its first line counts, without a label, quotation marks, spaces and a full stop around it, and a
    small number may be spelt out. A further word makes it wrong.
    """
    cased = item.solver in CASED
    return _plain(reply, cased=cased) == _plain(item.output, cased=cased)


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


def _plain(reply: str, *, cased: bool) -> str:
    """A reply's first line as it is compared."""
    first = next((line for line in reply.split("\n") if line.strip()), "")
    said = LABEL.sub("", first.strip(AROUND)).strip(AROUND).removesuffix(".").strip(AROUND)
    said = re.sub(r"\s*,\s*", ", ", " ".join(said.split()))
    said = said if cased else said.casefold()
    return str(NUMBERS.index(said)) if said in NUMBERS else said
