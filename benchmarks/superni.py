"""Super-NI's predictions, ways beside each other in one run: greedy, and the same texts.

One prompt at a time as transformers' generate answers it, padded batches, each task by itself with
its definition computed once, and as the stage does it: rounds of whole tasks side by side, every
reply in its log. With --backbone a trained model answers its experiment's instances; with --shape a
model of random weights, whose replies all have --tokens tokens. Prints Markdown; ends with an error
where, on a CPU, a reply differs from that of one prompt at a time.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
import yaml
from ways import (
    ROOT,
    SHAPES,
    Measured,
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

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.engines.greedy import greedy, greedy_replies
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Group, Reply
from refine_af.jobs.progress import Progress
from refine_af.metrics.scores import read_instances
from refine_af.models.backbones import load_backbone, load_tokenizer, precision
from refine_af.prompts.templates import read_prompt
from refine_af.records.evaluation import EvaluationInstance
from refine_af.settings.sampling import Sampling
from refine_af.settings.superni import Superni
from refine_af.superni.zero_shot import rounds_of, task_prompts
from refine_af.workflow.configuration import read_experiment

OFFICIAL = 11_810  # instances of the whole test set
TEXT = "the river runs past a small town where people sell apples and old books all day"


def made_up(tasks: int, each: int) -> list[EvaluationInstance]:
    """Tasks as long as Super-NI's, in the mean: 60 words of definition, 55 of input."""

    known = TEXT.split()

    def words(start: int, count: int) -> str:
        return " ".join(known[(start + 7 * k * k + k) % len(known)] for k in range(count))

    return [
        EvaluationInstance(
            f"{task}-{n}", f"t{task}", "c", words(task, 60), words(n, 10 + 90 * n // each), ["x"]
        )
        for task in range(tasks)
        for n in range(each)
    ]


def as_the_stage(
    model: Any, tokenizer: Any, rounds: Sequence[Sequence[Group]], sampling: Sampling
) -> tuple[Measured, list[Reply]]:
    """The rounds as the stage writes them, with its log."""
    phases: dict[str, float] = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        phases_of_ours(phases),
        redirect_stdout(StringIO()),
    ):
        engine = LocalEngine(lambda: (model, tokenizer), sampling)
        log, shown = Path(folder, "replies.jsonl"), Progress(1, "replies")
        seconds, replies = timed(lambda: greedy_replies(rounds, log, engine, shown))
    tokens = sum(reply.tokens for reply in replies)
    return Measured("ours: the stage, tasks side by side", seconds, tokens, phases=phases), replies


