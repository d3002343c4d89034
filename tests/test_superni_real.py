"""Super-NI's own data: the official prompts, baselines and scores, and a tiny model end to end.

Runs where the environment variable REFINE_AF_MIRROR names a folder with the data: 896 official test
instances of 113 tasks. Their mean is not Super-NI's, since they are not drawn in proportion.
"""

from __future__ import annotations

import csv
import json
import os
import re
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

import scores
import superni
import superni_replies
from refine_af.files.rows import read_records, write_records
from refine_af.metrics.scores import PlainPrediction, summary
from refine_af.prompts.templates import read_prompt
from refine_af.records.evaluation import EvaluationInstance, Prediction
from refine_af.settings.superni import COPIES, Superni
from refine_af.superni.table import copies
from refine_af.superni.zero_shot import task_prompts
from tiny import ROOT

Rows = list[dict[str, Any]]


def official(rows: Rows, said: dict[str, str]) -> dict[str, Any]:
    """What natural-instructions@55a36563, eval/automatic/evaluation.py computes, written anew.

    `said` is empty where a prediction is missing.
    """
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)

    def plain(text: str) -> str:
        kept = "".join(char for char in text.lower() if char not in set(string.punctuation))
        return re.sub(r"\s+", " ", kept).strip()

    def scored(chosen: Rows) -> dict[str, Any]:
        rouge, exact = 0.0, 0.0
        for row in chosen:
            text = said.get(row["id"], "")
            rouge += max(
                scorer.score(wanted, text)["rougeL"].fmeasure for wanted in row["references"]
            )
            exact += max(plain(wanted) == plain(text) for wanted in row["references"])
        found = {"rouge_l": round(100 * rouge / len(chosen), 4)}
        return {
            "instances": len(chosen),
            **found,
            "exact_match": round(100 * exact / len(chosen), 4),
        }

    def grouped(key: Callable[[dict[str, Any]], str]) -> dict[str, Any]:
        names = dict.fromkeys(map(key, rows))
        return {name: scored([row for row in rows if key(row) == name]) for name in names}

    return {
        "overall": scored(rows),
        "by_category": grouped(lambda row: "_".join(row["category"].lower().split())),
        "by_task": grouped(lambda row: row["task_id"]),
    }


TEXTS = st.lists(
    st.sampled_from(
        ["cats", "Running", "the", "x-1", "yes", "Yes.", "!", "2nd", "über", "\n", "是"]
    )
    | st.text(max_size=6),
    max_size=8,
).map(" ".join)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "category": st.sampled_from(["Title Generation", "Word Analogy"]),
            "task_id": st.sampled_from("abc"),
            "references": st.lists(TEXTS, min_size=1, max_size=3),
            "said": st.none() | TEXTS,
        }
    ),
    min_size=1,
    max_size=6,
)


def as_instances(rows: Rows, demonstrations: dict[str, str]) -> list[EvaluationInstance]:
    return [
        EvaluationInstance(
            id=row["id"],
            task=row["task_id"],
            category="_".join(row["category"].lower().split()),
            definition=row.get("definition", "Say."),
            input=row.get("input", ""),
            references=row["references"],
            demonstration=demonstrations.get(row["task_id"], ""),
        )
        for row in rows
    ]


@settings(max_examples=60)
@given(ROWS)
def test_scores_are_the_official_ones_on_any_texts(rows: Rows) -> None:
    rows = [row | {"id": str(number)} for number, row in enumerate(rows)]
    said = {row["id"]: row["said"] for row in rows if row["said"] is not None}
    found = summary(
        as_instances(rows, {}), {id: PlainPrediction(id, text) for id, text in said.items()}
    )
    assert found.pop("missing") == [row["id"] for row in rows if row["said"] is None]
    assert found == official(rows, said)


