"""The user-oriented instructions: the file, the prompts, the predictions and the joined file."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

import users
from killing import killed, writes
from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.files.rows import read_records
from refine_af.records.evaluation import UserPrediction
from refine_af.records.human_tasks import UserInstruction, read_user_instructions
from refine_af.settings.users import Users
from refine_af.users.replies import encodings_of, prompt_for
from test_instances import flags
from tiny import ROOT

ENCODINGS = ROOT / "resources" / "prompts" / "users.json"


def settings(**changes: object) -> Users:
    section = yaml.safe_load((ROOT / "config.yaml").read_text())["users"]
    return Users.model_validate(
        section | {"quantization": "none", "prompts_per_round": 2, "max_new_tokens": 8} | changes
    )


def row(**changes: object) -> dict[str, Any]:
    return {
        "id": "u-1",
        "motivation_app": "Gmail",
        "instruction": "Sort.",
        "instances": [{"input": "3 1", "output": "1 3"}],
    } | changes


def write(path: Path, *lines: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "holds no instruction"),
        ([row(), row()], ", line 2: id 'u-1' stands on line 1 too"),
        ([row(instruction=" \n")], ", line 1: empty instruction in 'u-1'"),
        ([row(instruction=3)], ", line 1: 'instruction' is no str: 3"),
        ([row(instances=[])], ", line 1: not one instance: []"),
        ([row(instances=[{"input": "", "output": ""}] * 2)], ", line 1: not one instance: [{"),
        ([row(instances=[{"input": ""}])], ", line 1: no 'input' and 'output' in {'input': ''}"),
        ([row(instances=[{"input": None, "output": ""}])], ", line 1: 'instances' is no list"),
        ([row(), {"id": "u-2"}], ", line 2: no 'instruction' in {'id': 'u-2'}"),
    ],
)
def test_a_broken_file_is_named_with_line_and_value(
    lines: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "users.jsonl", *lines)
    with pytest.raises(InputError) as caught:
        read_user_instructions(path)
    assert str(caught.value).startswith(str(path)) and message in str(caught.value)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"with_input": "{instruction} {input}"}, "needs with_input and without_input alone"),
        ({"with_input": 3, "without_input": ""}, "'with_input' is no text: 3"),
        (
            {"with_input": "{instruction}", "without_input": "{instruction}"},
            "with_input: the slot {input} is missing",
        ),
        (
            {"with_input": "{instruction} {input}", "without_input": "{instruction} {input}"},
            "without_input: unknown slot {input}",
        ),
    ],
)
def test_a_broken_file_of_prompts_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"p.json{', ' if ':' in message[:14] else ''}")):
        encodings_of(document, Path("p.json"))
    with pytest.raises(InputError, match=re.escape(message)):
        encodings_of(document, Path("p.json"))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (UserInstruction("1", " Sort. ", "3 1\n", ""), "Sort.\n\nInput: 3 1\nOutput:"),
        (UserInstruction("1", "Say {input}.", " ", ""), "Say {input}.\nOutput:"),
        (
            UserInstruction("1", "{input}", "{instruction}", ""),
            "{input}\n\nInput: {instruction}\nOutput:",
        ),
    ],
)
def test_prompts_are_those_of_self_instruct(asked: UserInstruction, expected: str) -> None:
    assert prompt_for(asked, encodings_of(read_document(ENCODINGS), ENCODINGS)) == expected


def test_the_real_instructions_give_the_published_prompts() -> None:
    name = os.environ.get("REFINE_AF_MIRROR")
    if name is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    asked = read_user_instructions(Path(name) / "user_oriented_instructions.jsonl")
    encodings = encodings_of(read_document(ENCODINGS), ENCODINGS)
    prompts = [prompt_for(entry, encodings) for entry in asked]
    assert len(prompts) == 252
    assert sum("\n\nInput: " in prompt for prompt in prompts) == 208
    assert prompts[0].startswith("The sentence you are given might be too wordy")
    assert all(prompt.endswith("\nOutput:") for prompt in prompts)


def asking(world: Path, out: Path, **changes: object) -> dict[str, Any]:
    return {
        "settings": settings(),
        "server": None,
        "served": None,
        "model": "tiny",
        "cell": "base",
        "prompts": ENCODINGS,
        "chat": False,
        "backbone": world / "llama",
        "adapter": None,
        "instructions": world / "users.jsonl",
        "progress": out / "kept",
        "predictions": out / "base.jsonl",
    } | changes


def test_predictions_go_on_after_a_kill(world: Path, tmp_path: Path) -> None:
    """Killed within its second round's first reply; the first round is not asked for again."""
    sound, torn = tmp_path / "sound", tmp_path / "torn"
    sound.mkdir()
    torn.mkdir()
    words = ["predictions", *flags(asking(world, Path()))]
    made = writes("users", *words, root=sound)
    logged = [at for at, name in enumerate(made, 1) if re.match(r"write .*/replies\.jsonl$", name)]
    assert len(logged) == 5, "five instructions, two a round"
    killed("users", *words, root=torn, at=logged[2], how="within")
    assert not (torn / "base.jsonl").exists()
    (log,) = torn.glob("kept/*/replies.jsonl")
    before = log.read_bytes()
    users.predictions(**asking(world, torn))
    assert (torn / "base.jsonl").read_bytes() == (sound / "base.jsonl").read_bytes()
    lines = log.read_bytes().splitlines(keepends=True)
    assert before.startswith(lines[0] + lines[1]) and not before.endswith(b"\n")
    assert [json.loads(line)["round"] for line in lines] == [0, 0, 1, 1, 2]
    rows = read_records(sound / "base.jsonl", UserPrediction)
    asked = read_user_instructions(world / "users.jsonl")
    assert [(r.id, r.instruction, r.input, r.reference) for r in rows] == [
        (a.id, a.instruction, a.input, a.reference) for a in asked
    ]
    assert {(r.model, r.cell) for r in rows} == {("tiny", "base")}
    assert any(r.prediction for r in rows)


