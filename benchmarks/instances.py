"""Stage 3's writing, ways beside each other in one run: what a shared prefix and a batch give.

Every prompt begins with the same demonstrations. One prompt at a time, in padded batches, side by
side without sharing the prefix, with a copy of it each, sharing it, and as the stage itself does
it: with every reply in its log and read. With --backbone a trained model answers its experiment's
prompts; with --shape a model of random weights, whose replies all have --tokens tokens. Prints
Markdown.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from ways import (
    DEMONSTRATIONS,
    ROOT,
    SHAPES,
    Measured,
    few_shot,
    made_up,
    one_at_a_time,
    ours,
    padded,
    phases_of_ours,
    place_name,
    placed,
    random_model,
    shares,
    timed,
    word_tokenizer,
)

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.engines import generation
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Reply
from refine_af.engines.rounds import Rounds
from refine_af.instances.parsing import parsed
from refine_af.instances.replies import Writing
from refine_af.instances.rounds import requests_of
from refine_af.models.backbones import load_backbone, load_tokenizer, precision
from refine_af.models.encoding import encode
from refine_af.prompts.templates import Prompt, read_prompt
from refine_af.records.instructions import Instruction
from refine_af.settings.instances import Instances
from refine_af.settings.sampling import Sampling
from refine_af.settings.watch import ParsedWatch
from refine_af.workflow.configuration import read_experiment

PATIENT = ParsedWatch(least_parsed=0.0, least_identified=0.0, patience=1)


def as_the_stage(
    model: Any, tokenizer: Any, settings: Instances, prompt: Prompt, rows: Sequence[Instruction]
) -> tuple[Measured, int]:
    """A round as the stage writes it, its replies logged and read; its instances counted."""
    engine = LocalEngine(lambda: (model, tokenizer), settings.sampling)

    def work() -> tuple[int, int]:
        writing = Writing(settings, PATIENT, {"input first": prompt}, {0: rows})
        with closing(Rounds(Path(folder, "replies.jsonl"), engine)) as log:
            replies = writing.round(0, lambda _: log)
        return sum(row.tokens for row in replies), len(parsed(settings, rows, replies).kept)

    phases: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        phases_of_ours(phases),
        redirect_stdout(StringIO()),
    ):
        seconds, (tokens, kept) = timed(work)
    return Measured("the stage: ours, logged and read", seconds, tokens, phases=phases), kept


def compared(
    model: Any,
    tokenizer: Any,
    settings: Instances,
    prompt: Prompt,
    rows: Sequence[Instruction],
    alone: int,
) -> list[Measured]:
    """Every way on the same round, of which `alone` prompts are written one at a time."""
    tails, seeds = requests_of(rows, settings, prompt)
    sampling, prefix = settings.sampling, prompt.prefix
    whole = [prefix + tail for tail in tails]
    stops = bool(sampling.stop)
    longest = max(len(encode(tokenizer, text, start=True)) for text in whole)
    size = min(len(rows), generation.rows_that_fit(model, longest + sampling.max_new_tokens))
    single = one_at_a_time(model, tokenizer, prefix, sampling, stops=stops)
    batches = padded(model, tokenizer, prefix, sampling, size, stops=stops)
    shared = ours(model, tokenizer, prefix, sampling)

    def copied(tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        with patch.object(generation, "SHARED_TOKENS", longest):
            return shared(tails, seeds)

    ways: dict[str, Callable[[], list[Reply]]] = {
        f"one at a time ({alone} of the prompts)": lambda: single(tails[:alone], seeds[:alone]),
        f"padded batches of {size}": lambda: batches(tails, seeds),
        "ours, prefix not shared": lambda: ours(model, tokenizer, "", sampling)(whole, seeds),
        "ours, prefix computed once, copied for each": lambda: copied(tails, seeds),
        "ours": lambda: shared(tails, seeds),
    }
    shared(tails[:2], seeds[:2])  # the first call pays for loading
    measured = []
    for name, work in ways.items():
        seconds, replies = timed(work)
        measured.append(Measured(name, seconds, sum(reply.tokens for reply in replies)))
    return measured


def show(rows: Sequence[Measured]) -> None:
    """Print a row a way."""
    print("| way | s | tokens | tokens/s | ratio |\n|---|---|---|---|---|")
    first = rows[0].tokens / rows[0].seconds
    for row in rows:
        rate = row.tokens / row.seconds
        figures = f"{row.seconds:.2f} | {row.tokens:,} | {rate:,.0f} | {rate / first:.1f}"
        print(f"| {row.name} | {figures} |")


def trained(arguments: argparse.Namespace) -> tuple[Any, Any, Instances, Prompt]:
    """A trained model under the settings and the prompt of its experiment."""
    place = arguments.experiment
    experiment = read_experiment(yaml.safe_load((place / "config.yaml").read_text()))
    settings = experiment.instances
    limit = arguments.tokens or settings.sampling.max_new_tokens
    sampling = settings.sampling.model_copy(update={"max_new_tokens": limit})
    settings = settings.model_copy(
        update={"sampling": sampling, "prompts_per_round": arguments.requests}
    )
    prompt = read_prompt(placed(experiment.prompts.instances, place), {"instruction"})
    model = load_backbone(arguments.backbone, quantization=settings.quantization)
    return model, load_tokenizer(arguments.backbone), settings, prompt


def untrained(arguments: argparse.Namespace) -> tuple[Any, Any, Instances, Prompt]:
    """Random weights, of which every reply ends at the limit, and a prompt of --prefix tokens."""
    model = random_model(arguments.shape)
    texts = [part for demonstration in DEMONSTRATIONS for part in demonstration]
    tokenizer = word_tokenizer(texts, model.config.vocab_size)
    settings = Instances(
        seed=0,
        prompts_per_round=arguments.requests,
        per_instruction=1,
        engine="transformers",
        quantization="none",
        classification=None,
        sampling=Sampling(
            temperature=0.0,
            top_p=1.0,
            min_p=0.0,
            presence_penalty=0.0,
            max_new_tokens=arguments.tokens or 64,
            stop=(),
        ),
    )
    return model, tokenizer, settings, few_shot(tokenizer, arguments.prefix)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, help="a trained checkpoint's folder")
    parser.add_argument("--experiment", type=Path, default=ROOT / "demo", help="its config.yaml")
    parser.add_argument("--shape", choices=SHAPES, help="a model of random weights")
    parser.add_argument("--prefix", type=int, default=1500, help="tokens of the demonstrations")
    parser.add_argument("--requests", type=int, default=64, help="prompts of the round")
    parser.add_argument("--alone", type=int, help="of these one at a time; an eighth")
    parser.add_argument("--tokens", type=int, help="of a reply: at most, or with --shape always")
    arguments = parser.parse_args()
    if (arguments.backbone is None) == (arguments.shape is None):
        parser.error("either --backbone or --shape")
    model, tokenizer, settings, prompt = (
        trained(arguments) if arguments.backbone else untrained(arguments)
    )
    rows = made_up(arguments.requests)
    alone = arguments.alone or max(1, arguments.requests // 8)
    head = len(encode(tokenizer, prompt.prefix, start=True))
    print(
        f"{arguments.shape or arguments.backbone.name}, {precision()}, {head} tokens before each "
        f"instruction, at most {settings.sampling.max_new_tokens} a reply, {len(rows)} prompts, on "
        f"{place_name()}\n"
    )
    measured = compared(model, tokenizer, settings, prompt, rows, alone)
    stage, kept = as_the_stage(model, tokenizer, settings, prompt, rows)
    show([*measured, stage])
    shares(stage, "keeping the batch, the log and reading replies")
    outside = 1 - (stage.phases["prefix"] + stage.phases["model"]) / stage.seconds
    print(f"\nOutside the model: {outside:.1%}. {kept} instances from {len(rows)} instructions.")


if __name__ == "__main__":
    main()
