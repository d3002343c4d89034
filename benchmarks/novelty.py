"""CPU time of the novelty filter beside Self-Instruct's and Alpaca's, on the same instructions.

Prints Markdown. The instructions are those of a JSON Lines file, or made up: see `synthetic`.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import multiprocessing
import os
import resource
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any

from rouge_score import rouge_scorer

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.demo.corpus import draw_task
from refine_af.errors import InputError, shown
from refine_af.files.rows import read_rows
from refine_af.metrics.novelty import NoveltyPool, Verdict

SEEDS = 175
EDITED = 0.32  # of the candidates; some 70 % are accepted then
EDITABLE = 2000  # of the last candidates: what a near-duplicate is made from
RARE = 50_000
LONGEST = 150  # words, as stage 1 keeps them

ROUGE = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)


@dataclass(frozen=True)
class Scale:
    """How much is measured; each measurement of ours takes `seconds` of CPU time at least."""

    accepted: int
    sample: int
    pools: tuple[int, ...]
    seconds: float


FULL = Scale(15_000, 50, (10_000, 100_000, 1_000_000), 1.0)
QUICK = Scale(300, 12, (200, 400), 0.05)


@dataclass(frozen=True)
class Way:
    """One way's cost a pair, and for each candidate of the sample its answer."""

    name: str
    microseconds: float
    nearest: list[float]
    accepted: list[bool]


@dataclass(frozen=True)
class Build:
    """The pool from its seeds to its full size; `pairs` is what the slow ways would score."""

    seconds: float
    candidates: int
    pairs: int
    pool: NoveltyPool
    texts: list[str]


Stream = Callable[[], Iterator[str]]


def source_texts() -> tuple[str, list[str]]:
    """What `synthetic` draws from, in words, and the texts, seeds first."""
    folder = os.environ.get("REFINE_AF_MIRROR")
    if folder is None:
        random = Random(0)
        return "427 of the demo's tasks", [draw_task(random).instruction for _ in range(427)]
    names = ("seed_tasks.jsonl", "user_oriented_instructions.jsonl")
    texts = [text for name in names for text in read_instructions(Path(folder, name))]
    return f"{len(texts)} seed and user-oriented instructions of Self-Instruct", texts


def read_instructions(path: Path) -> list[str]:
    """The instructions of a JSON Lines file. InputError names the line that has none."""
    texts = []
    for where, row in read_rows(path):
        text = row.get("instruction")
        if not isinstance(text, str):
            raise InputError(f"{where}: no text 'instruction' in {shown(row)}")
        texts.append(text)
    return texts


def synthetic(texts: Sequence[str], seed: int) -> Iterator[str]:
    """Endless instructions whose words, pairs of words and lengths are as frequent as in `texts`.

    Each walks from word to word, the next one drawn from those that follow the last in `texts`. A
    word that `texts` holds once stands for all rare words: one of 50,000 comes in its place, the
    k-th with weight 1 / (k + 10). The share EDITED are near-duplicates: a recent candidate with
    one to three of its words replaced.
    """
    random = Random(seed)
    following: dict[str, list[str]] = {}
    for text in texts:
        for word, after in itertools.pairwise(["", *text.split(), ""]):
            following.setdefault(word, []).append(after)
    words = [word for text in texts for word in text.split()]
    once = {word for word, count in Counter(words).items() if count == 1}
    rare = [f"rare{rank}" for rank in range(1, RARE + 1)]
    weights = list(itertools.accumulate(1 / (rank + 10) for rank in range(1, RARE + 1)))
    recent: deque[list[str]] = deque(maxlen=EDITABLE)

    def spoken(word: str) -> str:
        return random.choices(rare, cum_weights=weights)[0] if word in once else word

    while True:
        if recent and random.random() < EDITED:
            said = list(random.choice(recent))
            for _ in range(random.randint(1, 3)):
                said[random.randrange(len(said))] = spoken(random.choice(words))
        else:
            said, word = [], random.choice(following[""])
            while word and len(said) < LONGEST:
                said.append(spoken(word))
                word = random.choice(following[word])
        if len(said) > 3:
            recent.append(said)
            yield " ".join(said)