def test_prompts_that_leave_no_room_are_counted(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backbone = tmp_path / "short"
    shutil.copytree(world / "llama", backbone)
    config = json.loads((backbone / "config.json").read_text())
    text = json.dumps(config | {"max_position_embeddings": 256})
    (backbone / "config.json").write_text(text)
    asked = write(tmp_path / "asked.jsonl", row(), row(id="u-2", instruction="Sort " * 400))
    users.predictions(**asking(world, tmp_path, instructions=asked, backbone=backbone))
    message = (
        "1 of 2 prompts leave no room for a reply of users.max_new_tokens 8 in the model's "
        "context of 256 tokens: their predictions are empty\n"
    )
    assert message in capsys.readouterr().out
    rows = read_records(tmp_path / "base.jsonl", UserPrediction)
    assert (rows[1].prediction, rows[1].finished) == ("", False)


def predicted(path: Path, *cells: tuple[str, str, str]) -> Path:
    return write(
        path,
        *(
            vars(UserPrediction(id, model, cell, "Sort.", "", "x", "y", True))
            for model, cell, id in cells
        ),
    )


def test_all_cells_stand_in_one_file_in_order(tmp_path: Path) -> None:
    files = [
        predicted(tmp_path / "a.jsonl", ("m", "base", "1"), ("m", "base", "2")),
        predicted(tmp_path / "b.jsonl", ("m", "refine-af_4", "1"), ("m", "refine-af_4", "2")),
        predicted(tmp_path / "c.jsonl", ("n", "base", "1"), ("n", "base", "2")),
    ]
    users.join(cells=files, predictions=tmp_path / "all.jsonl")
    joined = (tmp_path / "all.jsonl").read_bytes()
    assert joined == b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ([("m", "base", "1")], "b.jsonl: m base stands in "),
        ([("n", "base", "2")], "b.jsonl: answers other instructions than "),
        ([("n", "base", "1"), ("n", "x", "1")], "b.jsonl: not the answers of one cell"),
        ([], "b.jsonl: not the answers of one cell"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(
    second: list[tuple[str, str, str]], message: str, tmp_path: Path
) -> None:
    files = [
        predicted(tmp_path / "a.jsonl", ("m", "base", "1")),
        predicted(tmp_path / "b.jsonl", *second),
    ]
    with pytest.raises(InputError, match=message):
        users.join(cells=files, predictions=tmp_path / "all.jsonl")
    with pytest.raises(InputError, match="names no file"):
        users.join(cells=[], predictions=tmp_path / "all.jsonl")
