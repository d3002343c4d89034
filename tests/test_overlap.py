"""Overlap: n-grams and ROUGE-L against brute force, and the stage from files to a file."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from conftest import Script
from made_up_run import instance, write_rows
from overlap import main
from refine_af.files.rows import read_records
from refine_af.jobs.command_line import run
from refine_af.overlap import comparison
from refine_af.overlap.comparison import Evaluated, of_users, overlaps, shared_ngrams
from refine_af.records.human_tasks import read_user_instructions
from refine_af.records.instances import Instance
from refine_af.records.overlap import Overlap
from refine_af.settings.overlap import OverlapBounds
from refine_af.words import TOKENIZERS, rouge_tokens

BOUNDS = OverlapBounds(ngram=13, rouge_l="0.7", min_words=4)
THIRTEEN = "a definition of thirteen words that nobody would write twice by chance, I think"
EVALUATED = [
    Evaluated("task1-0", THIRTEEN, "The river Nile is long."),
    Evaluated("task1-1", THIRTEEN, "one two three four five six seven"),
    Evaluated("user_0", "Say what the weather will be.", ""),
]


def made(instruction: str, text: str = "", identity: str = "i0-0") -> Instance:
    row = instance("refine-af", 0, text=text) | {"id": identity, "instruction": instruction}
    return Instance(**row)


def found(instruction: str, text: str = "") -> Overlap:
    (row,) = overlaps([made(instruction, text)], EVALUATED, BOUNDS)
    return row


def test_a_copied_definition_overlaps() -> None:
    row = found(f"Write {THIRTEEN.upper()}")  # 14 words there: two sequences of 13
    assert (row.ngrams, row.ngram_source, row.overlaps) == (2, "task1-0", True)
    assert row.instruction_rouge_l == pytest.approx(2 * 14 / (14 + 15))
    assert row.instruction_source == "task1-0"  # the first of the task that has it
    assert (row.input_rouge_l, row.input_source) == (0, None)


def test_more_words_in_a_row_than_a_text_has_are_none() -> None:
    assert shared_ngrams([[THIRTEEN]], {THIRTEEN: "a"}, 10**9) == [(0, None)]


def test_twelve_words_in_a_row_are_not_thirteen() -> None:
    twelve = " ".join(THIRTEEN.split()[:12])
    row = found("Sort.", f"{twelve} {'and so on ' * 20}")
    assert row.ngrams == 0 and row.ngram_source is None and not row.overlaps
    thirteen = " ".join(THIRTEEN.split()[:13])
    assert found("Sort.", f"{thirteen} {'and so on ' * 20}").ngrams == 1


def test_words_in_a_row_do_not_span_instruction_and_input() -> None:
    words = THIRTEEN.split()
    assert found(" ".join(words[:7]), " ".join(words[7:])).ngrams == 0


def test_rouge_l_exactly_at_the_bound_overlaps() -> None:
    # 7 words there, 7 of them in a text of 13: 2 · 7 / (7 + 13) = 0.7; of 14: 2 · 7 / 21.
    text = "one two three four five six seven" + " more" * 6
    row = found("Sort.", text)
    assert row.input_rouge_l == 0.7 and row.overlaps and row.input_source == "task1-1"
    assert not found("Sort.", text + " more").overlaps


def test_instructions_are_held_to_instructions_and_inputs_to_inputs() -> None:
    assert found("The river Nile is long.").instruction_rouge_l < 0.3
    assert found("Say what the weather will be.").instruction_source == "user_0"
    assert not found("Sort.", "Say what the weather will be.").overlaps


def test_short_texts_are_not_compared_by_rouge_l() -> None:
    """Three words there are three of four here, 2 · 3 / (3 + 4); of four wanted they are short."""
    evaluated = [
        Evaluated("a", "Say it now.", "in the garden"),
        Evaluated("b", "Go.", "on the sea"),
    ]

    def with_bound(words: int) -> Overlap:
        bounds = BOUNDS.model_copy(update={"min_words": words})
        (row,) = overlaps([made("Say it now please.", "in the garden here")], evaluated, bounds)
        return row

    row = with_bound(3)
    assert (row.instruction_source, row.input_source, row.overlaps) == ("a", "a", True)
    assert row.input_rouge_l == pytest.approx(2 * 3 / (3 + 4), abs=1e-6)
    row = with_bound(4)
    assert (row.instruction_rouge_l, row.input_rouge_l, row.overlaps) == (0, 0, False)
    assert row.instruction_source is None and row.input_source is None


def test_a_short_text_is_not_compared_with_a_long_one() -> None:
    text = "one two three four five six"  # of seven there: 2 · 6 / (6 + 7)
    for words, near in ((6, True), (7, False)):
        bounds = BOUNDS.model_copy(update={"min_words": words})
        (row,) = overlaps([made("Sort.", text)], EVALUATED, bounds)
        assert row.overlaps == near


def test_the_source_holds_most_and_the_first_of_equals() -> None:
    texts = {"a b c": "first", "b c d e": "second", "c d e": "third"}
    assert shared_ngrams([("a b c d e",), ("c d",), ("x",)], texts, 2) == [
        (4, "second"),  # it holds b c, c d and d e; a b is in the first alone
        (1, "second"),
        (0, None),
    ]


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12).map(" ".join)


@settings(max_examples=100)
@given(st.lists(st.tuples(WORDS, WORDS), max_size=4), st.lists(WORDS, unique=True, max_size=5))
def test_shared_ngrams_are_those_of_brute_force(
    texts: list[tuple[str, str]], evaluated: list[str]
) -> None:
    def ngrams(text: str) -> set[str]:
        words = text.split()
        return {" ".join(words[place : place + 3]) for place in range(len(words) - 2)}

    got = shared_ngrams(texts, {text: text for text in evaluated}, 3)
    for (first, second), (count, source) in zip(texts, got, strict=True):
        own = ngrams(first) | ngrams(second)
        shared = [len(own & ngrams(text)) for text in evaluated]
        assert count == len(own & set().union(*map(ngrams, evaluated)))
        most = max(shared, default=0)
        assert source == (evaluated[shared.index(most)] if most else None)


@settings(max_examples=50)
@given(WORDS.filter(bool), WORDS, st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=5))
def test_rouge_l_is_that_of_rouge_score(
    instruction: str, text: str, evaluated: list[tuple[str, str]]
) -> None:
    scorer = RougeScorer(["rougeL"], use_stemmer=False)
    rows = [Evaluated(str(place), *pair) for place, pair in enumerate(evaluated)]
    (row,) = overlaps([made(instruction, text)], rows, BOUNDS.model_copy(update={"min_words": 1}))
    for own, place, got in (
        (instruction, 0, row.instruction_rouge_l),
        (text, 1, row.input_rouge_l),
    ):
        best = max(scorer.score(pair[place], own)["rougeL"].fmeasure for pair in evaluated)
        assert got == pytest.approx(best, abs=1e-6)


@pytest.mark.slow
def test_on_real_data_words_of_every_script_decide_as_those_of_rouge_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Super-NI's instances and the users' instructions: as they are, and half of their words."""
    folder = os.environ.get("REFINE_AF_MIRROR")
    if folder is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    lines = (Path(folder) / "superni" / "mini_eval.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["input"] for line in lines]
    users = read_user_instructions(Path(folder) / "user_oriented_instructions.jsonl")
    evaluated = [Evaluated(str(place), "", text) for place, text in enumerate(texts)]
    evaluated += of_users(users)
    rng = random.Random(0)
    cut = [" ".join(w for w in text.split() if rng.random() < 0.5) for text in texts]
    rows = [made("x", text, f"i{place}-0") for place, text in enumerate([*texts, *cut])]
    rows += [made(row.instruction, row.input, f"{row.id}-0") for row in users]
    found = list(overlaps(rows, evaluated, BOUNDS))
    monkeypatch.setattr(comparison, "unicode_tokens", rouge_tokens)
    monkeypatch.setitem(TOKENIZERS, "unicode", rouge_tokens)
    before = list(overlaps(rows, evaluated, BOUNDS))
    assert [row.overlaps for row in found] == [row.overlaps for row in before]
    assert 0 < sum(row.overlaps for row in found[896:1792]) < 800, "both decisions occur"
    differ = sum(one != other for one, other in zip(found, before, strict=True))
    assert 0 < differ < 0.03 * len(rows), "by words with letters beyond ASCII"


def make_files(folder: Path, texts: list[str]) -> list[str]:
    rows = [instance("refine-af", place, text=text) for place, text in enumerate(texts)]
    write_rows(folder / "segment" / "instances.jsonl", rows)
    evaluation = {"task": "task1", "category": "c", "definition": THIRTEEN, "references": ["x"]}
    evaluation |= {"demonstration": ""}
    write_rows(
        folder / "superni.jsonl",
        [{**evaluation, "id": "task1-0", "input": "The river Nile is long."}],
    )
    user = {
        "id": "user_0",
        "instruction": "Tell the weather.",
        "instances": [{"input": "Rome", "output": "Rain."}],
    }
    write_rows(folder / "user.jsonl", [user])
    return [
        *(
            "--settings",
            '{"ngram":13,"rouge_l":"0.7","min_words":4}',
            "--segment",
            str(folder / "segment"),
        ),
        *("--evaluation", str(folder / "superni.jsonl")),
        *("--user-instructions", str(folder / "user.jsonl")),
        *("--overlap", str(folder / "out" / "0.jsonl")),
    ]


def test_the_stage_writes_a_line_an_instance(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run_script: Script
) -> None:
    flags = make_files(tmp_path, ["the river Nile is long", "Paris", "x\ud800" * 20_000, ""])
    run(main, arguments=flags)
    rows = read_records(tmp_path / "out" / "0.jsonl", Overlap)
    assert [row.id for row in rows] == [f"i{place:06}-0" for place in range(4)]
    assert [row.overlaps for row in rows] == [True, False, False, False]
    assert rows[0].input_source == "task1-0" and rows[0].input_rouge_l == 1
    assert "1 of 4 instances overlap with 2 evaluation instances" in capsys.readouterr().out
    first = (tmp_path / "out" / "0.jsonl").read_bytes()
    assert run_script("overlap", *flags).returncode == 0
    assert (tmp_path / "out" / "0.jsonl").read_bytes() == first


def test_a_segment_without_instances_is_a_file_without_lines(tmp_path: Path) -> None:
    run(main, arguments=make_files(tmp_path, []))
    assert (tmp_path / "out" / "0.jsonl").read_bytes() == b""


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ({"id": 3}, "'id' is no str: 3"),
        ({"instances": []}, "not one instance: []"),
        ({"id": "user_1"}, "id 'user_1' stands on line 1 too"),
    ],
)
def test_broken_user_instructions_are_named(
    tmp_path: Path, row: dict[str, object], named: str
) -> None:
    flags = make_files(tmp_path, ["x"])
    whole = {"id": "user_1", "instruction": "x", "instances": [{"input": "", "output": "y"}]}
    second = whole | {"id": "user_2"} | row
    (tmp_path / "user.jsonl").write_text(json.dumps(whole) + "\n" + json.dumps(second))
    with pytest.raises(SystemExit) as ended:
        run(main, arguments=flags)
    assert ended.value.code == f"error: {tmp_path / 'user.jsonl'}, line 2: {named}"
