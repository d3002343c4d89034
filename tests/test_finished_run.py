"""A broken file of a finished run ends the report in one message that names it and the value."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from made_up_run import answer, make_run, write_rows
from refine_af.jobs.command_line import run
from report import main

SCORES = "method,size,cell,task,category,instances,rouge_l,exact_match,reply_words,eos_share\n"
STEPS = "step,reward_mean,parse_rate,reward_parsed\n"
ROUNDS = "round,requested,parsed,accepted,rejected,similar,tokens,cut,unwritten,dropped\n"
BASE = "base,,base,task1,c,1,1,1,1,1\n"
COUNTS: dict[str, object] = {"prompts": 2, "parsed": 2, "checked": 2, "true": 1, "junk": 2}
COUNTS |= {"answers": [{"junk": True, "true": False}, {"junk": True, "true": True}]}


MARKED = {"junk": None, "true": None}
RATED = "measure,rater,method,value,low,high\n"
CELLS = "task,self-instruct_3,self-instruct_6,refine-af_3,refine-af_6\n"


def refusal(flags: list[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        run(main, arguments=flags)
    return str(ended.value.code)


def neighbours(*references: float | None) -> str:
    """The file of the six instructions' neighbours, the last three without a reference."""
    rows = [
        {"id": f"i{place:06}", "nearest_seed": "s", "seed_rouge_l": 0.2, "nearest_reference": None}
        for place in range(6)
    ]
    reached = [*references, None, None, None]
    return "".join(
        json.dumps(row | {"reference_rouge_l": value}) + "\n"
        for row, value in zip(rows, reached, strict=True)
    )


BROKEN = [
    ("pool_tiny/1/instructions.jsonl", "{", ["line 1", "not JSON", "'{'"]),
    ("pool_tiny/0/rejected.jsonl", '{"round": 1, "request": 0}\n', ["line 1", "reason"]),
    ("pool_tiny/0/rounds.csv", ROUNDS + "0,1,x,1,1,1,1,0,0,0\n", ["line 2", "'parsed'", "'x'"]),
    ("pool_tiny/0/rounds.csv", ROUNDS + "0,1,-2,1,1,1,1,0,0,0\n", ["line 2", "'parsed'", "'-2'"]),
    ("pool_tiny/0/rounds.csv", ROUNDS + "0,1\n", ["line 2", "2 values for 10 columns"]),
    ("pool_tiny/0/rounds.csv", "round,requested\n0,1\n", ["'parsed'"]),
    ("pool_tiny/0/rounds.csv", b"\xff\xfe", ["not CSV in UTF-8"]),
    ("ppo_tiny/metrics.csv", STEPS + "1,nan,1,\n", ["line 2", "'reward_mean'", "'nan'"]),
    ("ppo_tiny/metrics.csv", STEPS + "1,1,,1\n", ["line 2", "'parse_rate'", "''"]),
    ("ppo_tiny/metrics.csv", STEPS, ["holds no step"]),
    ("ppo_tiny/metrics.csv", "", ["'step'"]),
    ("ppo_tiny/evaluation.jsonl", "", ["not the same prompts"]),
    (
        "instances_tiny_refine-af/1/counts.csv",
        "instructions,classification,parsed,kept\n1,0,2,1.5\n",
        ["'1.5'"],
    ),
    ("instances_tiny_refine-af/0/instances.jsonl", "[]\n", ["line 1", "not a JSON object"]),
    ("superni_tiny.csv", SCORES, ["no row of self-instruct or refine-af"]),
    ("superni_tiny.csv", SCORES + BASE, ["no row of self-instruct or refine-af"]),
    (
        "superni_tiny.csv",
        SCORES + BASE + "refine-af,6,refine-af_6,task1,c,1,1,1,1,1\n",
        ["'self-instruct_6'"],
    ),
    (
        "superni_tiny.csv",
        SCORES + "refine-af,6,refine-af_5,task1,c,1,1,1,1,1\n",
        ["'refine-af_5' is no cell of 'refine-af' with size '6'"],
    ),
    (
        "superni_tiny.csv",
        SCORES
        + BASE
        + "".join(
            f"{name.partition('_')[0]},6,{name},task1,c,1,1,1,1,1\n"
            for name in ("self-instruct_6", "refine-af_6", "refine-af_6_r2", "refine-af_r2_6")
        ),
        ["no row of the cell 'refine-af_r2_6_r2'"],
    ),
    ("superni_tiny.csv", SCORES + "refine-af,six,refine-af_six,task1,c,1,1,1,1,1\n", ["'six'"]),
    (
        "superni_tiny.csv",
        SCORES + "refine-af,6,refine-af_6,task1,c,1,inf,1,1,1\n",
        ["'rouge_l'", "'inf'"],
    ),
    ("superni_tiny.csv", SCORES + 'base,"', ["superni_tiny.csv"]),
    ("truth_tiny.json", "[1]", ["not a JSON object", "[1]"]),
    ("truth_tiny.json", '{"before": ', ["not JSON"]),
    ("truth_tiny.json", json.dumps({"before": COUNTS | {"junk": -1}}), ["before.junk", "-1"]),
    ("truth_tiny.json", json.dumps({"before": COUNTS}), ["'after'"]),
    (
        "truth_tiny.json",
        json.dumps({"before": COUNTS | {"prompts": 3}}),
        ["before.answers", "not one answer a prompt"],
    ),
    (
        "truth_tiny.json",
        json.dumps({"before": COUNTS | {"answers": [{"junk": None, "true": 1}, []]}}),
        ["before.answers[0]", "'true': 1"],
    ),
    (
        "truth_tiny.json",
        json.dumps({"before": COUNTS, "after": COUNTS | {"prompts": 1, "answers": [MARKED]}}),
        ["not the same number of prompts before and after"],
    ),
    ("ppo_tiny/alarms.csv", "step,words\nx,oh\n", ["line 2", "'step'", "'x'"]),
    ("scores_tiny.csv", "id,task\ni,t\n", ["self-instruct_3"]),
    ("scores_tiny.csv", CELLS, ["holds no instance"]),
    ("scores_tiny.csv", CELLS + "t,1,2,nan,4\n", ["line 2", "'refine-af_3'", "'nan'"]),
    ("scores_tiny.csv", CELLS + "task1,1,2,3,4\n", ["0 instances of task 'task2'", "has 1"]),
    ("scores_tiny.csv", CELLS + "other,1,2,3,4\n", ["1 instances of task 'other'", "has 0"]),
    ("ratings_tiny.csv", RATED, ["holds no count of ratings and none of reviews"]),
    ("ratings_tiny.csv", RATED + "ratings,,refine-af,x,,\n", ["line 2", "'value'", "'x'"]),
    ("ratings_tiny.csv", RATED + "ratings,,refine-af,8,,\n", ["'rating A'", "'refine-af'"]),
    ("overlap_tiny_refine-af/1.jsonl", "", ["None where 'i000003-0' belongs"]),
    ("neighbours_tiny.jsonl", "", ["None where 'i000000' belongs"]),
    ("neighbours_tiny.jsonl", neighbours(None, None, 0.5), ["line 3", "is 0.5, and None on line"]),
    ("neighbours_tiny.jsonl", '{"id": "i"}\n', ["line 1", "'nearest_seed'"]),
    ("overlap_tiny_refine-af/0.jsonl", '{"id": "i"}\n', ["line 1", "'ngrams'"]),
]