def cpu_seconds() -> float:
    """User and system time of this process and of its children that have ended."""
    return sum(os.times()[:4])


def self_instruct(pool: Sequence[str], candidate: str) -> list[float]:
    """As yizhongw/self-instruct@0b26ccaa, bootstrap_instructions.py: 4 processes a candidate."""
    with multiprocessing.get_context("fork").Pool(4) as processes:
        found = processes.map(partial(ROUGE.score, candidate), pool)
    return [score["rougeL"].fmeasure for score in found]


def alpaca(pool: Sequence[list[str]], candidate: str) -> list[float]:
    """As tatsu-lab/stanford_alpaca@761dc5bf, generate_instruction.py: the pool as tokens."""
    tokens = ROUGE._tokenizer.tokenize(candidate)
    with multiprocessing.get_context("fork").Pool(16) as processes:
        found = processes.map(partial(rouge_scorer._score_lcs, tokens), pool)
    return [score.fmeasure for score in found]


def slow_way(name: str, scores: Callable[[str], list[float]], sample: Sequence[str]) -> Way:
    """A released way on the sample; `scores` gives a candidate's with each text of the pool."""
    start = cpu_seconds()
    found = [scores(candidate) for candidate in sample]
    seconds = cpu_seconds() - start
    nearest = [max(scores) for scores in found]
    pairs = sum(map(len, found))
    return Way(name, seconds / pairs * 1e6, nearest, [score <= 0.7 for score in nearest])


def our_way(pool: NoveltyPool, sample: Sequence[str], least: float) -> Way:
    """This filter on the sample, over at least `least` seconds."""
    seconds, verdicts = judged(pool, sample, least)
    nearest = [verdict.rouge_l for verdict in verdicts]
    accepted = [verdict.accepted for verdict in verdicts]
    return Way("this filter", seconds / len(pool) * 1e6, nearest, accepted)


def judged(pool: NoveltyPool, sample: Sequence[str], least: float) -> tuple[float, list[Verdict]]:
    """CPU time a candidate, over as many rounds as take `least` seconds, and the verdicts."""
    start, rounds = cpu_seconds(), 0
    while not rounds or cpu_seconds() - start < least:
        verdicts = [pool.nearest(candidate) for candidate in sample]
        rounds += 1
    return (cpu_seconds() - start) / rounds / len(sample), verdicts


def exact_ties(sample: Sequence[str], ways: Sequence[Way]) -> int:
    """How many candidates lie exactly at 0.7, where rouge_score's decision hangs on rounding.

    SystemExit unless all others are decided alike and every score is the same.
    """
    ties = 0
    for number, candidate in enumerate(sample):
        scores = [way.nearest[number] for way in ways]
        tied = abs(scores[0] - 0.7) < 1e-9
        alike = len({way.accepted[number] for way in ways}) == 1
        if max(scores) - min(scores) > 1e-12 or not (alike or tied):
            raise SystemExit(f"the ways disagree on {shown(candidate)}: {scores}")
        ties += tied
    return ties


def built(
    seeds: Sequence[str], candidates: Iterable[str], wanted: int, *, nearest_seeds: bool
) -> Build:
    """A pool of the seeds and `wanted` accepted candidates, or fewer where they run out.

    With `nearest_seeds` each accepted one is compared with the seeds alone too, as in stage 1.
    """
    start, used, pairs, texts = cpu_seconds(), 0, 0, list(seeds)
    pool, among_seeds = NoveltyPool(seeds, tie="accept"), NoveltyPool(seeds)
    for text in candidates:
        used += 1
        pairs += len(pool)
        if pool.offer(text).accepted:
            texts.append(text)
            if nearest_seeds:
                among_seeds.nearest(text)
        if len(texts) == len(seeds) + wanted:
            break
    return Build(cpu_seconds() - start, used, pairs, pool, texts)


