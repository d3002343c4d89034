"""Stage 3's branch for classification tasks: which they are, how they are asked, what is kept."""

from __future__ import annotations

import csv
import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import instances as second_half
import instances_kinds
import instances_replies
from conftest import Script
from engines import Replies, Replying
from refine_af.engines.replies import Reply
from refine_af.errors import InputError
from refine_af.files.rows import read_records, write_records
from refine_af.instances.kinds import check_identified, classification_tasks
from refine_af.instances.parsing import counts, joined, parsed
from refine_af.instances.replies import AskedReply
from refine_af.instances.rounds import Part, parts_of
from refine_af.records.instances import Identified, Instance
from refine_af.settings.instances import Classification, Identification
from refine_af.settings.sampling import Sampling
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.door import check_files
from test_instances import (
    HALF,
    ONE,
    SAMPLING,
    THREE,
    asked,
    asked_of,
    flags,
    instruction,
    reading,
    replying,
    write_pool,
)
from tiny import ROOT, tiny_config

BRANCH = Classification(
    methods=("self-instruct",), max_new_tokens=5, shortens="task", identification=SAMPLING
)
BRANCHED = ONE.model_copy(update={"classification": BRANCH})
SHORTER = SAMPLING.model_copy(update={"max_new_tokens": 5})
ROWS = [instruction(index) for index in range(4)]
TEXTS = ["Sort it.", "Is it odd?", "Name it.", "Is it even?", "Is it blue?"]
TASKS = {"i000001", "i000003", "i000004"}


def test_classification_tasks_are_asked_apart_and_shorter() -> None:
    assert parts_of(ROWS, BRANCHED, {"i000001", "i000009"}) == [
        Part("input first", [0, 2, 3], SAMPLING),
        Part("output first", [1], SHORTER),
    ]
    every = {row.id for row in ROWS}
    assert parts_of(ROWS, BRANCHED, every) == [Part("output first", [0, 1, 2, 3], SHORTER)]
    for settings, tasks in ((BRANCHED, {"i000009"}), (BRANCHED, set()), (ONE, every)):
        assert parts_of(ROWS, settings, tasks) == [Part("input first", [0, 1, 2, 3], SAMPLING)]


def test_self_instruct_shortens_all_replies_of_a_round_with_a_classification_task() -> None:
    branch = BRANCH.model_copy(update={"shortens": "round"})
    settings = ONE.model_copy(update={"classification": branch})
    assert parts_of(ROWS, settings, {"i000001"}) == [
        Part("input first", [0, 2, 3], SHORTER),
        Part("output first", [1], SHORTER),
    ]
    assert parts_of(ROWS, settings, set()) == [Part("input first", [0, 1, 2, 3], SAMPLING)]


def test_each_reply_is_read_as_it_was_asked() -> None:
    both = "Class label: yes\nInput: 3\nOutput: odd\nClass label: no\nInput: 4\nOutput: even"
    found = parsed(THREE, ROWS[:2], [asked(both), asked(both, "output first", place=1)])
    assert [(entry.template, entry.pair.input, entry.pair.output) for entry in found.kept] == [
        ("input first", "Class label: yes\nInput: 3", "odd\nClass label: no"),
        ("output first", "Input: 3\nOutput: odd", "yes"),
        ("output first", "Input: 4\nOutput: even", "no"),
    ]
    figures = counts(joined([found, found]))
    assert (figures["instructions"], figures["classification"], figures["kept"]) == (4, 2, 6)
    wrong = [asked("Output: yes", "output first"), asked("Class label: yes")]
    none = parsed(ONE, ROWS[:2], wrong)
    assert not none.kept and none.parsed == 0
    assert [row.reason for row in none.rejected] == ["no output"] * 2


