"""Made-up replies and instances to rate, the page of them, and files as raters send them back."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from conftest import Script
from refine_af.files.rows import write_records, write_rows
from refine_af.ratings.items import ANSWERS, QUESTIONS, Key
from refine_af.ratings.returned import COLUMNS, FORMAT
from refine_af.records.evaluation import UserPrediction
from refine_af.records.instances import Instance
from tiny import ROOT

METHODS = ("self-instruct", "refine-af")
CELLS = {"self-instruct": "self-instruct_8", "refine-af": "refine-af_8"}
PAGE = ROOT / "resources" / "ratings"

Answers = Mapping[str, Mapping[str, str]]  # by item and question


def user_text(number: int) -> tuple[str, str, str]:
    """Instruction, input and reference of a user-oriented instruction."""
    given = f"The given text, number {number}." if number % 2 else ""
    return f"Write about topic {number}.", given, f"A text on topic {number}."


def reply(cell: str, identity: str) -> str:
    """What a cell replied to an instruction: told apart by its ending, which names no method."""
    return f"On {identity.replace('_', ' ')}, in {len(cell)} words."


def predictions() -> list[dict[str, Any]]:
    """Six replies of each of two cells, and one each of another model and another cell."""
    rows = [
        UserPrediction(f"user_{n}", "tiny", cell, *user_text(n), reply(cell, f"user_{n}"), True)
        for cell in CELLS.values()
        for n in range(6)
    ]
    rows.append(UserPrediction("user_0", "other", "refine-af_8", *user_text(0), "Else.", True))
    rows.append(UserPrediction("user_0", "tiny", "refine-af_4", *user_text(0), "Else.", True))
    return [asdict(row) for row in rows]


def instance(method: str, number: int, output: str = "An output.") -> Instance:
    return Instance(
        id=f"{method}-{number}",
        instruction_id=f"i{number:04}",
        method=method,
        instruction=f"Do thing {number}.",
        input=f"Input {number}." if number % 2 else "",
        output=output,
        adapter_sha256="",
        reward=0.0,
        components={},
    )


def make_page(
    run_script: Script,
    folder: Path,
    *,
    seed: int = 0,
    drawn: int = 4,
    edit: Callable[[list[dict[str, Any]]], None] = lambda rows: None,
    instances: list[Instance] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Write page.html and key.json in `folder`; `edit` changes the predictions before."""
    rows = predictions()
    edit(rows)
    write_rows(folder / "predictions.jsonl", rows)
    written = instances or [instance(method, n) for method in METHODS for n in range(9)]
    write_records(folder / "segment" / "instances.jsonl", written)
    settings = {"seed": seed, "methods": METHODS, "size": 8, "instances": drawn}
    return run_script(
        "ratings",
        "page",
        *("--settings", json.dumps(settings), "--model", "tiny", "--cells", *CELLS.values()),
        *("--predictions", folder / "predictions.jsonl", "--instances", folder / "segment"),
        *("--markup", PAGE / "page.html", "--style", PAGE / "page.css"),
        *("--script", PAGE / "page.js", "--page", folder / "page.html"),
        *("--key", folder / "key.json"),
    )


def answers(key: Key, seed: int = 0) -> dict[str, dict[str, str]]:
    """An answer to every question of a page, drawn."""
    rng = random.Random(seed)
    return {
        item: {question: rng.choice(ANSWERS[part]) for question in QUESTIONS[part]}
        for part, items in key.items.items()
        for item in items
    }


def graded(key: Key, grades: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Ratings alone: of each method a grade an instruction, in the order of their ids."""
    return {
        item: {"rating": grades[told.method][int(told.source.removeprefix("user_"))]}
        for item, told in key.items["ratings"].items()
    }


def write_json(path: Path, key: Key, rater: str, given: Answers) -> Path:
    file = {"format": FORMAT, "page": key.page, "model": key.model, "rater": rater}
    path.write_text(json.dumps(file | {"answers": given}))
    return path


def write_csv(path: Path, key: Key, rater: str, given: Answers) -> Path:
    rows = [
        [key.page, rater, item, question, answer]
        for item, each in given.items()
        for question, answer in each.items()
    ]
    path.write_text("".join(f"{','.join(row)}\n" for row in [COLUMNS, *rows]), encoding="utf-8")
    return path
