"""Stage 3: what is kept of a model's replies, and what becomes of the rest."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import instances as script
from conftest import Script
from refine_af.errors import InputError
from refine_af.experiment import canonical, read_experiment
from refine_af.instances import REASONS, Written, check_parsed, run_on, write_instances
from refine_af.prompts import prompt_of
from refine_af.records import Instance, Instruction, Rejected
from refine_af.replies import Reply
from refine_af.settings import Instances, Sampling
from tiny import tiny_config

PROMPT = prompt_of("Examples:\nTask: {instruction}\n", {"instruction"}, "prompt")
SAMPLING = Sampling(temperature=0.0, top_p=1.0, presence_penalty=0.0, max_new_tokens=8, stop=())
ONE = Instances(seed=1, per_instruction=1, quantization="none", sampling=SAMPLING, least_parsed=0.5)
THREE = ONE.model_copy(update={"per_instruction": 3})


def instruction(index: int, text: str = "Name a river") -> Instruction:
    return Instruction(f"i{index:06d}", text, 0, 0, [], "seed_0", 0.5, "seed_0", 0.5, 9, 9)


def written(settings: Instances, *replies: str, finish: str = "stop") -> Written:
    def scripted(tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        return [Reply(reply, finish, 1, 0) for reply in replies]  # type: ignore[arg-type]

    rows = [instruction(index) for index in range(len(replies))]
    return write_instances(
        settings, method="refine-af", instructions=rows, prompt=PROMPT, generate=scripted
    )


def test_one_instance_an_instruction_and_the_rest_with_its_reason() -> None:
    made = written(
        ONE,
        "Output: the Rhine",
        "a plain answer",
        "Example 1\nInput: x\nOutput:\nExample 2\nInput: y\nOutput: z\nExample 3\nOutput: w",
    )
    assert made.instances == [
        Instance("i000000-0", "i000000", "refine-af", "Name a river", "", "the Rhine"),
        Instance("i000002-0", "i000002", "refine-af", "Name a river", "y", "z"),
    ]
    assert made.rejected == [
        Rejected("i000001", "no output", "a plain answer"),
        Rejected("i000002", "empty output", "Input: x\nOutput: "),
        Rejected("i000002", "surplus", "Input: \nOutput: w"),
    ]
    counts = made.counts()
    assert (counts["instructions"], counts["parsed"], counts["kept"]) == (3, 2, 2)
    assert list(counts)[3:] == list(REASONS)
    assert [reason for reason in REASONS if counts[reason]] == [
        "no output",
        "empty output",
        "surplus",
    ]


def test_several_instances_are_a_sample_that_the_instruction_decides() -> None:
    reply = "".join(f"Example {i}\nInput: {i}\nOutput: out {i}\n" for i in range(1, 9))
    made = written(THREE, reply, reply)
    assert [row.id for row in made.instances] == [
        f"i00000{i}-{n}" for i in (0, 1) for n in (0, 1, 2)
    ]
    assert made == written(THREE, reply, reply)
    first, second = (
        [row.input for row in made.instances if row.instruction_id == f"i00000{i}"] for i in (0, 1)
    )
    assert first == sorted(first)
    assert first != second, "each instruction draws for itself"
    assert made.counts()["surplus"] == 10
    few = "Example 1\nInput: 1\nOutput: a\nExample 2\nInput: 2\nOutput: b"
    assert [row.output for row in written(THREE, few).instances] == ["a", "b"]


def test_a_reply_that_the_length_limit_cut_loses_its_last_pair() -> None:
    reply = "Example 1\nInput: 1\nOutput: a\nExample 2\nInput: 2\nOutput: unfinis"
    made = written(THREE, reply, finish="length")
    assert [row.output for row in made.instances] == ["a"]
    assert [row.reason for row in made.rejected] == ["truncated"]


def test_prompts_and_seeds_depend_on_the_instruction_alone() -> None:
    asked: list[tuple[str, int]] = []

    def listening(tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        asked.extend(zip(tails, seeds, strict=True))
        return [Reply("Output: yes", "stop", 1, 2)] * len(tails)

    rows = [instruction(0), instruction(1, "Spell {instruction} "), instruction(2)]
    for part in (rows, rows[1:]):
        write_instances(
            ONE, method="self-instruct", instructions=part, prompt=PROMPT, generate=listening
        )
    assert asked[3:] == asked[1:3]
    assert asked[1][0] == " Spell {instruction}\n", "what an instruction holds is no slot"
    assert len({seed for _, seed in asked}) == 3


def test_too_few_parsed_replies_end_the_stage() -> None:
    few = written(ONE, "nothing", "nothing", "Output: yes")
    with pytest.raises(InputError) as error:
        check_parsed(few, ONE, Path("segments/2"))
    message = str(error.value)
    assert message.startswith("segments/2: of 3 replies 1 (33.3%) held an output and 1 instances")
    assert "Rejected: 2 no output. The first: 'nothing'." in message
    check_parsed(few, ONE.model_copy(update={"least_parsed": 0.3}), Path("x"))
    with pytest.raises(InputError, match="held an output and 0 instances"):
        check_parsed(written(ONE, "Output:"), ONE.model_copy(update={"least_parsed": 0.0}), Path())


def row(instruction_id: str, number: int) -> Instance:
    return Instance(f"{instruction_id}-{number}", instruction_id, "self-instruct", "x", "", "y")


def test_merged_ids_must_run_on() -> None:
    good = [row("i000000", 0), row("i000000", 1), row("i000003", 0), row("i999999", 0)]
    parts = [(Path("a"), good), (Path("b"), [row("i1000000", 0)])]
    assert run_on(parts) == [*good, row("i1000000", 0)]
    for bad, fault in [
        (row("i000003", 0), "instruction 'i000003' stands after 'i999999'"),
        (row("i1000000", 1), "id 'i1000000-1', where i1000000-0 follows"),
        (row("i999999", 0), "id 'i999999-0', where i999999-1 follows"),
    ]:
        with pytest.raises(InputError, match=f"b, line 1: {fault}"):
            run_on([(Path("a"), good), (Path("b"), [bad])])


def write_pool(folder: Path, texts: Sequence[str]) -> Path:
    folder.mkdir()
    rows = [instruction(index, text) for index, text in enumerate(texts)]
    lines = [json.dumps(vars(entry)) + "\n" for entry in rows]
    (folder / "instructions.jsonl").write_text("".join(lines))
    return folder


def inputs(world: Path, pool: Path) -> dict[str, Any]:
    return {
        "settings": read_experiment(tiny_config(world)).instances,
        "method": "self-instruct",
        "prompt": world / "instances.txt",
        "backbone": world / "llama",
        "instructions": pool,
    }


def test_command_line(run_script: Script, world: Path, tmp_path: Path) -> None:
    texts = [f"Sort number {index}." for index in range(60)]
    given = inputs(world, write_pool(tmp_path / "pool", texts))
    flags = given | {"settings": canonical(given["settings"])}
    pairs = [part for name, value in flags.items() for part in (f"--{name}", value)]
    folders = [tmp_path / "first", tmp_path / "again"]
    done = run_script("instances", "segment", *pairs, "--ppo", "--segment", folders[0])
    assert done.returncode == 0, done.stderr
    assert "progress: 60/60 instructions" in done.stdout

    script.segment(**given, ppo=None, segment=folders[1])
    names = ["counts.csv", "instances.jsonl", "rejected.jsonl"]
    assert sorted(path.name for path in folders[0].iterdir()) == names
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    with open(folders[0] / "counts.csv", newline="") as file:
        (counts,) = csv.DictReader(file)
    lines = (folders[0] / "instances.jsonl").read_text().splitlines()
    assert counts["instructions"] == "60"
    assert int(counts["kept"]) == len(lines) > 0

    merged = tmp_path / "merged.jsonl"
    done = run_script("instances", "merge", "--segments", folders[0], "--instances", merged)
    assert done.returncode == 0, done.stderr
    assert merged.read_bytes() == (folders[0] / "instances.jsonl").read_bytes()


def test_faults_end_the_stage_before_it_writes(
    world: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    given = inputs(world, write_pool(tmp_path / "pool", ["Sort the numbers."]))
    given |= {"ppo": None, "segment": tmp_path / "segment"}
    with pytest.raises(InputError, match=f"{given['segment']}: of 1 replies 0 .* held an output"):
        script.segment(**given | {"backbone": tiny_llama})
    assert not given["segment"].exists()
    with pytest.raises(InputError, match="--ppo None: refine-af needs PPO's folder"):
        script.segment(**given | {"method": "refine-af"})
    with pytest.raises(InputError, match=r"--ppo ppo: .* self-instruct takes none"):
        script.segment(**given | {"ppo": Path("ppo")})
    with pytest.raises(InputError, match="--method 'alpaca': known are self-instruct, refine-af"):
        script.segment(**given | {"method": "alpaca"})
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        script.segment(**given | {"method": "refine-af", "ppo": tmp_path})