class Engines:
    """Stands in for models: what each prompt is answered, by how its reply is drawn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, said: dict[str, str]) -> None:
        self.heard: list[tuple[int, str]] = []
        self._said = said
        monkeypatch.setattr("refine_af.engines.choice.LocalEngine", self._made)

    def _made(self, load: object, sampling: Sampling, **_: object) -> Replying:
        def reply(tails: Sequence[str], _: Sequence[int], answered: Collection[int]) -> Replies:
            for place, tail in enumerate(tails):
                if place not in answered:
                    self.heard.append((sampling.max_new_tokens, tail))
                    text = next(said for words, said in self._said.items() if words in tail)
                    yield place, Reply(text, "stop", 9, 3)

        return Replying(reply)


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    return write_pool(tmp_path / "pool", TEXTS)


def identifying(world: Path, pool: Path, out: Path, **changes: object) -> dict[str, Any]:
    prompt = out / "question.txt"
    prompt.write_text("Is it one?\n\nTask: {instruction}\nIs it classification?")
    settings = Identification(
        engine="transformers",
        quantization="none",
        seed=3,
        prompts_per_round=2,
        sampling=SAMPLING,
    ).model_copy(update=changes)
    return {
        "settings": settings,
        "watch": HALF,
        "server": None,
        "served": None,
        "prompt": prompt,
        "chat": False,
        "backbone": world / "llama",
        "instructions": pool,
        "progress": out / "kept_kinds",
        "kinds": out / "kinds.jsonl",
    }


SAID = {"Sort": " No", "odd": " Yes\n", "Name": " What", "even": "yes", "blue": " YES "}


def test_what_the_backbone_says_makes_the_kinds(
    world: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    engines = Engines(monkeypatch, SAID)
    given = identifying(world, pool, tmp_path)
    instances_kinds.main(**given)
    rows = read_records(given["kinds"], Identified)
    assert [(row.id, row.reply) for row in rows] == [
        (f"i00000{place}", said) for place, said in enumerate(SAID.values())
    ]
    assert {row.id for row in rows if row.classification} == TASKS
    assert [tail for _, tail in engines.heard] == [
        f" {text}\nIs it classification?" for text in TEXTS
    ]
    told = capsys.readouterr().out
    assert "round 1: 1 of 2 instructions are classification tasks" in told
    assert "3 of 5 instructions are classification tasks; 1 replies said neither yes nor" in told

    whole = given["kinds"].read_bytes()
    (log,) = given["progress"].glob("*/replies.jsonl")
    lines = log.read_bytes().splitlines(keepends=True)
    for kept, missing in ((b"".join(lines), 0), (b"".join(lines[:3]) + lines[3][:9], 2)):
        log.write_bytes(kept)
        given["kinds"].unlink()
        engines.heard.clear()
        instances_kinds.main(**given)
        assert given["kinds"].read_bytes() == whole and len(engines.heard) == missing


def test_a_backbone_that_says_neither_ends_the_stage(
    world: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = Engines(monkeypatch, {"": "Perhaps \ud800"})
    given = identifying(world, pool, tmp_path)
    with pytest.raises(InputError, match=r"^of 4 replies 0\.0% said .*'Perhaps \\ud800'\. Look"):
        instances_kinds.main(**given)
    assert len(engines.heard) == 4, "after `patience` rounds of two"
    assert not given["kinds"].exists()
    watch = HALF.model_copy(update={"least_identified": 0.0})
    instances_kinds.main(**given | {"watch": watch})
    assert len(engines.heard) == 5, "a lower floor goes on from there"
    assert not any(row.classification for row in read_records(given["kinds"], Identified))


def test_the_floor_is_a_share_of_clear_replies() -> None:
    rows = [Identified("i0", False, said) for said in ("No", "Yes", "hm", "so")]
    check_identified(rows, HALF)
    with pytest.raises(InputError, match=r"asks for 60\.0%"):
        check_identified(rows, HALF.model_copy(update={"least_identified": 0.6}))


def branched(world: Path, pool: Path, out: Path, *, shortens: str = "task") -> dict[str, Any]:
    """The first half, of three rounds, with its branch, the tasks' file and their prompt."""
    branch = BRANCH.model_copy(update={"shortens": shortens})
    given = asked_of(world, pool, prompts_per_round=2, classification=branch)
    asked_for = replying(world, given, range(3), out)
    prompt, kinds = out / "labels.txt", out / "kinds.jsonl"
    out.mkdir(exist_ok=True)
    prompt.write_text("Labels.\nTask: {instruction}\n")
    ids = [f"i00000{place}" for place in range(5)]
    write_records(kinds, [Identified(name, name in TASKS, "") for name in ids])
    return asked_for | {"output_first": prompt, "kinds": kinds}


ANSWERS = {"Sort": "Output: a", "Name": "Output: b", "Is it": "Class label: yes\nNumber: 3"}


