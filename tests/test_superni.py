"""Super-NI: task files, prompts, predictions through the command line, and the table."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import superni
import superni_replies
from refine_af.engines.replies import Group
from refine_af.errors import InputError
from refine_af.files.rows import read_records, write_records
from refine_af.models.backbones import load_tokenizer
from refine_af.models.encoding import encode
from refine_af.prompts.templates import prompt_of, read_prompt
from refine_af.records.cells import method_and_size
from refine_af.records.evaluation import EvaluationInstance, Prediction
from refine_af.settings.superni import COPIES, Superni
from refine_af.superni.tasks import in_order, part_of, task_instances, task_names
from refine_af.superni.zero_shot import (
    TaskPrompts,
    full_stopped,
    longest_beginning,
    longest_prompt,
    rounds_of,
    task_prompts,
)
from test_instances import flags
from tiny import ROOT

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def settings(**changes: object) -> Superni:
    section = yaml.safe_load((ROOT / "config.yaml").read_text())["superni"]
    return Superni.model_validate(section | {"quantization": "none"} | changes)


def task(**changes: object) -> dict[str, Any]:
    rows = [{"id": f"t-{n}", "input": f"in {n}", "output": [f"{n}", "x"]} for n in range(3)]
    known: dict[str, Any] = {
        "Definition": ["Say it", "other"],
        "Categories": ["Title  Generation", "Other"],
    }
    known["Positive Examples"] = [{"input": "q", "output": "shown"}, {"output": "second"}]
    return {**known, "Instances": rows} | changes


def test_a_list_of_tasks_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "tasks.txt").write_bytes(b"task1\ntask\xff2\n")
    with pytest.raises(InputError, match=r"tasks\.txt: not UTF-8 at byte 10: b'\\xff'"):
        superni_replies.instances(
            settings=settings(), tasks=tmp_path, instances=tmp_path / "x.jsonl"
        )


def test_the_first_instances_of_a_task_in_file_order() -> None:
    found = task_instances(task(), task="task9_x", limit=2, path=Path("t.json"))
    assert found == [
        EvaluationInstance(
            "t-0", "task9_x", "title_generation", "Say it", "in 0", ["0", "x"], "shown"
        ),
        EvaluationInstance(
            "t-1", "task9_x", "title_generation", "Say it", "in 1", ["1", "x"], "shown"
        ),
    ]


def test_a_task_without_examples_has_no_demonstration() -> None:
    without = task()
    del without["Positive Examples"]
    for document in (task(**{"Positive Examples": []}), without):
        (found,) = task_instances(document, task="t", limit=1, path=Path("t.json"))
        assert found.demonstration == ""


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (task(**{"Positive Examples": "x"}), "'Positive Examples' is no list: 'x'"),
        (task(**{"Positive Examples": [{}]}), "Positive Examples[0]: 'output' is no text: None"),
        (task(Categories=[]), "'Categories' is no list of texts: []"),
        (task(Categories=[3]), "'Categories[0]' is no text: 3"),
        (task(Definition="Say it"), "'Definition' is no list of texts: 'Say it'"),
        (task(Definition=[" "]), "'Definition[0]' is no text: ' '"),
        (task(Instances={}), "'Instances' is no list of instances: {}"),
        (task(Instances=[]), "'Instances' is no list of instances: []"),
        (task(Instances=["in"]), "Instances[0]: not a JSON object: 'in'"),
        (task(Instances=[{"input": "", "output": ["x"]}]), "Instances[0]: 'id' is no text: None"),
        (task(Instances=[{"id": "a", "output": ["x"]}]), "Instances[0]: 'input' is no text: None"),
        (
            task(Instances=[{"id": "a", "input": "", "output": "x"}]),
            "Instances[0]: 'output' is no list of texts: 'x'",
        ),
        (
            task(Instances=[{"id": "a", "input": "", "output": ["x", 4]}]),
            "Instances[0]: 'output[1]' is no text: 4",
        ),
    ],
)
def test_a_broken_task_file_is_named_with_place_and_value(
    document: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        task_instances(document, task="t", limit=5, path=Path("t.json"))
    assert str(caught.value).startswith("t.json") and message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no task"),
        ("task1_a\n\n", "line 2: no task name: ''"),
        ("../etc\n", "line 1: no task name: '../etc'"),
        ("task1_a\r\ntask1_a", "line 2: task 'task1_a' stands on line 1 too"),
    ],
)
def test_a_broken_list_of_tasks_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        task_names(text, Path("tasks.txt"))


def make_tasks(folder: Path, documents: dict[str, str]) -> Path:
    folder.mkdir()
    (folder / "tasks.txt").write_text("".join(f"{name}\n" for name in documents))
    for name, text in documents.items():
        (folder / f"{name}.json").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("documents", "message"),
    [
        ({"t1": '{"Definition": '}, "t1.json: not JSON"),
        ({"t1": "[1]"}, "t1.json: not a JSON object: [1]"),
        ({"t1": json.dumps(task()), "t2": json.dumps(task())}, "t2: id 't-0' is that of an instan"),
        ({"t1": json.dumps(task(Instances=[7]))}, "t1.json, Instances[0]: not a JSON object: 7"),
    ],
)
def test_a_broken_folder_of_tasks_is_refused(
    tmp_path: Path, documents: dict[str, str], message: str
) -> None:
    tasks = make_tasks(tmp_path / "tasks", documents)
    with pytest.raises(InputError) as caught:
        superni_replies.instances(
            settings=settings(), tasks=tasks, instances=tmp_path / "out.jsonl"
        )
    assert message in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_listed_task_without_its_file_is_named(run_script: Script, tmp_path: Path) -> None:
    tasks = make_tasks(tmp_path / "tasks", {"t1": json.dumps(task())})
    (tasks / "t1.json").unlink()
    done = run_script("superni_replies", "instances", *collected(tasks, tmp_path / "out.jsonl"))
    assert done.returncode == 1
    assert done.stderr.strip() == f"error: {tasks / 't1.json'}: No such file or directory"
    assert not (tmp_path / "out.jsonl").exists()


def collected(tasks: Path, instances: Path) -> list[object]:
    chosen = settings().model_dump_json()
    return ["--settings", chosen, "--tasks", tasks, "--instances", instances]


def test_the_real_task_files_give_the_official_instances(
    run_script: Script, tmp_path: Path
) -> None:
    name = os.environ.get("REFINE_AF_MIRROR")
    if name is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    files = sorted((Path(name) / "superni" / "tasks").glob("*.json"))
    assert len(files) == 4, f"REFINE_AF_MIRROR={name} holds {len(files)} task files"
    tasks = make_tasks(tmp_path / "tasks", {})
    (tasks / "tasks.txt").write_text("".join(f"{path.stem}\n" for path in files))
    for path in files:
        shutil.copy(path, tasks)
    done = run_script("superni_replies", "instances", *collected(tasks, tmp_path / "out.jsonl"))
    assert done.returncode == 0, done.stderr
    rows = read_records(tmp_path / "out.jsonl", EvaluationInstance)
    assert len(rows) == 400
    listed = (ROOT / "resources" / "superni" / "test_digests.jsonl").read_text().splitlines()
    digests = {row["task_id"]: row for row in map(json.loads, listed)}
    for path in files:
        mine = [[row.id, row.references] for row in rows if row.task == path.stem]
        compact = json.dumps(mine, ensure_ascii=False, separators=(",", ":"))
        digest = digests[path.stem]
        assert hashlib.sha256(compact.encode()).hexdigest() == digest["sha256"]
        assert {row.category for row in rows if row.task == path.stem} == {
            "_".join(digest["category"].lower().split())
        }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Say it", "Say it."),
        (" Say it! \n", "Say it!"),
        ("", "."),
        ("was ist „es“", "was ist „es“."),
    ],
)
def test_full_stops_as_upstream_sets_them(text: str, expected: str) -> None:
    assert full_stopped(text) == expected


def instance(id: str, task: str, definition: str, text: str) -> EvaluationInstance:
    return EvaluationInstance(id, task, "words", definition, text, ["x"])


@pytest.fixture(scope="module")
def tokenizer(tiny_llama: Path) -> Any:
    from refine_af.models.backbones import load_tokenizer

    return load_tokenizer(tiny_llama)


def test_prompts_are_the_official_encoding(tokenizer: Any) -> None:
    rows = [
        instance("1", "a", "Name {input} it", "apples, pears"),
        instance("2", "a", "Name {input} it", " {definition}? "),
        instance("3", "b", "Sort!", ""),
    ]
    prompt = read_prompt(ROOT / "resources" / "prompts" / "superni.txt", {"definition", "input"})
    first, second = task_prompts(rows, prompt, settings(), tokenizer)
    cue = "\n\nNow complete the following example -\nInput:"
    assert first.group.prefix == f"Definition: Name {{input}} it.{cue}"
    assert first.group.tails == [" apples, pears.\nOutput:", " {definition}?\nOutput:"]
    assert (second.group.prefix, second.group.tails) == (f"Definition: Sort!{cue}", [" .\nOutput:"])
    assert (first.shortened, first.emptied) == (0, 0)


def test_prefix_and_tail_tokenised_apart_are_the_tokens_of_the_whole(tokenizer: Any) -> None:
    from refine_af.models.encoding import encode

    for name in ("resources/prompts/superni.txt", "demo/prompts/superni.txt"):
        prompt = read_prompt(ROOT / name, {"definition", "input"})
        rows = [instance("1", "a", "Sort the list of numbers.", "3, 1, 2 and apples")]
        (made,) = task_prompts(rows, prompt, settings(full_stop=False), tokenizer)
        apart = encode(tokenizer, made.group.prefix, start=True)
        apart += encode(tokenizer, made.group.tails[0], start=False)
        whole = prompt.fill(definition=rows[0].definition, input=rows[0].input)
        assert apart == encode(tokenizer, whole, start=True)


def test_a_long_input_is_cut_to_the_last_character_that_fits(tokenizer: Any) -> None:
    from refine_af.models.encoding import encode

    prompt = prompt_of("Do: {definition}\nIn: {input}\nOut:", {"definition", "input"}, "p")
    long = " ".join(f"é{number}" for number in range(500))
    rows = [instance("1", "a", "Sort", long), instance("2", "a", "Sort", "3 1 2")]
    chosen = settings(full_stop=False, max_source_tokens=64)
    (made,) = task_prompts(rows, prompt, chosen, tokenizer)
    head = len(encode(tokenizer, made.group.prefix, start=True))
    assert made.group.prefix == "Do: Sort\nIn:" and made.group.tails[1] == " 3 1 2\nOut:"
    assert (made.shortened, made.emptied) == (1, 0)
    kept = made.group.tails[0].removesuffix("\nOut:").strip()
    assert long.startswith(kept) and made.group.tails[0].endswith("\nOut:")
    assert head + len(encode(tokenizer, made.group.tails[0], start=False)) <= 64
    one_more = f" {long[: len(kept) + 1]}\nOut:"
    assert head + len(encode(tokenizer, one_more, start=False)) > 64


def test_a_definition_is_never_cut(tokenizer: Any) -> None:
    prompt = prompt_of("Do: {definition}\nIn: {input}\nOut:", {"definition", "input"}, "p")
    rows = [instance("1", "a", "Sort " * 50, "3 1 2")]
    (made,) = task_prompts(rows, prompt, settings(max_source_tokens=10), tokenizer)
    assert made.group.prefix == f"Do: {('Sort ' * 50).strip()}.\nIn:"
    assert made.group.tails == [" \nOut:"]
    assert (made.shortened, made.emptied) == (1, 1)


def test_the_longest_beginning_is_found_by_bisection() -> None:
    for limit in range(9):

        def fits(text: str, limit: int = limit) -> bool:
            return len(text) <= limit

        assert longest_beginning("abcdefgh", fits) == "abcdefgh"[:limit]


def tasks_of(*counts: int) -> list[TaskPrompts]:
    return [TaskPrompts(Group("", ["x"] * count), 0, 0) for count in counts]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([], []),
        ([3, 3, 4], [[3, 3, 4]]),
        ([3, 3, 5], [[3, 3], [5]]),
        ([12, 1, 9, 1], [[12], [1, 9], [1]]),
        ([1, 12, 12], [[1], [12], [12]]),
    ],
)
def test_a_round_is_of_whole_tasks(counts: list[int], expected: list[list[int]]) -> None:
    rounds = rounds_of(tasks_of(*counts), 10)
    assert [[len(task.group.tails) for task in made] for made in rounds] == expected


def test_every_task_is_in_one_part() -> None:
    rows = [instance(f"{name}-{n}", name, "Say", "") for name in "abcdefg" for n in range(2)]
    parts = [part_of(rows, part, 3) for part in range(3)]
    assert [row.id for row in parts[1]] == ["b-0", "b-1", "e-0", "e-1"]
    assert sorted(row.id for part in parts for row in part) == [row.id for row in rows]
    assert part_of(rows, 7, 8) == []


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (["1", "x"], "b.jsonl, line 2: id 'x' is no evaluation instance's"),
        (["1", "0"], "b.jsonl, line 2: id '0' comes twice"),
        ([], "p: no prediction for '1'"),
    ],
)
def test_parts_that_do_not_make_a_whole_are_refused(second: list[str], message: str) -> None:
    rows = [instance(f"{n}", "a", "Say", "") for n in range(2)]
    files = [
        (Path("p", name), [Prediction(id, "x", True) for id in ids])
        for name, ids in [("a.jsonl", ["0"]), ("b.jsonl", second)]
    ]
    with pytest.raises(InputError, match=re.escape(message)):
        in_order(rows, files)


ASKED = [
    instance("b-1", "b", "Sort the list.", "3, 1"),
    instance("b-2", "b", "Sort the list.", "2, 4 and some more words"),
    instance("a-1", "a", "Say yes.", ""),
]


def asking(
    folder: Path, backbone: Path, parts: Sequence[int], *, of: int = 2, **changes: object
) -> dict[str, Any]:
    """What the command `replies` is given; files in `folder`."""
    return {
        "settings": settings(**{"max_new_tokens": 12, **changes}),
        "server": None,
        "served": None,
        "cell": "base",
        "prompt": ROOT / "resources/prompts/superni.txt",
        "chat": False,
        "backbone": backbone,
        "adapter": None,
        "instances": folder / "instances.jsonl",
        "parts": list(parts),
        "of": of,
        "progress": folder / "kept",
        "predictions": [folder / f"{part}.jsonl" for part in parts],
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": [0, 0]}, "--parts [0, 0]: a file each is needed, got 2"),
        ({"parts": [0]}, "--parts [0]: a file each is needed, got 2"),
        ({"parts": [0, 2]}, "--parts 2: the parts are 0 to 1"),
    ],
)
def test_wrong_parts_are_refused(
    changes: dict[str, Any], message: str, tiny_llama: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        superni_replies.replies(**asking(tmp_path, tiny_llama, [0, 1]) | changes)


def test_predictions_and_their_table(run_script: Script, tiny_llama: Path, tmp_path: Path) -> None:
    write_records(tmp_path / "instances.jsonl", ASKED)
    files = [tmp_path / "base.jsonl", tmp_path / "refine-af_40.jsonl"]
    given = asking(tmp_path, tiny_llama, [0, 1])
    done = run_script("superni_replies", "replies", *flags(given))
    assert done.returncode == 0, done.stderr
    assert "3/3 replies" in done.stdout and "replies/s" in done.stdout
    assert "0 of 2 inputs were cut to fit 1024 tokens, 0 to nothing" in done.stdout
    done = run_script(
        *("superni", "predictions", "--instances", tmp_path / "instances.jsonl", "--parts"),
        *(*given["predictions"], "--predictions", files[0]),
    )
    assert done.returncode == 0, done.stderr
    shutil.copy(files[0], files[1])
    replies = read_records(files[0], Prediction)
    assert [reply.id for reply in replies] == ["b-1", "b-2", "a-1"]
    assert all(reply.prediction == reply.prediction.strip() for reply in replies)
    assert any(reply.prediction for reply in replies)
    table = ["table", "--instances", tmp_path / "instances.jsonl", "--predictions", *files]
    outputs = ("--table", tmp_path / "t.csv", "--scores", tmp_path / "scores.csv")
    done = run_script("superni", *table, *outputs)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "t.csv", newline="") as file:
        found = list(csv.DictReader(file))
    cells = [("base", ""), *((copy, "") for copy in COPIES), ("refine-af", "40")]
    assert [(row["method"], row["size"], row["task"], row["instances"]) for row in found] == [
        (*cell, *task) for cell in cells for task in [("b", "2"), ("a", "1")]
    ]


def short_context(folder: Path, backbone: Path, room: int) -> Path:
    """The backbone with a context of `room` tokens."""
    shutil.copytree(backbone, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": room}))
    return folder


def test_a_prompt_that_leaves_no_room_is_refused_before_work(
    tiny_llama: Path, tmp_path: Path
) -> None:
    """Held against the longest prompt there is, of the last part; the room it needs is enough."""
    tokenizer = load_tokenizer(tiny_llama)
    write_records(tmp_path / "instances.jsonl", ASKED)
    given = asking(tmp_path, tiny_llama, [0, 1], max_new_tokens=4)
    template = read_prompt(given["prompt"], {"definition", "input"})
    tasks = list(task_prompts(ASKED, template, given["settings"], tokenizer))
    prompts = [task.group.prefix + tail for task in tasks for tail in task.group.tails]
    longest = max(len(encode(tokenizer, prompt, start=True)) for prompt in prompts)
    assert longest_prompt(tasks, tokenizer) == longest < 1024
    given["backbone"] = short_context(tmp_path / "short", tiny_llama, longest + 3)
    message = (
        rf"^superni\.max_source_tokens 1024 and superni\.max_new_tokens 4: a prompt of {longest}"
    )
    with pytest.raises(InputError, match=rf"{message} tokens .* of {longest + 3} tokens$"):
        superni_replies.replies(**given)
    assert not (tmp_path / "kept").exists()
    given["backbone"] = short_context(tmp_path / "enough", tiny_llama, longest + 4)
    superni_replies.replies(**given)
    assert all(path.exists() for path in given["predictions"])


def test_cells_that_make_no_table_are_refused(tmp_path: Path) -> None:
    given = {"instances": tmp_path, "table": tmp_path / "t", "scores": tmp_path / "s"}
    a, again, empty = Path("a.jsonl"), Path("b/a.jsonl"), Path("empty.jsonl")
    for files, message in [
        ([], "--predictions: names no file"),
        ([a, again], "b/a.jsonl: the cell 'a' is that of a.jsonl too"),
        ([a, empty], "empty.jsonl: 'empty' is in every table"),
    ]:
        with pytest.raises(InputError, match=f"^{message}"):
            superni.table(predictions=files, **given)
    with pytest.raises(InputError, match=r"^--parts: names no file"):
        superni.predictions(instances=tmp_path, parts=[], predictions=tmp_path / "p")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("refine-af_5000", ("refine-af", "5000")),
        ("self-instruct_15000", ("self-instruct", "15000")),
        ("refine-af_r2_5000_r12", ("refine-af", "5000")),
        ("base-few-shot", ("base-few-shot", "")),
    ],
)
def test_a_cell_is_a_method_and_a_size_or_a_baseline(cell: str, expected: tuple[str, str]) -> None:
    assert method_and_size(cell) == expected


def test_a_table_by_hand(run_script: Script, tmp_path: Path) -> None:
    rows = [
        dataclasses.replace(instance(f"a-{number}", "a", "Say x.", "?"), demonstration="x, y")
        for number in range(3)
    ]
    write_records(tmp_path / "instances.jsonl", rows)
    replies = [
        Prediction("a-2", "", finished=False),
        Prediction("a-0", "X!", finished=True),
        Prediction("a-1", "x y z", finished=True),
    ]
    write_records(tmp_path / "base.jsonl", replies)
    command = ["table", "--instances", tmp_path / "instances.jsonl", "--predictions"]
    command += [tmp_path / "base.jsonl", "--scores", tmp_path / "scores.csv", "--table"]
    done = run_script("superni", *command, tmp_path / "t.csv")
    assert done.returncode == 0, done.stderr
    # ROUGE-L 1, 1/2 and 0; words 1, 3 and 0. The demonstration has one word too many: 2/3.
    assert (tmp_path / "t.csv").read_text() == (
        "method,size,cell,task,category,instances,rouge_l,exact_match,reply_words,eos_share\n"
        "base,,base,a,words,3,50.0,33.3333,1.3333,0.6667\n"
        "copy-demonstration,,copy-demonstration,a,words,3,66.6667,0.0,2.0,1.0\n"
        "copy-input,,copy-input,a,words,3,0.0,0.0,1.0,1.0\n"
        "empty,,empty,a,words,3,0.0,0.0,0.0,1.0\n"
    )
    scores = (tmp_path / "scores.csv").read_text()
    assert scores == (
        "id,task,base,copy-demonstration,copy-input,empty\na-0,a,100.0,66.6667,0.0,0.0\n"
        "a-1,a,50.0,66.6667,0.0,0.0\na-2,a,0.0,66.6667,0.0,0.0\n"
    )
    write_records(tmp_path / "base.jsonl", replies[1:])
    done = run_script("superni", *command, tmp_path / "u.csv")
    assert done.returncode == 1
    assert "1 of 3 instances have no prediction, the first 'a-2'" in done.stderr
    assert not (tmp_path / "u.csv").exists()
