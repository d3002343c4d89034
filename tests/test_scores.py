"""Super-NI's scores: by hand, against rouge_score, and through the command line."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from rouge_score import rouge_scorer

import scores
from refine_af.errors import InputError
from refine_af.metrics.scores import exact_match, rouge_l

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        # 2 of 3 said words and 2 of 7 wanted ones in order: 2 · (2/3 · 2/7) / (2/3 + 2/7)
        ("the cat sat", ["the cat was sitting on the mat"], 0.4),
        ("a b c", ["c b a"], 1 / 3),
        ("running dogs", ["runs dog"], 1.0),  # stemmed, both are: run dog
        ("Yes.", ["no", "yes"], 1.0),
        ("", ["yes"], 0.0),
        ("yes", [""], 0.0),
        ("是", ["是"], 0.0),  # rouge_score's tokens are a-z and 0-9 alone
        ("<b>\ud800\x00", ["b"], 1.0),
    ],
)
def test_rouge_l_by_hand(prediction: str, references: list[str], expected: float) -> None:
    assert rouge_l(prediction, references) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("prediction", "references", "expected"),
    [
        ("  U.S.A!\n", ["usa"], True),
        ("the usa", ["usa"], False),  # articles stay
        ("a  b", ["x", "A b."], True),
        ("", ["..."], True),
        ("“yes”", ["yes"], False),  # only ASCII punctuation goes
    ],
)
def test_exact_match_by_hand(prediction: str, references: list[str], expected: bool) -> None:
    assert exact_match(prediction, references) is expected


def test_equals_rouge_score_on_random_texts() -> None:
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    rng = random.Random(0)
    words = [
        "cats",
        "running",
        "the",
        "Ponies",
        "über",
        "x-1",
        "yyyyyyy",
        "2nd",
        "!",
        "\u202e",
        "caresses",
    ]
    for _ in range(400):
        said, *wanted = [" ".join(rng.choices(words, k=rng.randrange(12))) for _ in range(3)]
        official = max(scorer.score(text, said)["rougeL"].fmeasure for text in wanted)
        assert rouge_l(said, wanted) == official


def test_a_long_reply_of_one_letter_is_scored() -> None:
    assert rouge_l("y" * 100_000 + " yes", ["yes"]) == pytest.approx(2 / 3)
    assert rouge_l("yes " * 20_000, ["yes"]) == pytest.approx(2 / 20_001)


def test_equals_the_official_evaluation_on_real_instances() -> None:
    name = os.environ.get("REFINE_AF_MIRROR")
    if name is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    lines = (Path(name) / "superni" / "mini_eval.jsonl").read_text(encoding="utf-8").splitlines()
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    for line in lines[::4]:
        row = json.loads(line)
        said = row["input"][:200]
        official = max(scorer.score(text, said)["rougeL"].fmeasure for text in row["references"])
        assert rouge_l(said, row["references"]) == official


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def instance(id: str, task: str, category: str, *references: str) -> dict[str, object]:
    return {
        "id": id,
        "task": task,
        "category": category,
        "definition": "Answer",
        "input": "?",
        "references": list(references),
    }


@pytest.fixture
def instances(tmp_path: Path) -> Path:
    rows = [
        instance("a-1", "a", "colors", "red"),
        instance("a-2", "a", "colors", "dark blue", "navy"),
        instance("b-1", "b", "colors", "green"),
        instance("c-1", "c", "words", "one two three"),
    ]
    return write(tmp_path / "instances.jsonl", rows)


def arguments(instances: Path, predictions: Path, scores: Path) -> list[object]:
    return ["--instances", instances, "--predictions", predictions, "--scores", scores]


def test_scores_of_a_file(run_script: Script, instances: Path, tmp_path: Path) -> None:
    predictions = write(
        tmp_path / "predictions.jsonl",
        [
            {"id": "c-1", "prediction": "one two", "finished": True},
            {"id": "a-1", "prediction": "Red."},
            {"id": "a-2", "prediction": "blue"},
        ],
    )
    done = run_script("scores", *arguments(instances, predictions, tmp_path / "scores.json"))
    assert done.returncode == 0, done.stderr
    assert "1 of 4 ids are missing, the first 'b-1'" in done.stdout
    # ROUGE-L: red 1, blue of dark blue 2/3, nothing 0, two of three words 4/5
    assert json.loads((tmp_path / "scores.json").read_text()) == {
        "missing": ["b-1"],
        "overall": {"instances": 4, "rouge_l": 61.6667, "exact_match": 25.0},
        "by_category": {
            "colors": {"instances": 3, "rouge_l": 55.5556, "exact_match": 33.3333},
            "words": {"instances": 1, "rouge_l": 80.0, "exact_match": 0.0},
        },
        "by_task": {
            "a": {"instances": 2, "rouge_l": 83.3333, "exact_match": 50.0},
            "b": {"instances": 1, "rouge_l": 0.0, "exact_match": 0.0},
            "c": {"instances": 1, "rouge_l": 80.0, "exact_match": 0.0},
        },
    }


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"id": "x", "prediction": ""}], "line 1: no evaluation instance has id 'x'"),
        ([{"id": "a-1", "prediction": ""}] * 2, "line 2: id 'a-1' stands on line 1 too"),
        ([{"id": "a-1", "prediction": 4}], "line 1: 'prediction' is no str: 4"),
        ([{"id": "a-1"}], "line 1: no 'prediction'"),
    ],
)
def test_a_wrong_predictions_file_is_refused(
    instances: Path, tmp_path: Path, rows: list[dict[str, object]], message: str
) -> None:
    predictions = write(tmp_path / "predictions.jsonl", rows)
    with pytest.raises(InputError) as caught:
        scores.main(instances=instances, predictions=predictions, scores=tmp_path / "scores.json")
    assert str(caught.value).startswith(f"{predictions}, {message}")
    assert not (tmp_path / "scores.json").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "holds no evaluation instance"),
        ([instance("a-1", "a", "colors")], "line 1: 'a-1' has no reference: []"),
        ([instance("a-1", "a", "colors", "red")] * 2, "line 2: id 'a-1' stands on line 1 too"),
        (
            [instance("a-1", "a", "colors", "red") | {"demonstration": 3}],
            "line 1: 'demonstration' is no str: 3",
        ),
    ],
)
def test_a_wrong_instances_file_is_refused(
    tmp_path: Path, rows: list[dict[str, object]], message: str
) -> None:
    asked = write(tmp_path / "asked.jsonl", rows)
    replies = write(tmp_path / "replies.jsonl", [])
    with pytest.raises(InputError, match=re.escape(message)):
        scores.main(instances=asked, predictions=replies, scores=tmp_path / "scores.json")
