"""The check of generated examples that no reward knows."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

from refine_af.demo.corpus import draw_task
from refine_af.demo.families import FAMILIES
from refine_af.demo.truth import FamilyReader, PlainAnswer, is_junk, is_true, truth
from tiny import demo_config

CONFIG = demo_config()


def test_families_are_recognised_from_instructions() -> None:
    reader, random = FamilyReader(), Random(6)
    tasks = [draw_task(random) for _ in range(400)]
    right = sum(reader.family(task.instruction) is task.family for task in tasks)
    assert right / 400 > 0.97
    assert reader.family("漢字") is None


def test_an_output_is_true_where_the_solver_says_so() -> None:
    sort = FAMILIES["sort_up"]
    assert is_true(sort, "List: 3, 1, 2", "1, 2, 3") and is_true(sort, "3, 1, 2", " 1, 2, 3\n")
    assert not is_true(sort, "List: 3, 1, 2", "1, 2")
    assert not is_true(sort, "", "1, 2, 3") and not is_true(sort, "Word: cat", "cat")


def test_lazy_outputs_echoes_and_loops_are_junk() -> None:
    assert is_junk("Sort it.", "List: 2, 1", "I do not know.")
    assert is_junk("Sort it.", "List: 2, 1", "2, 1") and is_junk("Sort it.", "", "Sort it.")
    assert is_junk("Sort it.", "", "a a a") and is_junk("Sort it.", "", "a b a b a b a")
    assert not is_junk("Sort it.", "List: 2, 1", "1, 2") and not is_junk("Sort it.", "", "a a")


def test_truth_counts_before_and_after(run_script: Any, tmp_path: Path) -> None:
    ask = "Sort the numbers in the list from smallest to largest."
    rows = [
        PlainAnswer("before", ask, None, None),
        PlainAnswer("before", ask, "List: 3, 1", "3, 1"),
        PlainAnswer("before", ask, "List: 3, 1", "1, 3"),
        PlainAnswer("before", "Give a tip about travel.", "", "Pack a light bag."),
    ]
    before = {"prompts": 4, "parsed": 3, "checked": 2, "true": 1, "true_share": 0.5}
    nothing = {"prompts": 0, "parsed": 0, "checked": 0, "true": 0, "true_share": None}
    marks = [(None, None), (True, False), (False, True), (False, None)]
    answers = [{"junk": junk, "true": right} for junk, right in marks]
    expected = {
        "before": before | {"junk": 1, "junk_share": 1 / 3, "answers": answers},
        "after": nothing | {"junk": 0, "junk_share": None, "answers": []},
    }
    assert truth(rows) == expected
    ppo = tmp_path / "ppo"
    ppo.mkdir()
    lines = [json.dumps(vars(row) | {"reward": 0.5}) + "\n" for row in rows]
    (ppo / "evaluation.jsonl").write_text("".join(lines))
    flags = ["--settings", json.dumps(CONFIG["demo"]), "--ppo", ppo]
    done = run_script("demo", "truth", *flags, "--truth", tmp_path / "truth.json")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "truth.json").read_text()) == expected
