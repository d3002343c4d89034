"""Stage 1's writing, three ways in one run: one prompt at a time, padded batches, and ours.

With --backbone a trained model answers one round of prompts under the experiment's own settings.
With --shape a model of random weights, whose replies all have --tokens tokens, shows what the
machine does with it. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from ways import (
    ROOT,
    SHAPES,
    Engine,
    Measured,
    bandwidth,
    one_at_a_time,
    ours,
    padded,
    phases_of_ours,
    place_name,
    placed,
    random_model,
    read_in_a_step,
    shares,
    timed,
    word_tokenizer,
)

from refine_af.engines import generation
from refine_af.engines.replies import Group, Reply
from refine_af.instructions.bootstrapping import bootstrap_round
from refine_af.instructions.pool import Pool
from refine_af.instructions.rounds import RoundLog
from refine_af.models.backbones import load_backbone, load_tokenizer, precision
from refine_af.prompts.task_lists import decoding
from refine_af.prompts.templates import Prompt, read_prompt
from refine_af.records.human_tasks import Seed, read_seeds
from refine_af.settings.instructions import Instructions
from refine_af.settings.sampling import Sampling
from refine_af.workflow.configuration import read_experiment

YIELDS = (0.3, 0.4, 0.5)  # accepted share of the items, for a projection
WANTED = 15_000


class Answering:
    """Stands where stage 1 keeps its log: gives the replies of an engine, and times them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = 0.0

    def replies(self, _: int, groups: Sequence[Group], seeds: Sequence[int]) -> list[Reply]:
        (group,) = groups  # whose prefix is the engine's own
        replies: list[Reply]
        self.seconds, replies = timed(lambda: self._engine(group.tails, seeds))
        return replies


def one_round(
    name: str, engine: Engine, settings: Instructions, seeds: Sequence[Seed], prompt: Prompt
) -> Measured:
    """The first round of stage 1: the same prompts for every way."""
    pool, answering = Pool(settings, seeds, []), Answering(engine)
    phases: dict[str, float] = {}
    with phases_of_ours(phases):
        # A round asks its log for replies, and for nothing else.
        log = cast(RoundLog, answering)
        seconds, (made, _) = timed(lambda: bootstrap_round(settings, pool, 0, prompt, log))
    phases["filter and parsing"] = seconds - answering.seconds
    return Measured(name, seconds, made.tokens, made.accepted, made.parsed, phases)


def trained(arguments: argparse.Namespace) -> None:
    """Three ways on a trained model, with what the filter lets in."""
    experiment = read_experiment(yaml.safe_load((arguments.experiment / "config.yaml").read_text()))
    settings = experiment.instructions
    limit = arguments.tokens or settings.sampling.max_new_tokens
    sampling = settings.sampling.model_copy(update={"max_new_tokens": limit})
    round_of = {"prompts_per_round": arguments.requests, "sampling": sampling}
    settings = settings.model_copy(update=round_of)
    seeds = read_seeds(placed(experiment.data.seeds, arguments.experiment))
    prompt = read_prompt(placed(experiment.prompts.instructions, arguments.experiment), {"tasks"})
    model = load_backbone(arguments.backbone, quantization=settings.quantization)
    tokenizer = load_tokenizer(arguments.backbone)
    stopping, prefix = decoding(settings), prompt.prefix
    size = min(arguments.requests, 256)
    ways = {
        "one at a time, no stop at the list's end": one_at_a_time(
            model, tokenizer, prefix, stopping, stops=False
        ),
        f"padded batches of {size}": padded(model, tokenizer, prefix, stopping, size),
        "ours": ours(model, tokenizer, prefix, stopping),
    }
    for engine in ways.values():  # the first call of each pays for loading
        engine(["Task 1:"], [0])
    rows = [one_round(name, engine, settings, seeds, prompt) for name, engine in ways.items()]
    weights = sum(p.numel() for p in model.parameters())
    print(f"{arguments.requests} prompts, at most {limit} tokens a reply, {weights:,} weights\n")
    print("| way | s | tokens | tokens/s | accepted of items | accepted/h | ratio |")
    print("|---|---|---|---|---|---|---|")
    slowest = rows[0].accepted / rows[0].seconds
    for row in rows:
        rate = row.accepted / row.seconds
        print(
            f"| {row.name} | {row.seconds:.2f} | {row.tokens:,} | {row.tokens / row.seconds:,.0f} "
            f"| {row.accepted} of {row.items} | {3600 * rate:,.0f} | {rate / slowest:.1f} |"
        )
    shares(rows[-1], "keeping the batch")


