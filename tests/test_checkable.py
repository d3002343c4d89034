"""Instructions whose answers a rule checks: each solver by hand, and what counts as right."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.errors import InputError
from refine_af.files.rows import write_records
from refine_af.metrics.checkable import (
    Checkable,
    is_right,
    read_checkable,
    table,
)
from refine_af.metrics.solvers import SOLVERS
from refine_af.records.evaluation import UserPrediction
from refine_af.records.human_tasks import read_user_instructions
from scoring import RunScript
from tiny import ROOT

SHIPPED = ROOT / "resources" / "checkable.jsonl"
BY_HAND = {  # an input with its output, and one that is none of the solver's form
    "add": ("12 and 7", "19", "12, 7"),
    "subtract": ("6 and 15", "-9", "6 - 15"),
    "multiply": ("6 and 7", "42", ""),
    "sum": ("4, 5, 6", "15", "4 5 6"),
    "sort_up": ("31, 4, 15, 9", "4, 9, 15, 31", "a, b"),
    "sort_down": ("3, 27, 14", "27, 14, 3", "3,27"),
    "maximum": ("17, 82, 45", "82", "x"),
    "minimum": ("17, 82, 45", "17", "1.5, 2"),
    "sort_words": ("pear, Apple, fig", "Apple, fig, pear", None),
    "reverse": ("a, b, c", "c, b, a", None),
    "first_item": ("a, b, c", "a", None),
    "last_item": ("a, b, c", "c", None),
    "drop_first": ("a, b, c", "b, c", None),
    "count_items": ("a, b, c", "3", None),
    "count_letters": ("garden", "6", "two words"),
    "reverse_letters": ("stone", "enots", "x1"),
    "count_words": ("We  walked\nhome.", "3", " "),
    "upper": ("Open the door", "OPEN THE DOOR", "\n"),
    "lower": ("STOP Here", "stop here", ""),
    "copy": ("x7 Qp", "x7 Qp", "\t"),
}


@pytest.mark.parametrize("solver", SOLVERS)
def test_each_solver_is_right_by_hand(solver: str) -> None:
    text, output, other = BY_HAND[solver]
    assert SOLVERS[solver](text) == output
    if other is not None:
        assert SOLVERS[solver](other) is None


@given(st.sampled_from(list(SOLVERS)), st.text())
def test_a_solver_takes_any_text(solver: str, text: str) -> None:
    found = SOLVERS[solver](text)
    assert found is None or isinstance(found, str)


def test_the_shipped_ones_are_sixty_and_can_stand_for_the_users() -> None:
    items = read_checkable(SHIPPED)
    assert Counter(item.solver for item in items) == dict.fromkeys(SOLVERS, 3)
    assert len({item.instruction for item in items}) == 60
    users = read_user_instructions(SHIPPED)
    assert [(row.id, row.reference) for row in users] == [(item.id, item.output) for item in items]
    assert all(is_right(item, item.output) for item in items)
    others = [*items[3:], *items[:3]]  # the next kind's
    pairs = zip(items, others, strict=True)
    assert not any(is_right(own, other.output) for own, other in pairs)


def item(solver: str, output: str) -> Checkable:
    return Checkable("a", "Do it.", solver, [{"input": "", "output": output}])


@pytest.mark.parametrize(
    ("solver", "output", "reply", "right"),
    [
        ("sort_up", "4, 9", "4, 9", True),
        ("sort_up", "4, 9", "  4,9.\nThe list is sorted.", True),
        ("sort_up", "4, 9", "Output: 4 , 9", True),
        ("sort_up", "4, 9", "\n\n**4, 9**", True),
        ("sort_up", "4, 9", "9, 4", False),
        ("sort_up", "4, 9", "4, 9, 9", False),
        ("sort_up", "4, 9", "The sorted list is: 4, 9.", True),
        ("sort_up", "4, 9", "I sort them: 4, 9", False),
        ("sort_up", "4, 9", "The sorted list is 4, 9, as you see", False),
        ("count_items", "4", "Four.", True),
        ("count_items", "4", "The list has 4 items.", True),
        ("count_items", "4", "There are 4 items and 2 of them are red", False),
        ("add", "19", "12 + 7 = 19", True),
        ("add", "19", "12 + 7 = 19.5", False),
        ("subtract", "9", "-9", False),
        ("minimum", "1", "5, 3, 9, 1", False),
        ("minimum", "1", "The lowest number is 1.", True),
        ("copy", "The sky is blue.", "The sky is blue.", True),
        ("copy", "blue", "The sky is blue.", True),
        ("count_items", "4", "four items", False),
        ("first_item", "tea", '"Tea"', True),
        ("upper", "TEA", "tea", False),
        ("copy", "Anna has Three cats.", "Anna has Three cats", True),
        ("copy", "Anna has Three cats.", "Anna has three cats.", False),
        ("add", "19", "", False),
        ("add", "19", "119", False),
    ],
)
def test_a_reply_is_right_or_wrong(solver: str, output: str, reply: str, right: bool) -> None:
    assert is_right(item(solver, output), reply) is right


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver": "divine"}, "line 2: no solver 'divine'; add, "),
        ({"instances": [{"input": "1 and 2", "output": "4"}]}, "line 2: add gives '3', not '4'"),
        ({"instances": [{"input": "1", "output": "4"}]}, "line 2: add gives None, not '4'"),
        ({"instances": []}, "line 2: not one input and output"),
        ({"id": "x"}, "id 'x'"),
    ],
)
def test_a_file_that_is_wrong_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    good = {"instruction": "Add.", "solver": "add"}
    good["instances"] = [{"input": "1 and 2", "output": "3"}]  # type: ignore[assignment]
    path = tmp_path / "items.jsonl"
    rows = [good | {"id": "x"}, good | {"id": "y"} | changes]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(InputError, match=message):
        read_checkable(path)


def reply(name: str, text: str, cell: str = "base") -> UserPrediction:
    return UserPrediction(name, "tiny", cell, "Do.", "", "", text, True)


def test_a_cell_without_a_reply_is_named() -> None:
    items = [item("add", "19")]
    with pytest.raises(InputError, match="tiny, base: 0 replies to 'a', where one is expected"):
        list(table(items, [reply("other", "19")]))
    with pytest.raises(InputError, match="tiny, base: 2 replies to 'a'"):
        list(table(items, [reply("a", "19"), reply("a", "19")]))


def test_right_replies_are_counted_by_cell_and_solver(
    run_script: RunScript, tmp_path: Path
) -> None:
    """`base` answers all as they are right, `tuned` the first kind alone."""
    items = read_checkable(SHIPPED)
    rows = [reply(each.id, each.output) for each in items]
    rows += [
        reply(each.id, each.output if each.solver == "add" else "no", "tuned") for each in items
    ]
    write_records(tmp_path / "predictions.jsonl", rows)
    flags = ["--instructions", SHIPPED, "--predictions", tmp_path / "predictions.jsonl"]
    done = run_script("checkable", *flags, "--table", tmp_path / "right.csv")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "tiny, base: 60 of 60 right\ntiny, tuned: 3 of 60 right\n"
    found = list(csv.DictReader((tmp_path / "right.csv").open()))
    assert len(found) == 2 * 21
    by_name = {(row["cell"], row["solver"]): row for row in found}
    assert by_name["tuned", "all"]["share"] == "0.05"
    assert by_name["tuned", "add"]["right"] == "3" and by_name["tuned", "copy"]["right"] == "0"
    assert float(by_name["tuned", "all"]["low"]) == pytest.approx(0.0171, abs=1e-3)
    assert float(by_name["tuned", "all"]["high"]) == pytest.approx(0.1370, abs=1e-3)
