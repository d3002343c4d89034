"""Nearest seeds and references: against brute force, and the stage from files to a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from conftest import Script
from made_up_run import instruction, write_rows
from neighbours import main
from refine_af.errors import InputError
from refine_af.files.rows import read_records
from refine_af.jobs.command_line import run
from refine_af.neighbours.nearest import neighbours
from refine_af.records.instructions import Instruction
from refine_af.records.neighbours import Neighbours
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.door import check_files
from tiny import demo_config

REFERENCES = ["Name the longest river.", "Write a poem on a river.", "Sort the words."]
NOVELTY = '{"threshold":"0.7","tie":"reject","tokens":"rouge"}'


def nearest(
    text: str,
    references: list[str] | None,
    tokens: Literal["rouge", "unicode"] = "rouge",
) -> Neighbours:
    (row,) = neighbours([Instruction(**instruction(0, text))], references, tokens)
    return row


def test_the_nearest_reference_and_the_seed_that_the_pool_noted() -> None:
    row = nearest("Name the river.", REFERENCES)
    # 3 of 3 and 4 words: 2 · 3 / 7; with the second "river" alone, with the third "the"
    assert row == Neighbours("i000000", "seed_task_1", 0.25, "Name the longest river.", 6 / 7)
    assert nearest("Name the river.", None) == Neighbours(
        "i000000", "seed_task_1", 0.25, None, None
    )


def test_the_first_of_equals_is_the_nearest() -> None:
    assert nearest("a b", ["b a", "a c", "c a"]).nearest_reference == "b a"


@pytest.mark.parametrize("text", ["Zebras!", "…", "名前"])
def test_what_shares_no_word_has_no_nearest(text: str) -> None:
    row = nearest(text, REFERENCES)
    assert (row.nearest_reference, row.reference_rouge_l) == (None, 0.0)


def test_words_of_every_script_where_the_pool_has_them() -> None:
    row = nearest("川の名前", ["名前を書く"], "unicode")
    assert row.nearest_reference == "名前を書く" and row.reference_rouge_l == 2 * 2 / (4 + 5)


WORDS = st.lists(st.sampled_from(["a", "b", "c", "Dog!", "42"]), max_size=9).map(" ".join)


@settings(max_examples=100)
@given(WORDS, st.lists(WORDS, min_size=1, max_size=6))
def test_the_nearest_is_that_of_rouge_score(text: str, references: list[str]) -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    scores = [scorer.score(other, text)["rougeL"].fmeasure for other in references]
    row = nearest(text, references)
    assert row.reference_rouge_l == pytest.approx(max(scores), abs=1e-12)
    if max(scores):
        assert row.nearest_reference is not None
        place = references.index(row.nearest_reference)
        assert scores[place] == pytest.approx(max(scores), abs=1e-12)


def make_files(folder: Path, references: object = None) -> list[str]:
    """Two instructions, and where a file of references is given its flag; the output last."""
    rows = [instruction(0, "Name the river."), instruction(1, "x\ud800 zebra " * 9000)]
    write_rows(folder / "instructions.jsonl", rows)
    named = [] if references is None else [str(references)]
    return [
        *("--novelty", NOVELTY, "--instructions", str(folder / "instructions.jsonl")),
        *("--references", *named, "--neighbours", str(folder / "neighbours.jsonl")),
    ]


def test_the_stage_writes_a_line_an_instruction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run_script: Script
) -> None:
    """Instances of an instruction are one reference, whatever else their rows hold."""
    rows = [{"instruction": text, "input": str(place)} for place, text in enumerate(REFERENCES * 2)]
    write_rows(tmp_path / "references.jsonl", [*rows, {"instruction": " Sort the words. "}])
    flags = make_files(tmp_path, tmp_path / "references.jsonl")
    run(main, arguments=flags)
    found = read_records(tmp_path / "neighbours.jsonl", Neighbours)
    assert [row.nearest_reference for row in found] == ["Name the longest river.", None]
    assert "2 instructions compared with the seeds and 3 references" in capsys.readouterr().out
    first = (tmp_path / "neighbours.jsonl").read_bytes()
    assert run_script("neighbours", *flags).returncode == 0
    assert (tmp_path / "neighbours.jsonl").read_bytes() == first


def test_without_references_the_seeds_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(main, arguments=make_files(tmp_path))
    found = read_records(tmp_path / "neighbours.jsonl", Neighbours)
    assert [row.reference_rouge_l for row in found] == [None, None]
    assert capsys.readouterr().out.endswith("2 instructions compared with the seeds\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "holds no instruction"),
        ("[]\n", "line 1: not a JSON object"),
        ('{"instruction": "Sort."}\n{"text": 1}\n', "line 2: no text 'instruction' in {'text': 1}"),
        ('{"instruction": " "}\n', "line 1: no text 'instruction'"),
        ('{"instruction": 7}\n', "line 1: no text 'instruction'"),
    ],
)
def test_broken_references_are_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "references.jsonl"
    path.write_text(content)
    with pytest.raises(SystemExit) as ended:
        run(main, arguments=make_files(tmp_path, path))
    assert str(ended.value.code).startswith(f"error: {path}")
    assert said in str(ended.value.code)
    assert not (tmp_path / "neighbours.jsonl").exists()


def test_references_of_ones_own_are_looked_into_at_the_door(tmp_path: Path) -> None:
    path = tmp_path / "references.jsonl"
    path.write_text('{"text": "Sort."}\n')
    config = demo_config()

    def check(references: str | None) -> None:
        config["neighbours"]["references"] = references
        experiment = read_experiment(config)
        check_files(experiment, str, lambda path: path.startswith("results/"), lambda key: "")

    check(None)
    with pytest.raises(
        InputError, match=r"config\.yaml, neighbours\.references: .*line 1: no text"
    ):
        check(str(path))
    with pytest.raises(InputError, match=r"neighbours\.references: .*there is nothing at"):
        check(str(tmp_path / "none.jsonl"))


@pytest.mark.slow
def test_on_real_instructions_the_nearest_is_that_of_rouge_score() -> None:
    """Fifty user-oriented instructions beside Self-Instruct's 175 seeds."""
    folder = os.environ.get("REFINE_AF_MIRROR")
    if folder is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    seeds, users = (
        [json.loads(line)["instruction"] for line in (Path(folder) / name).open(encoding="utf-8")]
        for name in ("seed_tasks.jsonl", "user_oriented_instructions.jsonl")
    )
    rows = [Instruction(**instruction(place, text)) for place, text in enumerate(users[:50])]
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    for row, text in zip(neighbours(rows, seeds, "rouge"), users[:50], strict=True):
        best = max(scorer.score(seed, text)["rougeL"].fmeasure for seed in seeds)
        assert row.reference_rouge_l == pytest.approx(best, abs=1e-12)