@pytest.mark.parametrize(("name", "content", "named"), BROKEN)
def test_broken_file(tmp_path: Path, name: str, content: str | bytes, named: list[str]) -> None:
    flags = make_run(tmp_path, rated=True)
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    message = refusal(flags)
    assert str(tmp_path / name) in message and "Traceback" not in message
    for part in named:
        assert part in message
    assert not (tmp_path / "report.html").exists() and not (tmp_path / "figures").exists()


@pytest.mark.parametrize(
    "name",
    ["pool_tiny/1/rounds.csv", "ppo_tiny/evaluation.jsonl", "superni_tiny.csv", "truth_tiny.json"],
)
def test_missing_file(tmp_path: Path, name: str) -> None:
    flags = make_run(tmp_path)
    (tmp_path / name).unlink()
    assert refusal(flags) == f"error: {tmp_path / name}: there is no such file"


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([answer("before", 0, 0.5)], "not the same prompts before and after: ['i000000']"),
        ([answer("during", 0, 0.5)], "line 1: 'when' is neither before nor after: 'during'"),
        ([answer("before", 0, 0.5)] * 2, "line 2: 'i000000' is answered twice before"),
        ([answer("before", 0, float("nan"))], "line 1: a score is not finite: [nan"),
        ([answer("before", 0, 0.5) | {"output": 1}], "line 1: 'output' is no"),
    ],
)
def test_broken_answers(tmp_path: Path, rows: list[dict[str, object]], named: str) -> None:
    flags = make_run(tmp_path)
    write_rows(tmp_path / "ppo_tiny" / "evaluation.jsonl", rows)
    assert named in refusal(flags)


@pytest.mark.parametrize("flag", ["--pools", "--ppo", "--instances", "--tables", "--scores"])
def test_lists_that_do_not_fit_the_models(tmp_path: Path, flag: str) -> None:
    flags = make_run(tmp_path)
    flags.insert(flags.index(flag) + 1, "one-too-many")
    assert "one-too-many" in flags
    if flag == "--ppo":  # may have any number
        assert "one-too-many/metrics.csv: there is no such file" in refusal(flags)
    else:
        assert f"{flag}: " in refusal(flags)


def test_no_instruction(tmp_path: Path) -> None:
    flags = make_run(tmp_path)
    for k in (0, 1):
        (tmp_path / f"pool_tiny/{k}" / "instructions.jsonl").write_text("")
    first = tmp_path / "pool_tiny/0" / "instructions.jsonl"
    assert refusal(flags) == f"error: {first}: holds no instruction"


def test_segment_without_rounds(tmp_path: Path) -> None:
    """A segment that the surplus of the one before fills has no round of its own."""
    flags = make_run(tmp_path)
    (tmp_path / "pool_tiny/1" / "rounds.csv").write_text(ROUNDS)
    run(main, arguments=flags)
    assert "There was one round." in (tmp_path / "report.html").read_text(encoding="utf-8")
