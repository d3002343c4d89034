"""What the whole size costs: made-up instructions parsed, paired, and drawn as figures 3, 4, 5, 8.

The instructions, and an instance of each by two methods, are made up as in benchmarks/browser.py.
They are parsed by --parser, such as the demo's: a small one, which says nothing of benepar_en3's
time. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import cast

import pandas as pd
from ways import timed

from browser import LENGTHS, METHODS, ROOT, used, write

sys.path.insert(1, str(ROOT / "scripts"))

from refine_af.files.rows import read_records
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.records.neighbours import Neighbours
from refine_af.report.distributions import lengths_of_texts, nearest_references, nearest_seeds
from refine_af.report.drawing import Drawing
from refine_af.report.finished_run import ModelRun
from refine_af.report.published import Paper
from refine_af.report.verb_ring import verb_ring

PARSING = {"backend": "benepar", "batch_size": 256, "batch_subwords": 2000}
RING = {"verbs": 20, "nouns": 4}  # Self-Instruct's figure


def made_up_run(folder: Path) -> ModelRun:
    """What the figures read of a run, its scores drawn at random."""
    pool = read_records(folder / "pool" / "instructions.jsonl", Instruction)
    random = Random(0)
    return cast(
        ModelRun,
        SimpleNamespace(
            name="made-up",
            pool=pool,
            instances={
                method: read_records(folder / method / "0" / "instances.jsonl", Instance)
                for method in METHODS
            },
            neighbours=[
                Neighbours(row.id, "seed_0", random.random(), "of GPT-3", random.random())
                for row in pool
            ],
            sources=dict.fromkeys(("pools", "instances", "neighbours", "diversity"), ("made-up",)),
        ),
    )


def figures(folder: Path) -> Iterator[tuple[str, Callable[[], Drawing | None]]]:
    run, pairs = made_up_run(folder), pd.read_csv(folder / "diversity" / "pairs.csv")
    paper = cast(Paper, SimpleNamespace(sources={"figure_5": "the paper"}, nearest_reference=0.62))
    yield "figure 3: lengths", lambda: lengths_of_texts(run)
    yield "figure 4: nearest seeds", lambda: nearest_seeds(run)
    yield "figure 5: nearest references, drawn", lambda: nearest_references(run, paper)
    yield "figure 8: verbs and nouns", lambda: verb_ring(run, pairs, **RING)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parser", type=Path, required=True, help="a folder that benepar reads")
    parser.add_argument("--instructions", type=int, default=15_000)
    given = parser.parse_args()
    print("| what | CPU s | memory, MB | written, kB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("pool", *(f"{method}/0" for method in METHODS)):
            (folder / name).mkdir(parents=True)
        write(folder, given.instructions, 0.0, LENGTHS[0], 0)
        parsing = ("--settings", json.dumps(PARSING | {"parser": str(given.parser)}))
        segment = ("--segment", folder / "pool", "--progress", folder / "kept")
        parses = folder / "parses"
        spent = used(
            *("diversity_parses.py", *parsing, "--parser", given.parser),
            *(*segment, "--parses", parses),
        )
        show("parses", spent, sum(file.stat().st_size for file in parses.iterdir()))
        pool = folder / "pool" / "instructions.jsonl"
        pairs = ("--instructions", pool, "--parses", parses, "--diversity", folder / "diversity")
        spent = used("diversity.py", *pairs)
        show("verb and noun of each", spent, (folder / "diversity/pairs.csv").stat().st_size)
        for name, draw in figures(folder):
            seconds, drawing = timed(draw)
            show(name, (seconds, 0), len(drawing.svg) + len(drawing.png))


def show(name: str, spent: tuple[float, int], written: int) -> None:
    """Print a row."""
    seconds, memory = spent
    told = f"{memory / 1e6:,.0f}" if memory else ""
    print(f"| {name} | {seconds:.1f} | {told} | {written / 1000:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