@pytest.fixture(scope="module")
def data() -> tuple[Rows, dict[str, str]]:
    """The instances, each with its definition, and the first demonstration of every task."""
    name = os.environ.get("REFINE_AF_MIRROR")
    if name is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    folder = Path(name) / "superni"
    lines = (folder / "task_definitions.jsonl").read_text(encoding="utf-8").splitlines()
    tasks = {task["task_id"]: task for task in map(json.loads, lines)}
    lines = (folder / "mini_eval.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [
        row | {"definition": tasks[row["task_id"]]["definition"]} for row in map(json.loads, lines)
    ]
    shown = {name: task["positive_examples"][0]["output"] for name, task in tasks.items()}
    assert (len(rows), len(tasks)) == (896, 119)
    return rows, shown


def chosen(**changes: object) -> Superni:
    section = yaml.safe_load((ROOT / "config.yaml").read_text())["superni"]
    return Superni.model_validate(section | {"quantization": "none"} | changes)


def test_prompts_are_the_official_ones(data: tuple[Rows, dict[str, str]], tiny_llama: Path) -> None:
    """But for the space at the end, without which a model begins a word with its own."""
    from refine_af.models.backbones import load_tokenizer

    rows, shown = data
    prompt = read_prompt(ROOT / "resources/prompts/superni.txt", {"definition", "input"})
    asked = as_instances(rows, shown)
    whole = chosen(max_source_tokens=10**6)
    groups = [task.group for task in task_prompts(asked, prompt, whole, load_tokenizer(tiny_llama))]
    made = [group.prefix + tail for group in groups for tail in group.tails]
    assert made == [row["prompt"].rstrip() for row in rows]


@pytest.mark.slow
def test_copies_of_the_real_instances(data: tuple[Rows, dict[str, str]]) -> None:
    rows, shown = data
    asked = as_instances(rows, shown)
    made = copies(asked)
    assert list(made) == list(COPIES)
    means = {}
    for copy, texts in {
        "copy-demonstration": {row["id"]: shown[row["task_id"]] for row in rows},
        "copy-input": {row["id"]: row["input"] for row in rows},
        "empty": {},
    }.items():
        said = {id: PlainPrediction(id, row.prediction) for id, row in made[copy].items()}
        found = summary(asked, said)
        assert found.pop("missing") == []
        wanted = official(rows, texts)
        assert found == wanted
        means[copy] = wanted["overall"]["rouge_l"]
    assert means == {"copy-demonstration": 29.7227, "copy-input": 13.8976, "empty": 0.0}


@pytest.mark.slow
def test_a_tiny_model_end_to_end(
    data: tuple[Rows, dict[str, str]], tiny_llama: Path, tmp_path: Path
) -> None:
    """Every fourth instance answered, joined, and scored by task and from the predictions file."""
    rows, shown = data[0][::4], data[1]
    asked = tmp_path / "instances.jsonl"
    write_records(asked, as_instances(rows, shown))
    parts = [tmp_path / f"{part}.jsonl" for part in range(8)]
    superni_replies.replies(
        settings=chosen(max_new_tokens=6),
        server=None,
        served=None,
        cell="base",
        prompt=ROOT / "resources/prompts/superni.txt",
        chat=False,
        backbone=tiny_llama,
        adapter=None,
        instances=asked,
        parts=list(range(8)),
        of=8,
        progress=tmp_path / "kept",
        predictions=parts,
    )
    base = tmp_path / "base.jsonl"
    superni.predictions(instances=asked, parts=parts, predictions=base)
    replies = read_records(base, Prediction)
    assert [reply.id for reply in replies] == [row["id"] for row in rows]
    table, by_instance = tmp_path / "table.csv", tmp_path / "scores.csv"
    superni.table(instances=asked, predictions=[base], table=table, scores=by_instance)
    scores.main(instances=asked, predictions=base, scores=tmp_path / "scores.json")
    found = json.loads((tmp_path / "scores.json").read_text())
    assert found.pop("missing") == []
    wanted = official(rows, {reply.id: reply.prediction for reply in replies})
    assert found == wanted
    with open(table, newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["method"] == "base"]
    names = ("instances", "rouge_l", "exact_match")
    assert {line["task"]: [float(line[name]) for name in names] for line in lines} == {
        task: [row[name] for name in names] for task, row in wanted["by_task"].items()
    }