def measure(seeds: Sequence[str], stream: Stream, scale: Scale) -> dict[str, Any]:
    """All measurements; `stream` gives the same candidates each time that it is called."""
    candidates = list(itertools.islice(stream(), 3 * scale.accepted))
    arguments = (seeds, candidates[: -scale.sample], scale.accepted)
    plain = min(built(*arguments, nearest_seeds=False).seconds for _ in range(3))
    runs = [built(*arguments, nearest_seeds=True) for _ in range(3)]
    whole = min(runs, key=lambda run: run.seconds)
    sample = candidates[whole.candidates :][: scale.sample]
    tokens = [ROUGE._tokenizer.tokenize(text) for text in whole.texts]
    ways = [
        slow_way("Self-Instruct's", partial(self_instruct, whole.texts), sample),
        slow_way("Alpaca's", partial(alpaca, tokens), sample),
        our_way(whole.pool, sample, scale.seconds),
    ]
    return {
        "seeds": len(seeds),
        "candidates": whole.candidates,
        "accepted": len(whole.texts) - len(seeds),
        "pairs": whole.pairs,
        "build_s": whole.seconds,
        "build_without_nearest_seeds_s": plain,
        "sample": len(sample),
        "exact_ties": exact_ties(sample, ways),
        "ways": [dataclasses.asdict(way) for way in ways],
        "candidate_us": {size: cost_at(size, stream(), scale) for size in scale.pools},
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def cost_at(size: int, stream: Iterator[str], scale: Scale) -> float | None:
    """CPU microseconds a candidate at a pool of `size` texts; None where there are not as many."""
    pool = NoveltyPool(itertools.islice(stream, size))
    sample = list(itertools.islice(stream, 100))
    return judged(pool, sample, scale.seconds)[0] * 1e6 if sample else None


def markdown(found: dict[str, Any]) -> str:
    """What `measure` gave, as tables."""
    sample, accepted, slowest = found["sample"], found["accepted"], found["ways"][0]
    packages = [f"{name} {version(name)}" for name in ("rouge_score", "rapidfuzz", "numpy")]
    lines = [
        f"Instructions: {found['source']}. Python {sys.version.split()[0]}, {', '.join(packages)}.",
        "",
        f"| {sample} candidates × {found['seeds'] + accepted:,} texts | CPU µs a pair | ratio |",
        "|---|---|---|",
    ]
    for way in found["ways"]:
        cost, ratio = way["microseconds"], slowest["microseconds"] / way["microseconds"]
        lines.append(f"| {way['name']} | {cost:.3g} | {ratio:,.{0 if ratio > 10 else 1}f} |")
    hours = found["pairs"] * slowest["microseconds"] / 3.6e9
    lines += [
        "",
        f"All accept the same {sum(slowest['accepted'])} of {sample} candidates, "
        f"but for {found['exact_ties']} exactly at 0.7.",
        "",
        "| this filter | CPU time |",
        "|---|---|",
        f"| {accepted:,} accepted of {found['candidates']:,} candidates "
        f"| {found['build_without_nearest_seeds_s']:.2f} s |",
        f"| the same, and each one's nearest seed | {found['build_s']:.2f} s |",
        f"| the same pairs at Self-Instruct's cost | {hours:.1f} h |",
    ]
    for size, cost in found["candidate_us"].items():
        lines.append(f"| a candidate at a pool of {size:,} | {cost:,.0f} µs |" if cost else "")
    lines += ["", f"Peak memory: {found['peak_memory_mb']:,.0f} MB."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--instructions",
        type=Path,
        metavar="FILE",
        help=f"JSON Lines with the key instruction; the first {SEEDS} lines are the seeds",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the made-up instructions")
    parser.add_argument("--quick", action="store_true", help="a tiny pool, for the test")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers here too")
    options = parser.parse_args()
    scale = QUICK if options.quick else FULL
    if options.instructions:
        try:
            lines = read_instructions(options.instructions)
        except (InputError, OSError) as error:
            parser.error(str(error))
        if len(lines) < SEEDS + 2 * scale.sample:
            parser.error(f"{options.instructions}: {len(lines)} instructions are too few")
        source, seeds = str(options.instructions), lines[:SEEDS]
        found = measure(seeds, lambda: iter(lines[SEEDS:]), scale)
    else:
        source, texts = source_texts()
        source = f"made up from {source}, seed {options.seed}"
        found = measure(texts[:SEEDS], lambda: synthetic(texts, options.seed), scale)
    found["source"] = source
    print(markdown(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
