"""CPU time of the nearest neighbours of figure 5 beside rouge_score's plain way, on one input.

Prints Markdown. Instructions and references are made up as in `novelty.py`, from one source, whose
texts are told apart by the seed alone.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import resource
import sys
from importlib.metadata import version
from itertools import islice
from pathlib import Path

from novelty import ROUGE, cpu_seconds, source_texts, synthetic

from refine_af.metrics.novelty import NoveltyPool, Verdict


@dataclasses.dataclass(frozen=True)
class Scale:
    """How many instructions, references, and instructions of which every pair is scored plainly."""

    instructions: int
    references: int
    sample: int


FULL = Scale(15_000, 52_445, 10)  # Self-Instruct's table 1
QUICK = Scale(200, 300, 5)


@dataclasses.dataclass(frozen=True)
class Found:
    """CPU seconds of both ways, and what they found: ours of all, the plain way of the sample."""

    index_s: float
    search_s: float
    plain_s: float
    verdicts: list[Verdict]
    plain: list[float]


def measure(instructions: list[str], references: list[str], sample: int) -> Found:
    """Both ways on the same texts. SystemExit unless they give the same highest ROUGE-L."""
    start = cpu_seconds()
    pool = NoveltyPool(references)
    indexed = cpu_seconds()
    verdicts = [pool.nearest(text) for text in instructions]
    found = cpu_seconds()
    plain = [
        max(ROUGE.score(reference, text)["rougeL"].fmeasure for reference in references)
        for text in instructions[:sample]
    ]
    ended = cpu_seconds()
    for text, verdict, highest in zip(instructions, verdicts, plain, strict=False):
        if abs(verdict.rouge_l - highest) > 1e-12:
            raise SystemExit(f"the ways disagree on {text!r}: {verdict.rouge_l} and {highest}")
    return Found(indexed - start, found - indexed, ended - found, verdicts, plain)


def markdown(found: Found, scale: Scale, source: str) -> str:
    """What was measured, as a table."""
    ours = found.index_s + found.search_s
    plain_pair = found.plain_s / scale.sample / scale.references * 1e6
    our_pair = ours / scale.instructions / scale.references * 1e6
    mean = sum(verdict.rouge_l for verdict in found.verdicts) / scale.instructions
    packages = [f"{name} {version(name)}" for name in ("rouge_score", "rapidfuzz", "numpy")]
    hours = plain_pair * scale.instructions * scale.references / 3.6e9
    made_of = f"Python {sys.version.split()[0]}, {', '.join(packages)}"
    counts = f"{scale.instructions:,} instructions × {scale.references:,} references"
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return "\n".join(
        [
            f"Texts: made up from {source}. {made_of}.",
            "",
            f"| {counts} | CPU time | µs a pair | ratio |",
            "|---|---|---|---|",
            f"| rouge_score, every pair (measured on {scale.sample} instructions) | {hours:.1f} h "
            f"| {plain_pair:.3g} | 1.0 |",
            f"| this index | {ours:.1f} s | {our_pair:.3g} | {plain_pair / our_pair:,.0f} |",
            "",
            f"Of this index {found.index_s:.1f} s make it and {found.search_s:.1f} s search it. "
            f"The sample's highest ROUGE-L are the same; the mean of all is {mean:.3f}. Peak "
            f"memory: {memory:,.0f} MB.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the made-up texts")
    parser.add_argument("--quick", action="store_true", help="few texts, for the test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    source, texts = source_texts()
    instructions = list(islice(synthetic(texts, options.seed), scale.instructions))
    references = list(islice(synthetic(texts, options.seed + 1), scale.references))
    found = measure(instructions, references, scale.sample)
    print(markdown(found, scale, f"{source}, seeds {options.seed} and {options.seed + 1}"))
    if options.json:
        numbers = dataclasses.asdict(found)
        options.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