DEMONSTRATIONS = [
    "Explain the main argument of the following paragraph in two short sentences.",
    "Is there anything I can eat for breakfast that does not include eggs, yet has protein?",
    "Sort the given list of cities by the number of people who live in each of them.",
    "Rewrite the sentence so that it keeps its meaning and uses no word twice.",
    "What is the relation between the two words that are given as input?",
    "Write a polite letter that asks the landlord to mend the heating before winter.",
    "Classify the review as positive, negative or neutral, and name the reason.",
    "Suggest a name for a small shop that sells old books and fresh coffee.",
]


def untrained(arguments: argparse.Namespace) -> None:
    """Decoding speed on random weights; a reply ends at the limit and nowhere else."""
    prompt = read_prompt(ROOT / "resources" / "prompts" / "instructions.txt", {"tasks"})
    model = random_model(arguments.shape)
    tokenizer = word_tokenizer([prompt.prefix, *DEMONSTRATIONS], model.config.vocab_size)
    sampling = Sampling(
        temperature=0.7,
        top_p=0.5,
        min_p=0.0,
        presence_penalty=0.0,
        max_new_tokens=arguments.tokens,
        stop=(),
    )
    lines = "".join(f"Task {n}: {text}\n" for n, text in enumerate(DEMONSTRATIONS, 1))
    tails = [lines + "Task 9:"] * arguments.requests
    seeds = list(range(arguments.requests))
    prefix = prompt.prefix
    whole = [prefix + tail for tail in tails]
    few = max(1, arguments.requests // 16)
    size = generation.rows_that_fit(model, arguments.tokens + 1024)
    size = min(size, arguments.requests)
    alone = one_at_a_time(model, tokenizer, prefix, sampling, stops=False)
    ways: dict[str, Callable[[], list[Reply]]] = {
        f"one at a time ({few} of the prompts)": lambda: alone(tails[:few], seeds[:few]),
        f"padded batches of {size}": lambda: padded(model, tokenizer, prefix, sampling, size)(
            tails, seeds
        ),
        "ours, prefix not shared": lambda: ours(model, tokenizer, "", sampling)(whole, seeds),
        "ours": lambda: ours(model, tokenizer, prefix, sampling)(tails, seeds),
    }
    ours(model, tokenizer, prefix, sampling)(tails[:2], seeds[:2])
    rows = []
    for name, work in ways.items():
        seconds, replies = timed(work)
        rows.append(Measured(name, seconds, sum(reply.tokens for reply in replies)))
        prompt_tokens = replies[0].prompt_tokens
    print(
        f"{arguments.shape}, {precision()}, {prompt_tokens} tokens a prompt, "
        f"{arguments.tokens} a reply, {arguments.requests} prompts, on {place_name()}\n"
    )
    print("| way | s | tokens/s | ratio |\n|---|---|---|---|")
    first = rows[0].tokens / rows[0].seconds
    for row in rows:
        rate = row.tokens / row.seconds
        print(f"| {row.name} | {row.seconds:.1f} | {rate:,.0f} | {rate / first:.1f} |")
    roofline(model, rows[-1], prompt_tokens, size, arguments)


def roofline(
    model: Any, row: Measured, prompt: int, size: int, arguments: argparse.Namespace
) -> None:
    """What reading weights and keys once a step would take, and the projected stage."""
    weights, keys = read_in_a_step(model, size, prompt + arguments.tokens / 2)
    step = (weights + keys) / bandwidth()
    rate = row.tokens / row.seconds
    print(
        f"\nA step of {size} texts reads {weights / 1e9:.1f} GB of weights and "
        f"{keys / 1e9:.1f} GB of keys and values: at the measured "
        f"{bandwidth() / 1e9:,.0f} GB/s of a copy that is {size / step:,.0f} tokens/s, of which "
        f"ours reaches {rate * step / size:.0%}.\n"
    )
    items = arguments.items
    for share in YIELDS:
        replies = WANTED / (share * items)
        minutes = replies * arguments.tokens / rate / 60
        print(
            f"At a yield of {share:.0%} of {items} items a reply, {WANTED:,} instructions take "
            f"{replies:,.0f} replies: {minutes:,.0f} minutes."
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, help="a trained checkpoint's folder")
    parser.add_argument("--experiment", type=Path, default=ROOT / "demo", help="its config.yaml")
    parser.add_argument("--shape", choices=SHAPES, help="a model of random weights")
    parser.add_argument("--requests", type=int, default=256, help="prompts of the round")
    parser.add_argument("--tokens", type=int, help="of a reply: at most, or with --shape always")
    parser.add_argument("--items", type=int, default=7, help="of each reply, for the projection")
    arguments = parser.parse_args()
    if arguments.shape and not arguments.tokens:
        arguments.tokens = 160
    if (arguments.backbone is None) == (arguments.shape is None):
        parser.error("either --backbone or --shape")
    trained(arguments) if arguments.backbone else untrained(arguments)


if __name__ == "__main__":
    main()
