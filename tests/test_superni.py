"""Super-NI: task files, prompts, predictions through the command line, and the table."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import superni
from refine_af.errors import InputError
from refine_af.prompts import prompt_of, read_prompt
from refine_af.records import EvaluationInstance, Prediction, read_records, write_records
from refine_af.settings import Superni
from refine_af.superni import method_and_size, task_instances, task_names
from refine_af.zero_shot import full_stopped, longest_beginning, task_prompts
from tiny import ROOT

Script = Callable[..., "subprocess.CompletedProcess[str]"]


def settings(**changes: object) -> Superni:
    section = yaml.safe_load((ROOT / "config.yaml").read_text())["superni"]
    return Superni.model_validate(section | {"quantization": "none"} | changes)


def task(**changes: object) -> dict[str, Any]:
    rows = [{"id": f"t-{n}", "input": f"in {n}", "output": [f"{n}", "x"]} for n in range(3)]
    known = {"Definition": ["Say it", "other"], "Categories": ["Title  Generation", "Other"]}
    return {**known, "Instances": rows} | changes


def test_the_first_instances_of_a_task_in_file_order() -> None:
    found = task_instances(task(), task="task9_x", limit=2, path=Path("t.json"))
    assert found == [
        EvaluationInstance("t-0", "task9_x", "title_generation", "Say it", "in 0", ["0", "x"]),
        EvaluationInstance("t-1", "task9_x", "title_generation", "Say it", "in 1", ["1", "x"]),
    ]


@pytest.mark.parametrize(
    ("document", "message"),
    [
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
    ("lines", "message"),
    [
        ([], "names no task"),
        (["task1_a", ""], "line 2: no task name: ''"),
        (["../etc"], "line 1: no task name: '../etc'"),
        (["task1_a", "task1_a"], "line 2: 'task1_a' stands on line 1 too"),
    ],
)
def test_a_broken_list_of_tasks_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        task_names(lines, Path("tasks.txt"))


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
        superni.instances(settings=settings(), tasks=tasks, instances=tmp_path / "out.jsonl")
    assert message in str(caught.value)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_listed_task_without_its_file_is_named(run_script: Script, tmp_path: Path) -> None:
    tasks = make_tasks(tmp_path / "tasks", {"t1": json.dumps(task())})
    (tasks / "t1.json").unlink()
    done = run_script("superni", "instances", *collected(tasks, tmp_path / "out.jsonl"))
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
    done = run_script("superni", "instances", *collected(tasks, tmp_path / "out.jsonl"))
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
    from refine_af.models import load_tokenizer

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
    assert first.prefix == f"Definition: Name {{input}} it.{cue}"
    assert first.tails == [" apples, pears.\nOutput:", " {definition}?\nOutput:"]
    assert (second.prefix, second.tails) == (f"Definition: Sort!{cue}", [" .\nOutput:"])
    assert (first.shortened, first.emptied) == (0, 0)


def test_prefix_and_tail_tokenised_apart_are_the_tokens_of_the_whole(tokenizer: Any) -> None:
    from refine_af.models import encode

    for name in ("resources/prompts/superni.txt", "demo/prompts/superni.txt"):
        prompt = read_prompt(ROOT / name, {"definition", "input"})
        rows = [instance("1", "a", "Sort the list of numbers.", "3, 1, 2 and apples")]
        (made,) = task_prompts(rows, prompt, settings(full_stop=False), tokenizer)
        apart = encode(tokenizer, made.prefix, start=True)
        apart += encode(tokenizer, made.tails[0], start=False)
        whole = prompt.fill(definition=rows[0].definition, input=rows[0].input)
        assert apart == encode(tokenizer, whole, start=True)


def test_a_long_input_is_cut_to_the_last_character_that_fits(tokenizer: Any) -> None:
    from refine_af.models import encode

    prompt = prompt_of("Do: {definition}\nIn: {input}\nOut:", {"definition", "input"}, "p")
    long = " ".join(f"é{number}" for number in range(500))
    rows = [instance("1", "a", "Sort", long), instance("2", "a", "Sort", "3 1 2")]
    chosen = settings(full_stop=False, max_source_tokens=64)
    (made,) = task_prompts(rows, prompt, chosen, tokenizer)
    head = len(encode(tokenizer, made.prefix, start=True))
    assert made.prefix == "Do: Sort\nIn:" and made.tails[1] == " 3 1 2\nOut:"
    assert (made.shortened, made.emptied) == (1, 0)
    kept = made.tails[0].removesuffix("\nOut:").strip()
    assert long.startswith(kept) and made.tails[0].endswith("\nOut:")
    assert head + len(encode(tokenizer, made.tails[0], start=False)) <= 64
    one_more = f" {long[: len(kept) + 1]}\nOut:"
    assert head + len(encode(tokenizer, one_more, start=False)) > 64


def test_a_definition_is_never_cut(tokenizer: Any) -> None:
    prompt = prompt_of("Do: {definition}\nIn: {input}\nOut:", {"definition", "input"}, "p")
    rows = [instance("1", "a", "Sort " * 50, "3 1 2")]
    (made,) = task_prompts(rows, prompt, settings(max_source_tokens=10), tokenizer)
    assert made.prefix == f"Do: {('Sort ' * 50).strip()}.\nIn:"
    assert made.tails == [" \nOut:"]
    assert (made.shortened, made.emptied) == (1, 1)


def test_the_longest_beginning_is_found_by_bisection() -> None:
    for limit in range(9):
        assert (
            longest_beginning("abcdefgh", lambda text, limit=limit: len(text) <= limit)
            == ("abcdefgh"[:limit])
        )


def test_predictions_and_their_table(run_script: Script, tiny_llama: Path, tmp_path: Path) -> None:
    rows = [
        instance("b-1", "b", "Sort the list.", "3, 1"),
        instance("b-2", "b", "Sort the list.", "2, 4 and some more words"),
        instance("a-1", "a", "Say yes.", ""),
    ]
    write_records(tmp_path / "instances.jsonl", rows)
    files = [tmp_path / "base.jsonl", tmp_path / "refine-af_40.jsonl"]
    done = run_script(
        "superni",
        *("predictions", "--settings", settings(max_new_tokens=12).model_dump_json()),
        *("--cell", "base", "--prompt", ROOT / "resources/prompts/superni.txt"),
        *("--backbone", tiny_llama, "--adapter"),
        *("--instances", tmp_path / "instances.jsonl", "--predictions", files[0]),
    )
    assert done.returncode == 0, done.stderr
    assert "3/3 replies" in done.stdout
    assert "0 of 3 inputs were cut to fit 1024 tokens, 0 to nothing" in done.stdout
    shutil.copy(files[0], files[1])
    replies = read_records(files[0], Prediction)
    assert [reply.id for reply in replies] == ["b-1", "b-2", "a-1"]
    assert all(reply.prediction == reply.prediction.strip() for reply in replies)
    table = ["table", "--instances", tmp_path / "instances.jsonl", "--predictions", *files]
    outputs = ("--table", tmp_path / "t.csv", "--scores", tmp_path / "scores.csv")
    done = run_script("superni", *table, *outputs)
    assert done.returncode == 0, done.stderr
    with open(tmp_path / "t.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [(row["method"], row["size"], row["task"], row["instances"]) for row in found] == [
        ("base", "", "b", "2"),
        ("base", "", "a", "1"),
        ("refine-af", "40", "b", "2"),
        ("refine-af", "40", "a", "1"),
    ]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("refine-af_5000", ("refine-af", "5000")),
        ("self-instruct_15000", ("self-instruct", "15000")),
        ("base-few-shot", ("base-few-shot", "")),
    ],
)
def test_a_cell_is_a_method_and_a_size_or_a_baseline(cell: str, expected: tuple[str, str]) -> None:
    assert method_and_size(cell) == expected


def test_a_table_by_hand(run_script: Script, tmp_path: Path) -> None:
    rows = [instance(f"a-{number}", "a", "Say x.", "?") for number in range(3)]
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
    # ROUGE-L 1, 1/2 and 0; words 1, 3 and 0
    assert (tmp_path / "t.csv").read_text() == (
        "method,size,task,category,instances,rouge_l,exact_match,reply_words,eos_share\n"
        "base,,a,words,3,50.0,33.3333,1.3333,0.6667\n"
    )
    scores = (tmp_path / "scores.csv").read_text()
    assert scores == "id,task,base\na-0,a,100.0\na-1,a,50.0\na-2,a,0.0\n"
    write_records(tmp_path / "base.jsonl", replies[1:])
    done = run_script("superni", *command, tmp_path / "u.csv")
    assert done.returncode == 1
    assert "1 of 3 instances have no prediction, the first 'a-2'" in done.stderr
    assert not (tmp_path / "u.csv").exists()
