"""Stage 1's decoding: what a setting yields for its tokens, and what the instructions are like.

Each setting grows a pool of its own from the seeds, some rounds long, on one real model. Yield is
what the filter lets in, and how it falls as the pool grows; beside it stand measures of the texts.
Prints Markdown; a setting that `--json` holds already is not run again.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from ways import ROOT, place_name, timed

from refine_af.engines.generation import prefilled
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Group, Reply
from refine_af.instructions.bootstrapping import bootstrap_round
from refine_af.instructions.pool import Pool
from refine_af.instructions.rounds import Round, RoundLog
from refine_af.metrics.decline_fit import FEWEST, forecast
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.prompts.task_lists import decoding
from refine_af.prompts.templates import Prompt, read_prompt
from refine_af.records.human_tasks import Seed, read_seeds
from refine_af.settings.instructions import Instructions
from refine_af.words import rouge_tokens
from refine_af.workflow.configuration import read_experiment

GRID = (
    "",
    "end_after_similar=2 loop=4",
    "top_p=0.9 end_after_similar=2 loop=4",
    "temperature=1.0 top_p=0.9 end_after_similar=2 loop=4",
    "temperature=1.0 top_p=0.9 end_after_similar=2 loop=4 demonstration_candidates=8",
    "temperature=1.0 top_p=1.0 min_p=0.1 end_after_similar=2 loop=4",
    "presence_penalty=2.0 end_after_similar=2 loop=4",
)
QUICK = ("", "temperature=1.0 end_after_similar=1 loop=3 demonstration_candidates=4")
COLUMNS = (
    "setting", "accepted of items", "tokens", "accepted per 1,000 tokens", "per CPU s",
    "by the fit: first", "last", "halves with", "ends early", "human-like start",
    "distinct-2", "log p a token", "ROUGE-L to a seed",
)  # fmt: skip


@dataclass(frozen=True)
class Grown:
    """A setting's rounds and the instructions that entered.

    `pools` are the pool's sizes as the rounds began; `log_probability` is a token's mean under the
    model after the prompt without demonstrations, `seed_rouge_l` the mean of the nearest seeds'.
    """

    setting: str
    seconds: float
    pools: list[int]
    accepted: list[int]
    items: int
    tokens: list[int]
    replies: int
    cut: int
    texts: list[str]
    log_probability: float
    seed_rouge_l: float


class Answering:
    """Stands where stage 1 keeps its log: gives an engine's replies."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine

    def replies(self, _: int, groups: Sequence[Group], seeds: Sequence[int]) -> list[Reply]:
        found = dict(self._engine(groups, seeds))
        return [found[place] for place in range(len(seeds))]


def changed(settings: Instructions, setting: str) -> Instructions:
    """The settings with some keys, of whichever part, as `key=value` says."""
    values = settings.model_dump()
    for word in setting.split():
        key, _, value = word.partition("=")
        parts = [part for part in (values, values["sampling"], values["filter"]) if key in part]
        if not parts:
            raise SystemExit(f"{word}: stage 1 has no key {key!r}")
        parts[0][key] = yaml.safe_load(value)
    return Instructions.model_validate(values)


def grown(
    setting: str,
    settings: Instructions,
    loaded: tuple[Any, Any],
    *,
    seeds: Sequence[Seed],
    prompt: Prompt,
    rounds: int,
) -> Grown:
    """A pool of its own, so many rounds long."""
    rules = changed(settings, setting)
    pool = Pool(rules, seeds, [])
    log = cast(RoundLog, Answering(LocalEngine(lambda: loaded, decoding(rules))))
    pools, made, seconds = list[int](), list[Round](), 0.0
    for number in range(rounds):
        pools.append(len(pool.machine))
        took, (row, _) = timed(partial(bootstrap_round, rules, pool, number, prompt, log))
        seconds += took
        made.append(row)
        print(f"{setting}: {row.row()}", file=sys.stderr, flush=True)
    texts = [row.instruction for row in pool.machine]
    return Grown(
        setting,
        seconds,
        pools,
        [row.accepted for row in made],
        sum(row.parsed for row in made),
        [row.tokens for row in made],
        sum(row.requested for row in made),
        sum(row.cut for row in made),
        texts,
        log_probability(texts, *loaded, prompt=prompt, rules=rules),
        fmean(row.seed_rouge_l for row in pool.machine) if texts else math.nan,
    )


def log_probability(
    texts: Sequence[str], model: Any, tokenizer: Any, *, prompt: Prompt, rules: Instructions
) -> float:
    """A token's mean log-probability over all texts, each the first task of a list of its own."""
    asked = prompt.prefix + prompt.tail(tasks=rules.numbering.replace("{number}", "1")).rstrip()
    before = encode(tokenizer, asked, start=True)
    found: list[float] = []
    with torch.inference_mode():
        head = prefilled(model, before[:-1])
        for text in texts:
            own = encode(tokenizer, f" {text}", start=False)
            ids = torch.tensor([before[-1:] + own], device=model.device)
            logits = model(input_ids=ids, past_key_values=deepcopy(head)).logits[0]
            chances = logits[:-1].float().log_softmax(-1)
            picked = chances.gather(-1, torch.tensor(own, device=chances.device)[:, None])
            found += picked[:, 0].tolist()
    return fmean(found) if found else math.nan


def distinct_2(texts: Sequence[str]) -> float:
    """The share of different pairs of words among all (Li et al. 2016)."""
    words = [rouge_tokens(text) for text in texts]
    pairs = [pair for text in words for pair in pairwise(text)]
    return len(set(pairs)) / len(pairs) if pairs else math.nan