def compared(
    model: Any, tokenizer: Any, rounds: Sequence[Sequence[Group]], sampling: Sampling, alone: int
) -> tuple[list[tuple[Measured, int]], float]:
    """Every way with how many prompts it answered, and the share that answers alike alone."""
    groups = [group for groups in rounds for group in groups]
    whole = [group.prefix + tail for group in groups for tail in group.tails]
    step = max(1, len(whole) // alone)
    chosen = range(0, step * alone, step)
    single = one_at_a_time(model, tokenizer, "", sampling, stops=bool(sampling.stop))
    batches = padded(model, tokenizer, "", sampling, 32, stops=bool(sampling.stop))

    def task_by_task() -> list[Reply]:
        return [
            reply
            for group in groups
            for reply in ours(model, tokenizer, group.prefix, sampling)(
                group.tails, [0] * len(group.tails)
            )
        ]

    ways: dict[str, tuple[int, Callable[[], list[Reply]]]] = {
        f"one at a time ({alone} of the prompts)": (
            alone,
            lambda: single([whole[place] for place in chosen], [0] * alone),
        ),
        "padded batches of 32": (len(whole), lambda: batches(whole, [0] * len(whole))),
        "ours, task by task": (len(whole), task_by_task),
    }
    single(whole[:1], [0])  # the first call pays for loading
    measured, replies = [], []
    for name, (count, work) in ways.items():
        seconds, made = timed(work)
        measured.append((Measured(name, seconds, sum(reply.tokens for reply in made)), count))
        replies.append(made)
    stage, written = as_the_stage(model, tokenizer, rounds, sampling)
    measured.append((stage, len(whole)))
    same = [
        written[place].text == reply.text for place, reply in zip(chosen, replies[0], strict=True)
    ]
    return measured, sum(same) / len(same)


def show(rows: Sequence[tuple[Measured, int]]) -> None:
    """Print a row a way, with how many instances it answered."""
    print("| way | s | instances | instances/s | tokens/s | ratio |\n|---|---|---|---|---|---|")
    first = rows[0][1] / rows[0][0].seconds
    for row, count in rows:
        rate = count / row.seconds
        speed = f"{rate:,.2f} | {row.tokens / row.seconds:,.0f} | {rate / first:.1f}"
        print(f"| {row.name} | {row.seconds:.2f} | {count:,} | {speed} |")


def trained(
    arguments: argparse.Namespace,
) -> tuple[Any, Any, Superni, list[EvaluationInstance], Path]:
    """A trained model under the settings, the prompt and the instances of its experiment."""
    place = arguments.experiment
    experiment = read_experiment(yaml.safe_load((place / "config.yaml").read_text()))
    settings = experiment.superni
    rows = read_instances(arguments.instances or place / "results" / "superni_instances.jsonl")
    model = load_backbone(arguments.backbone, quantization=settings.quantization)
    prompt = placed(experiment.prompts.superni, place)
    return model, load_tokenizer(arguments.backbone), settings, rows, prompt


def untrained(
    arguments: argparse.Namespace,
) -> tuple[Any, Any, Superni, list[EvaluationInstance], Path]:
    """Random weights, of which every reply ends at the limit."""
    model = random_model(arguments.shape)
    given = arguments.instances
    rows = read_instances(given) if given else made_up(arguments.tasks, arguments.each)
    texts = [part for row in rows for part in (row.definition, row.input)]
    tokenizer = word_tokenizer(texts, model.config.vocab_size)
    paper = yaml.safe_load((ROOT / "config.yaml").read_text())
    settings = Superni.model_validate(paper["superni"] | {"quantization": "none"})
    return model, tokenizer, settings, rows, ROOT / paper["prompts"]["superni"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", type=Path, help="a trained checkpoint's folder")
    parser.add_argument("--experiment", type=Path, default=ROOT / "demo", help="its config.yaml")
    parser.add_argument("--instances", type=Path, help="in the form of superni_instances.jsonl")
    parser.add_argument("--shape", choices=SHAPES, help="a model of random weights")
    parser.add_argument("--tasks", type=int, default=4, help="made up, with --shape")
    parser.add_argument("--each", type=int, default=16, help="instances of a task made up")
    parser.add_argument("--alone", type=int, help="of these one at a time; an eighth")
    parser.add_argument("--tokens", type=int, help="of a reply: at most, or with --shape always")
    parser.add_argument("--requests", type=int, help="prompts a round, instead of the settings'")
    arguments = parser.parse_args()
    if (arguments.backbone is None) == (arguments.shape is None):
        parser.error("either --backbone or --shape")
    model, tokenizer, settings, rows, prompt = (
        trained(arguments) if arguments.backbone else untrained(arguments)
    )
    sampling = greedy(arguments.tokens or settings.max_new_tokens, ())
    template = read_prompt(prompt, {"definition", "input"})
    tasks = list(task_prompts(rows, template, settings, tokenizer))
    rounds = [
        [task.group for task in made]
        for made in rounds_of(tasks, arguments.requests or settings.prompts_per_round)
    ]
    alone = arguments.alone or max(1, len(rows) // 8)
    print(
        f"{arguments.shape or arguments.backbone.name}, {precision()}, {len(rows)} instances of "
        f"{len(tasks)} tasks, at most {sampling.max_new_tokens} tokens a reply, on {place_name()}\n"
    )
    measured, same = compared(model, tokenizer, rounds, sampling, alone)
    show(measured)
    stage, count = measured[-1]
    shares(stage, "keeping the batch and the log")
    left = OFFICIAL * stage.seconds / count
    print(f"\nThe {OFFICIAL:,} official instances at this rate: {left / 60:,.1f} min")
    print(f"Of the replies of one prompt at a time {same:.1%} are those of the stage")
    if same < 1 and not torch.cuda.is_available():
        sys.exit("error: greedy replies differ")


if __name__ == "__main__":
    main()
