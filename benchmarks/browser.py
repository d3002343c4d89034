"""The page to browse data on: its size, the time to write it, and how fast it is in a browser.

The data is made up: instructions as benchmarks/novelty.py makes them, and inputs, outputs and
refused texts of such words, with lengths drawn about a mean. Prints Markdown. Without Chromium the
browser's columns stay empty, and it says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from novelty import source_texts, synthetic

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

import chromium
from refine_af.files.rows import write_records
from refine_af.records.human_tasks import Seed
from refine_af.records.instances import Instance, Rejected
from refine_af.records.instructions import Instruction, RejectedInstruction
from refine_af.records.neighbours import Neighbours
from refine_af.records.segments import instruction_id

ROOT = Path(__file__).resolve().parents[1]
METHODS = ("self-instruct", "refine-af")
COMPONENTS = ("reward_model", "naturalness", "coherence", "understandability")
WITHOUT_INPUT = 0.4
SEARCHES = ("river", "name the", '"the three"')  # the first makes what the later ones look into
PAGE = ROOT / "resources" / "browser"


@dataclass(frozen=True)
class Lengths:
    """Mean words of an input and of an output; the lengths are exponential."""

    name: str
    input: int
    output: int


LENGTHS = (
    Lengths("as Self-Instruct's", 13, 19),  # arXiv 2212.10560, table 1: 12.7 and 18.9
    Lengths("long", 40, 120),
)


class Words:
    """Texts of a number of words, from an endless walk."""

    def __init__(self, seed: int) -> None:
        self._walk = synthetic(source_texts()[1], seed)
        self._left: list[str] = []
        self.random = Random(seed)

    def text(self, mean: int) -> str:
        count = 1 + int(self.random.expovariate(1 / mean))
        while len(self._left) < count:
            self._left += next(self._walk).split()
        text, self._left = self._left[:count], self._left[count:]
        return " ".join(text)


def write(folder: Path, count: int, refused: float, lengths: Lengths, seed: int) -> None:
    """A segment of each file: `refused` texts for every instruction, and for every pair kept."""
    words = Words(seed)
    walk = synthetic(source_texts()[1], seed + 1)
    pool = [
        Instruction(instruction_id(n), next(walk), n // 256, n % 256, [], "seed_0", 0.5, *NEAREST)
        for n in range(count)
    ]
    write_records(folder / "pool" / "instructions.jsonl", pool)
    similar = [
        RejectedInstruction(n // 256, n % 256, "similar", next(walk), instruction_id(0), 0.75)
        for n in range(int(count * refused))
    ]
    write_records(folder / "pool" / "rejected.jsonl", similar)
    near = [Neighbours(row.id, "seed_0", 0.25, next(walk), 0.5) for row in pool]
    write_records(folder / "neighbours.jsonl", near)
    write_records(folder / "seeds.jsonl", [Seed("seed_0", "Name a river.")])
    for method in METHODS:
        write_records(
            folder / method / "0" / "instances.jsonl", instances(pool, method, words, lengths)
        )
        pairs = [
            Rejected(
                row.id,
                "surplus",
                f"Input: {words.text(lengths.input)}\nOutput: {words.text(lengths.output)}",
            )
            for row in pool[: int(count * refused)]
        ]
        write_records(folder / method / "0" / "rejected.jsonl", pairs)


NEAREST = ("seed_0", 0.25, 400, 90)  # the nearest seed, its ROUGE-L, and tokens


def instances(
    pool: list[Instruction], method: str, words: Words, lengths: Lengths
) -> Iterator[Instance]:
    for row in pool:
        random = words.random
        given = "" if random.random() < WITHOUT_INPUT else words.text(lengths.input)
        scores = {name: random.random() for name in COMPONENTS}
        output = words.text(lengths.output)
        told = (row.instruction, given, output, "0" * 64, random.random(), scores)
        yield Instance(f"{row.id}-0", row.id, method, *told)


def written(folder: Path) -> tuple[float, int]:
    """CPU seconds and bytes of memory of the script that writes the page."""
    assets = {"markup": "html", "style": "css", "script": "js"}
    words = ["--settings", json.dumps({"seed": 0, "megabytes": 1000}), "--model", "made-up"]
    words += ["--methods", *METHODS, "--seeds", str(folder / "seeds.jsonl")]
    words += ["--pools", str(folder / "pool")]
    words += ["--instances", *(str(folder / method / "0") for method in METHODS)]
    words += ["--neighbours", str(folder / "neighbours.jsonl"), "--diversity"]
    for name, kind in assets.items():
        words += [f"--{name}", str(PAGE / f"page.{kind}")]
    return used("browser.py", *words, "--page", folder / "page.html")


def used(script: str, *words: object) -> tuple[float, int]:
    """CPU seconds and the most bytes of memory of a script of the project's."""
    command = [sys.executable, str(ROOT / "scripts" / script), *map(str, words)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, spent = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{script} failed: status {status}")
    return spent.ru_utime + spent.ru_stime, spent.ru_maxrss * 1024


@dataclass(frozen=True)
class Browsed:
    """CPU seconds of the page's process until it can be searched, and of what it does then.

    `memory` is its heap's, in bytes, after all of it.
    """

    ready: float
    searches: list[float]
    order: float
    memory: float


def browsed(page: Path, folder: Path) -> Browsed:
    """The page in a Chromium of its own, whose profile stands in `folder`."""
    with chromium.chromium(folder) as tab:
        tab.size(1280, 800)
        tab.call("Performance.enable")

        def seconds(work: str) -> float:
            before = metric(tab, "ProcessTime")
            tab.evaluate(f"void ({work}, find())")
            return metric(tab, "ProcessTime") - before

        tab.open(page.as_uri())
        tab.until("!document.getElementById('main').hidden")
        ready = metric(tab, "ProcessTime")
        searches = [seconds(f"get('search').value = {json.dumps(words)}") for words in SEARCHES]
        order = seconds("get('search').value = '', get('order').value = '0'")
        tab.call("HeapProfiler.collectGarbage")
        return Browsed(ready, searches, order, metric(tab, "JSHeapUsedSize"))


def metric(tab: chromium.Page, name: str) -> float:
    found = tab.call("Performance.getMetrics")["metrics"]
    return float(next(each["value"] for each in found if each["name"] == name))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instructions", type=int, default=15_000, help="of each method")
    parser.add_argument("--refused", type=float, default=1.0, help="for one that was kept")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    print(
        "| texts | file, MB | written, s | memory, MB | searchable, s | first search, ms "
        "| later ones, ms | sorted, ms | heap, MB |\n|---|---|---|---|---|---|---|---|---|"
    )
    for lengths in LENGTHS:
        # A browser that was killed may write to its profile for a moment more.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
            folder = Path(place)
            write(folder, given.instructions, given.refused, lengths, given.seed)
            seconds, memory = written(folder)
            size = (folder / "page.html").stat().st_size
            cells = [lengths.name, f"{size / 1e6:.1f}", f"{seconds:.1f}", f"{memory / 1e6:,.0f}"]
            if chromium.program():
                told = browsed(folder / "page.html", folder / "chromium")
                first, *later = (f"{1000 * each:.0f}" for each in told.searches)
                cells += [f"{told.ready:.1f}", first, ", ".join(later)]
                cells += [f"{1000 * told.order:.0f}", f"{told.memory / 1e6:.0f}"]
            print(f"| {' | '.join(cells + [''] * (9 - len(cells)))} |", flush=True)
    if not chromium.program():
        print("\n**Skipped: the browser.** No Chromium is here.")


if __name__ == "__main__":
    main()