def human_share(texts: Sequence[str], seeds: Sequence[Seed]) -> float:
    """The share that is a question, or begins with a word that a seed begins with."""
    first = {word for row in seeds for word in rouge_tokens(row.instruction)[:1]}
    found = [text.endswith("?") or not first.isdisjoint(rouge_tokens(text)[:1]) for text in texts]
    return sum(found) / len(found) if found else math.nan


def row_of(made: Grown, seeds: Sequence[Seed], common: int) -> list[str]:
    """A line of the table; distinct-2 is of the first `common` instructions, as many of each."""
    total, tokens = sum(made.accepted), sum(made.tokens)
    thousands = [count / 1000 for count in made.tokens]
    fit = forecast(made.pools, made.accepted, thousands)
    first = last = half = "–"
    if fit:
        decline = fit.likeliest
        first, last = f"{decline.at(0):.1f}", f"{decline.at(total):.1f}"
        half = f"{math.log(2) / decline.rate:,.0f}" if decline.rate else "no decline"
    return [
        made.setting or "as in config.yaml",
        f"{total} of {made.items}",
        f"{tokens:,}",
        f"{1000 * total / tokens:.1f}",
        f"{total / made.seconds:.2f}",
        first,
        last,
        half,
        f"{made.cut} of {made.replies}",
        f"{human_share(made.texts, seeds):.0%}",
        f"{distinct_2(made.texts[:common]):.2f}",
        f"{made.log_probability:.2f}",
        f"{made.seed_rouge_l:.2f}",
    ]


def draw(rows: Sequence[Grown], path: Path) -> None:
    """Yield against a token's mean log-probability, a point a setting, by number in the table."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "refine-af", "svg.fonttype": "none", "font.size": 9}):
        figure = Figure(figsize=(5, 3.2), layout="constrained")
        axes = figure.subplots()
        for number, row in enumerate(rows, 1):
            place = (1000 * sum(row.accepted) / sum(row.tokens), row.log_probability)
            axes.plot(*place, "o", color="#2f7ebc")
            axes.annotate(str(number), place, xytext=(4, 4), textcoords="offset points")
        axes.set_xlabel("accepted per 1,000 tokens")
        axes.set_ylabel("mean log-probability of a token")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})


def measured(arguments: argparse.Namespace, seeds: Sequence[Seed]) -> list[Grown]:
    """Every setting's pool, those of the file `--json` read from there."""
    experiment = read_experiment(yaml.safe_load((ROOT / "config.yaml").read_text()))
    round_of = f"prompts_per_round={arguments.requests} seed={arguments.seed}"
    settings = changed(experiment.instructions, round_of)
    if arguments.tokens:
        settings = changed(settings, f"max_new_tokens={arguments.tokens}")
    prompt = read_prompt(ROOT / experiment.prompts.instructions, {"tasks"})
    kept: Path | None = arguments.json
    known = json.loads(kept.read_text()) if kept and kept.exists() else []
    rows = {entry["setting"]: Grown(**entry) for entry in known}
    wanted = arguments.settings or (QUICK if arguments.quick else GRID)
    missing = [setting for setting in wanted if setting not in rows]
    loaded = None
    for setting in missing:
        loaded = loaded or (
            load_backbone(arguments.model, quantization="none"),
            load_tokenizer(arguments.model),
        )
        rows[setting] = grown(
            setting, settings, loaded, seeds=seeds, prompt=prompt, rounds=arguments.rounds
        )
        if kept:
            kept.write_text(json.dumps([asdict(row) for row in rows.values()]))
    return [rows[setting] for setting in wanted]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    model, mirror = os.environ.get("REFINE_AF_MODEL"), os.environ.get("REFINE_AF_MIRROR")
    parser.add_argument("--model", type=Path, default=model, help="folder; or REFINE_AF_MODEL")
    seeds = Path(mirror) / "seed_tasks.jsonl" if mirror else None
    parser.add_argument("--seeds", type=Path, default=seeds, help="file; or in REFINE_AF_MIRROR")
    parser.add_argument("--settings", nargs="+", help="each `key=value …` of stage 1, or empty")
    parser.add_argument("--requests", type=int, default=16, help="prompts of a round")
    parser.add_argument("--rounds", type=int, default=FEWEST, help="of each setting")
    parser.add_argument("--tokens", type=int, help="of a reply at most; else as in config.yaml")
    parser.add_argument("--seed", type=int, default=42, help="of demonstrations and sampling")
    parser.add_argument("--json", type=Path, help="where all numbers are kept, setting by setting")
    parser.add_argument("--plot", type=Path, help="an SVG or PNG of yield against log-probability")
    parser.add_argument("--quick", action="store_true", help="two settings, for the test")
    arguments = parser.parse_args()
    if not arguments.model or not arguments.seeds:
        parser.error("--model and --seeds, or REFINE_AF_MODEL and REFINE_AF_MIRROR, are needed")
    humans = read_seeds(arguments.seeds)
    rows = measured(arguments, humans)
    common = min(sum(row.accepted) for row in rows)
    print(f"{arguments.rounds} rounds of {arguments.requests} prompts, on a {place_name()}; ")
    print(f"distinct-2 is of the first {common} instructions of each\n")
    print(f"| {' | '.join(('', *COLUMNS))} |\n|{'---|' * (len(COLUMNS) + 1)}")
    for number, row in enumerate(rows, 1):
        print(f"| {' | '.join((str(number), *row_of(row, humans, common)))} |")
    if arguments.plot:
        draw(rows, arguments.plot)


if __name__ == "__main__":
    main()
