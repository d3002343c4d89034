"""What Python takes for the end of a line, and no file here does, within a model's texts."""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import pytest
import yaml

import exports
import instances as stage3
import instructions as stage1
from engines import Replies, Replying
from made_up_run import METHODS, instance, make_run, overlap, write_rows
from refine_af.engines.replies import Reply
from refine_af.errors import InputError
from refine_af.exports.provenance import provenance
from refine_af.files.documents import read_document
from refine_af.files.rows import read_records, write_records
from refine_af.instances.replies import AskedReply
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.rewards.equation_1 import COMPONENTS
from refine_af.rewards.scorer import Triplet
from refine_af.settings.experiment import Experiment
from refine_af.settings.instructions import Instructions
from refine_af.superni.tasks import task_names
from refine_af.workflow.configuration import read_experiment
from test_report import report
from tiny import ROOT, make_seeds

ODD = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\r"]
ASKED = [
    ("Explain", "how rivers shape their valleys."),
    ("Name", "three painters from Spain."),
    ("Describe", "bread to somebody hungry."),
    ("Compare", "winter with early spring."),
    ("Plan", "one journey by night train."),
    ("Ask", "a beekeeper about honey."),
    ("Write", "instructions for cleaning glass."),
    ("Judge", "this opening in chess."),
    ("Guess", "where moss grows best."),
]


def test_they_end_lines_for_python() -> None:
    assert all(f"a{odd}b".splitlines() == ["a", "b"] for odd in ODD)


@pytest.fixture(scope="module")
def experiment() -> Experiment:
    return read_experiment(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def segments(
    experiment: Experiment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, Path]:
    """The segments of stages 1 and 3, whose replies hold each of those characters."""
    items = [odd.join(parts) for odd, parts in zip(ODD, ASKED, strict=True)]
    text = items[0] + "".join(f"\nTask {n}: {item}" for n, item in enumerate(items[1:], 10))

    def replies(
        tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Replies:
        yield 0, Reply(text, "stop", 90, 40)

    asked = {"segment_size": len(ODD), "prompts_per_round": 1, "last_item": None}
    pool = experiment.instructions.model_dump(mode="json") | asked
    make_seeds(tmp_path / "seeds.jsonl")
    monkeypatch.setattr(stage1, "engines_of", lambda *_: nullcontext(lambda _: Replying(replies)))
    stage1.segment(
        settings=Instructions.model_validate(pool),
        watch=experiment.watch.instructions,
        server=None,
        served=None,
        seeds=tmp_path / "seeds.jsonl",
        prompt=ROOT / "resources" / "prompts" / "instructions.txt",
        chat=False,
        backbone=ROOT / "resources" / "prompts",  # which is not looked into
        earlier=[],
        number=0,
        progress=tmp_path / "progress",
        segment=tmp_path / "pool",
    )

    def judge(triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        return [dict.fromkeys(COMPONENTS, 0.5) for _ in triplets]

    monkeypatch.setattr("refine_af.rewards.scorers.load_scorer", lambda *_: judge)
    written = [f"Input: in{odd}put\nOutput: out{odd}{odd}put" for odd in ODD]
    logged = [AskedReply(0, n, each, "stop", 9, 9, "input first") for n, each in enumerate(written)]
    write_records(tmp_path / "replies.jsonl", logged)
    stage3.segment(
        settings=experiment.instances,
        reward=experiment.reward,
        watch=experiment.watch.instances,
        method="self-instruct",
        instructions=tmp_path / "pool",
        replies=[tmp_path / "replies.jsonl"],
        ppo=None,
        reward_model=None,
        evaluator=None,
        judge_prompt=None,
        judge_server=None,
        progress=tmp_path / "scored",
        segment=tmp_path / "instances",
    )
    return tmp_path / "pool", tmp_path / "instances"


def test_a_models_text_stays_whole_from_stage_to_stage(
    experiment: Experiment, segments: tuple[Path, Path], tmp_path: Path
) -> None:
    pool, made = segments
    instructions = read_records(pool / "instructions.jsonl", Instruction)
    # Stage 1 makes one space of any space within an item, as Self-Instruct does.
    assert [row.instruction for row in instructions] == [" ".join(parts) for parts in ASKED]
    texts = [(f"in{odd}put", f"out{odd}{odd}put") for odd in ODD]
    rows = read_records(made / "instances.jsonl", Instance)
    assert [(row.input, row.output) for row in rows] == texts

    stage3.merge(segments=[made], instances=tmp_path / "self-instruct.jsonl")
    exports.main(
        origin=provenance(experiment, "mistral-7b"),
        method="self-instruct",
        instances=tmp_path / "self-instruct.jsonl",
        segments=[made],
        alpaca=tmp_path / "out" / "alpaca.json",
        dataset=tmp_path / "out" / "dataset",
        card=tmp_path / "out" / "README.md",
    )
    found = json.loads((tmp_path / "out" / "alpaca.json").read_bytes())
    assert [(row["input"], row["output"]) for row in found] == texts
    (file,) = (tmp_path / "out" / "dataset").rglob("*.parquet")
    table = pd.read_parquet(file)
    assert list(zip(table["input"], table["output"], strict=True)) == texts


@pytest.mark.slow
def test_the_report_names_each_of_them(tmp_path: Path) -> None:
    flags = make_run(tmp_path)
    text = "".join(f"left{odd}right" for odd in ODD)
    for k, method in itertools.product((0, 1), METHODS):
        made = {**instance(method, k, text=text), "output": text}
        write_rows(tmp_path / f"instances_tiny_{method}/{k}" / "instances.jsonl", [made])
        write_rows(tmp_path / f"overlap_tiny_{method}/{k}.jsonl", [overlap(made["id"], False)])
    page = report(flags)
    for odd in ODD:
        assert odd not in page
        assert f'left<span class="code">U+{ord(odd):04X}</span>right' in page


def test_a_fault_in_a_document_is_shown_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes('{"a": "\u2028\x85",\n"b": oh}\n'.encode())
    with pytest.raises(InputError, match=r"line 2 column 6 .*: '\"b\": oh\}'$"):
        read_document(path)


def test_a_list_of_tasks_ends_lines_as_files_do() -> None:
    with pytest.raises(InputError, match=r"line 1: no task name: 'a\\u2028b'"):
        task_names("a\u2028b\n", Path("tasks.txt"))
