"""A made-up model's data to browse, as its files hold it, and the page of it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from conftest import Script
from refine_af.files.rows import write_records
from refine_af.records.diversity import VerbNoun
from refine_af.records.human_tasks import Seed
from refine_af.records.instances import Instance, Rejected
from refine_af.records.instructions import Instruction, RejectedInstruction
from refine_af.records.neighbours import Neighbours
from tiny import ROOT

METHODS = ("self-instruct", "refine-af")
PAGE = ROOT / "resources" / "browser"
SEEDS = [Seed("seed_0", "Name a river of the south."), Seed("seed_1", "Sort the words.")]
REFERENCE = "Sort the lines of a file."
SETTINGS = '{"seed":0,"megabytes":30}'


def instruction(place: int, text: str, nearest: str = "seed_0", rouge: float = 0.5) -> Instruction:
    return Instruction(
        f"i{place:06}", text, 0, place, ["seed_1"], nearest, rouge, "seed_1", 0.25, 90, 40
    )


def instance(method: str, place: int, given: str, output: str, reward: float) -> Instance:
    identity = f"i{place:06}"
    scores = {"reward_model": reward - 0.5, "naturalness": 0.9}
    return Instance(
        f"{identity}-0", identity, method, f"Task {place}.", given, output, "", reward, scores
    )


def neighbours(pool: Sequence[Instruction]) -> list[Neighbours]:
    """The same reference beside every third instruction, the others near none."""
    return [
        Neighbours(row.id, "seed_1", 0.25, REFERENCE, 0.125)
        if place % 3 == 1
        else Neighbours(row.id, "seed_1", 0.25, None, 0.0)
        for place, row in enumerate(pool)
    ]


def verbs(pool: Sequence[Instruction]) -> list[VerbNoun]:
    """Of three instructions one has verb and noun, one no verb, one a verb alone."""
    kinds = [("sort", "text", None), (None, None, "verbless"), ("write", None, "objectless")]
    return [VerbNoun(row.id, *kinds[place % 3]) for place, row in enumerate(pool)]


@dataclass
class Data:
    """Six instructions in two segments, an instance each by both methods but for two.

    By self-instruct the fifth has a pair cut off and no instance, and by refine-af the second has
    two pairs more. Rewards rise by 0.1 with the instruction, and refine-af's are 0.05 higher.
    """

    pool: list[Instruction] = field(
        default_factory=lambda: [
            instruction(0, "Name a river of the north."),
            instruction(1, "Sort the three words.", "i000000", 0.25),
            instruction(2, "Tell where the café is.", "seed_1", 0.6666666666),
            instruction(3, "Describe <b>bold</b> markup."),
            instruction(4, "Count the rivers in the text.", "i000999", 0.1),
            instruction(5, "Write nothing at all, please."),
        ]
    )
    rejected: list[RejectedInstruction] = field(
        default_factory=lambda: [
            RejectedInstruction(0, 1, "similar", "Name a river of the east.", "i000000", 0.8333),
            RejectedInstruction(0, 1, "too short", "Go.", None, None),
            RejectedInstruction(1, 7, "similar", "Sort the four words.", "i000001", 0.75),
        ]
    )
    written: dict[str, list[Instance]] = field(
        default_factory=lambda: {
            method: [
                instance(
                    method,
                    n,
                    f"Given text {n}." if n % 2 else "",
                    f"Answer {n} of {method} with {'many ' * n}words.",
                    0.1 * n + 0.05 * number,
                )
                for n in range(6)
                if (method, n) != ("self-instruct", 4)
            ]
            for number, method in enumerate(METHODS)
        }
    )
    refused: dict[str, list[Rejected]] = field(
        default_factory=lambda: {
            "self-instruct": [Rejected("i000004", "truncated", "Input: a\nOutput: cut o")],
            "refine-af": [
                Rejected("i000001", "surplus", "Input: b\nOutput: c"),
                Rejected("i000001", "empty output", "Input: d\nOutput: "),
            ],
        }
    )

    def write(self, folder: Path) -> None:
        """Two segments of every file, as the stages write them."""
        half = (len(self.pool) + 1) // 2
        ids = [row.id for row in self.pool[:half]]
        for k in (0, 1):
            pool, first = folder / f"pool_{k}", k == 0
            write_records(pool / "instructions.jsonl", self.pool[k * half :][:half])
            write_records(pool / "rejected.jsonl", [r for r in self.rejected if r.round % 2 == k])
            for method in METHODS:
                place = folder / method / f"{k}"
                kept = [r for r in self.written[method] if (r.instruction_id in ids) is first]
                refused = [r for r in self.refused[method] if (r.source in ids) is first]
                write_records(place / "instances.jsonl", kept)
                write_records(place / "rejected.jsonl", refused)
        write_records(folder / "seeds.jsonl", SEEDS)
        write_records(folder / "neighbours.jsonl", neighbours(self.pool))
        write_records(folder / "diversity" / "verb_nouns.jsonl", verbs(self.pool))


def arguments(folder: Path, methods: Sequence[str] = METHODS) -> dict[str, list[str]]:
    """The flags of the script for the files that `Data.write` left in a folder."""
    return {
        "settings": [SETTINGS],
        "model": ["tiny"],
        "methods": [*methods],
        "seeds": [str(folder / "seeds.jsonl")],
        "pools": [str(folder / f"pool_{k}") for k in (0, 1)],
        "instances": [str(folder / method / f"{k}") for method in methods for k in (0, 1)],
        "neighbours": [str(folder / "neighbours.jsonl")],
        "diversity": [str(folder / "diversity")],
        **{name: [str(PAGE / f"page.{kind}")] for name, kind in ASSETS.items()},
        "page": [str(folder / "page.html")],
    }


ASSETS = {"markup": "html", "style": "css", "script": "js"}


def words(flags: dict[str, list[str]]) -> list[str]:
    return [word for name, values in flags.items() for word in (f"--{name}", *values)]


def make_page(
    run_script: Script, folder: Path, data: Data, **settings: int
) -> subprocess.CompletedProcess[str]:
    """Write page.html of the data in a folder."""
    data.write(folder)
    chosen = json.dumps(json.loads(SETTINGS) | settings)
    return run_script("browser", *words(arguments(folder) | {"settings": [chosen]}))