def test_a_rounds_replies_stand_in_order_with_their_prompts(
    world: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    engines = Engines(monkeypatch, ANSWERS)
    given = branched(world, pool, tmp_path / "task")
    instances_replies.main(**given)
    rows = [row for path in given["replies"] for row in read_records(path, AskedReply)]
    first, label = ("input first", "Output: "), ("output first", "Class label: yes\nNumber: 3")
    assert [(row.round, row.request, row.template, row.text) for row in rows] == [
        (0, 0, first[0], first[1] + "a"),
        (0, 1, *label),
        (1, 0, first[0], first[1] + "b"),
        (1, 1, *label),
        (2, 0, *label),
    ]
    most = given["settings"].sampling.max_new_tokens
    assert most != 5
    assert engines.heard == [
        (most, "Sort it.\n"),
        (5, " Is it odd?\n"),
        (most, "Name it.\n"),
        (5, " Is it even?\n"),
        (5, " Is it blue?\n"),
    ]
    told = capsys.readouterr().out
    assert "progress: 5/5 instructions answered" in told
    assert "round 2: 1 of 1 replies held an output" in told

    engines.heard.clear()
    instances_replies.main(**branched(world, pool, tmp_path / "round", shortens="round"))
    assert [most for most, _ in engines.heard] == [5] * 5, "every round has one"


def test_only_missing_replies_are_asked_for(
    world: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Either log of a round torn or lost; two jobs instead of one: the same files."""
    engines = Engines(monkeypatch, ANSWERS)
    given = branched(world, pool, tmp_path / "one")
    instances_replies.main(**given)
    whole = [path.read_bytes() for path in given["replies"]]
    engines.heard.clear()
    instances_replies.main(**given)
    assert not engines.heard
    for name, missing in (("replies", " Sort"), ("output_first", " Is it odd")):
        (log,) = given["progress"].glob(f"0/*/{name}.jsonl")
        log.write_bytes(log.read_bytes()[:-5])
        engines.heard.clear()
        instances_replies.main(**given)
        assert [path.read_bytes() for path in given["replies"]] == whole
        assert len(engines.heard) == 1 and engines.heard[0][1].strip().startswith(missing.strip())
    for rounds in ([0, 2], [1]):
        places = [tmp_path / "two" / f"{number}.jsonl" for number in rounds]
        own = {"rounds": rounds, "replies": places, "progress": tmp_path / f"kept{rounds[0]}"}
        instances_replies.main(**given | own)
    assert [(tmp_path / "two" / f"{n}.jsonl").read_bytes() for n in range(3)] == whole


def test_other_kinds_are_other_replies(
    world: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = Engines(monkeypatch, ANSWERS | {"Is it": "Output: c"})
    given = branched(world, pool, tmp_path / "one")
    instances_replies.main(**given | {"watch": HALF.model_copy(update={"least_parsed": 0.0})})
    engines.heard.clear()
    rows = read_records(given["kinds"], Identified)
    write_records(given["kinds"], [Identified(row.id, False, row.reply) for row in rows])
    instances_replies.main(**given)
    assert len(engines.heard) == 5
    found = [row for path in given["replies"] for row in read_records(path, AskedReply)]
    assert {row.template for row in found} == {"input first"}


def test_files_and_settings_go_together(world: Path, pool: Path, tmp_path: Path) -> None:
    given = branched(world, pool, tmp_path / "one")
    off = given["settings"].model_copy(update={"classification": None})
    for changed in ({"kinds": None}, {"output_first": None}, {"settings": off}):
        with pytest.raises(InputError, match=r"--output-first .*, --kinds .*: both are needed"):
            instances_replies.main(**given | changed)
    rows = read_records(given["kinds"], Identified)
    for damaged, said in [
        (rows[:4], r"kinds\.jsonl: 4 rows for 5 instructions"),
        ([*rows, rows[0]], r"kinds\.jsonl: 6 rows for 5 instructions"),
        (rows[1:], r"kinds\.jsonl, line 1: id 'i000001', not i000000"),
    ]:
        write_records(given["kinds"], damaged)
        with pytest.raises(InputError, match=said):
            instances_replies.main(**given)
    given["kinds"].write_text(json.dumps(vars(rows[0]) | {"classification": "yes"}) + "\n")
    with pytest.raises(InputError, match=r"kinds\.jsonl, line 1: 'classification' is no bool"):
        instances_replies.main(**given)
    assert classification_tasks(given["kinds"], rows, [instruction(n) for n in range(5)]) == TASKS
    given["output_first"].write_text("no slot")
    write_records(given["kinds"], rows)
    with pytest.raises(InputError, match=r"labels\.txt: the slot \{instruction\} is missing"):
        instances_replies.main(**given)


def test_command_lines(run_script: Script, world: Path, pool: Path, tmp_path: Path) -> None:
    """The three commands on a tiny model; what the last is given holds labels."""
    watch = HALF.model_copy(update={"least_identified": 0.0, "least_parsed": 0.0})
    done = run_script(
        "instances_kinds", *flags(identifying(world, pool, tmp_path) | {"watch": watch})
    )
    assert done.returncode == 0, done.stderr
    assert "progress: 5/5 instructions looked at" in done.stdout
    assert len(read_records(tmp_path / "kinds.jsonl", Identified)) == 5
    given = branched(world, pool, tmp_path / "out")
    done = run_script("instances_replies", *flags(given))
    assert done.returncode == 0, done.stderr
    rows = [row for path in given["replies"] for row in read_records(path, AskedReply)]
    assert [row.template == "output first" for row in rows] == [False, True, False, True, True]
    assert all(row.tokens <= 5 for row in rows if row.template == "output first")

    for path in given["replies"]:
        labelled = [
            replace(row, text=f"Class label: {row.request}\nInput: x\nOutput: y", finish="stop")
            for row in read_records(path, AskedReply)
        ]
        write_records(path, labelled)
    off = given["settings"].model_copy(update={"classification": None})
    final = reading(world, asked_of(world, pool) | {"settings": off}, 3, tmp_path / "out")
    done = run_script("instances", "segment", *flags(final))
    assert done.returncode == 0, done.stderr
    kept = read_records(tmp_path / "out" / "segment" / "instances.jsonl", Instance)
    assert [(row.template, row.input, row.output) for row in kept] == [
        ("input first", "Class label: 0\nInput: x", "y"),
        ("output first", "Input: x\nOutput: y", "1"),
        ("input first", "Class label: 0\nInput: x", "y"),
        ("output first", "Input: x\nOutput: y", "1"),
        ("output first", "Input: x\nOutput: y", "0"),
    ]
    with open(tmp_path / "out" / "segment" / "counts.csv", newline="") as file:
        (figures,) = csv.DictReader(file)
    assert (figures["instructions"], figures["classification"], figures["kept"]) == ("5", "3", "5")


def test_a_reply_without_its_prompt_is_refused(world: Path, pool: Path, tmp_path: Path) -> None:
    final = reading(world, asked_of(world, pool, prompts_per_round=5), 1, tmp_path)
    (tmp_path / "0.jsonl").write_text(json.dumps(vars(asked("x")) | {"template": "clf"}) + "\n")
    with pytest.raises(InputError, match=r"0\.jsonl, line 1: 'template' is no .*Literal"):
        second_half.segment(**final)


def refused_at_the_door(config: dict[str, Any]) -> str:
    """What is said before any job; "" where nothing is wrong."""
    try:
        experiment = read_experiment(config)
        check_files(experiment, lambda path: str(ROOT / path), lambda path: False, lambda key: "")
    except InputError as error:
        return str(error)
    return ""


def test_prompts_of_the_branch_are_looked_into_where_it_is_on(world: Path) -> None:
    for key in ("output_first", "classification"):
        config = tiny_config(world)
        config["prompts"][key] = "results/fetch/none.txt"
        assert not refused_at_the_door(config)
        config["instances"]["classification"] = None
        assert not refused_at_the_door(config)
        config["instances"]["classification"] = BRANCH.model_dump(mode="json")
        said = refused_at_the_door(config)
        assert said.startswith(f"config.yaml, prompts.{key}: results/fetch/none.txt: there is not")
        config["prompts"][key] = "README.md"
        assert refused_at_the_door(config).startswith(f"config.yaml, prompts.{key}: ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("methods", ["alpaca"]),
        ("methods", ["refine-af", "refine-af"]),
        ("methods", "self-instruct"),
        ("shortens", "batch"),
        ("max_new_tokens", 0),
        ("identification", None),
    ],
)
def test_a_wrong_value_of_the_branch_is_named(world: Path, key: str, value: object) -> None:
    config = tiny_config(world)
    config["instances"]["classification"][key] = value
    assert f"instances.classification.{key}" in refused_at_the_door(config)
