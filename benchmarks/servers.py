"""What completes the stages' prompts, in one run: transformers' generate, our engine, and a server.

The same prompts of stage 1, stage 3 and Super-NI: one at a time by `generate`, on a part of them;
by our engine and by vLLM as the stages ask them, every reply in a log. vLLM is the one that
examples/own-server starts, by the code that a job starts it with; --vllm, or REFINE_AF_VLLM, names
the environment that has it (`make vllm`). Seconds are CPU seconds of this process and of the
server's, without its start. Ends with an error where a greedy reply of our engine is not that of
`generate`. Prints Markdown.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import torch
from ways import (
    ROOT,
    Measured,
    one_at_a_time,
    phases_of_ours,
    place_name,
    random_model,
    shares,
    word_tokenizer,
)
from works import Source, Work, made_up_source, mirrored, works_of

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.engines.form import form_of
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Engine, Group, Reply
from refine_af.engines.rounds import Rounds
from refine_af.engines.server import ServerEngine
from refine_af.jobs.serving import ToServe, serving
from refine_af.models.backbones import load_backbone, load_tokenizer, precision
from refine_af.settings.experiment import Experiment
from refine_af.settings.sampling import Sampling
from refine_af.workflow.configuration import read_configuration, read_experiment

NAMES = ("REFINE_AF_MODEL", "REFINE_AF_MIRROR", "REFINE_AF_VLLM")
MODEL, MIRROR, VLLM = (Path(os.environ.get(name) or "/none") for name in NAMES)
WARM = [Group("", ["Once upon a time"])]


@dataclass(frozen=True)
class Done:
    """One way's replies to a work, by the prompt's place, with its seconds as they passed."""

    measured: Measured
    wall_s: float
    replies: dict[int, Reply]


def spent() -> float:
    """CPU seconds of this process so far, and of all that run below it."""
    below = [each.cpu_times() for each in psutil.Process().children(recursive=True)]
    theirs: float = sum(each.user + each.system for each in below)
    return time.process_time() + theirs


def done(name: str, write: Callable[[], dict[int, Reply]]) -> Done:
    wall, cpu, phases = time.perf_counter(), spent(), dict[str, float]()
    with phases_of_ours(phases):
        replies = write()
    cpu, wall = spent() - cpu, time.perf_counter() - wall
    tokens = sum(reply.tokens for reply in replies.values())
    print(f"{name}: {tokens} tokens, {cpu:.1f} CPU s, {wall:.1f} s", file=sys.stderr, flush=True)
    return Done(Measured(name, cpu, tokens, phases=phases), wall, replies)


def as_the_stage(name: str, engine: Engine, work: Work) -> Done:
    """The round as a stage has it written, with its log."""

    def write() -> dict[int, Reply]:
        with (
            tempfile.TemporaryDirectory() as folder,
            closing(Rounds(Path(folder, "replies.jsonl"), engine)) as log,
        ):
            written = log.written(0, work.groups, work.seeds, lambda _: None)
        return dict(enumerate(written.replies))

    return done(name, write)


def alone(model: Any, tokenizer: Any, work: Work, count: int) -> Done:
    """Some of the prompts by `generate`, one at a time, as far apart as they can be."""
    step = max(1, len(work.seeds) // count)
    places = range(0, step * count, step)
    stops = bool(work.sampling.stop)
    engine = one_at_a_time(model, tokenizer, "", work.sampling, stops=stops)
    return done(
        "generate, one at a time",
        lambda: dict(
            zip(
                places,
                engine([work.prompts[k] for k in places], [work.seeds[k] for k in places]),
                strict=True,
            )
        ),
    )


def in_this_process(
    model: Any, tokenizer: Any, works: Sequence[Work], few: int
) -> list[list[Done]]:
    """Each work by `generate`, on a `few` of its prompts, and by our engine."""
    found = []
    for work in works:
        ours = LocalEngine(lambda: (model, tokenizer), work.sampling)
        dict(ours(WARM, [0]))
        found.append([alone(model, tokenizer, work, few), as_the_stage("ours", ours, work)])
    return found


@contextmanager
def vllm(backbone: Path, folder: Path, log: Path) -> Iterator[Callable[[Sampling], Engine]]:
    """The server of examples/own-server on a checkpoint, ready, as an engine of any sampling."""
    example = ROOT / "examples" / "own-server" / "config.yaml"
    (server,) = read_experiment(read_configuration(example)).servers.values()
    assert server.start is not None
    start = server.start.model_copy(update={"environment": str(folder.absolute())})
    with serving(server.model_copy(update={"start": start}), ToServe(backbone, {}, 0), log) as at:
        form = form_of(backbone, chat=False, end_of_text=True)
        yield lambda sampling: ServerEngine(at, server, lambda: form, sampling)


def by_the_server(backbone: Path, folder: Path, works: Sequence[Work]) -> list[Done]:
    with (
        tempfile.TemporaryDirectory() as place,
        vllm(backbone, folder, Path(place, "server.log")) as engine,
    ):
        dict(engine(works[0].sampling)(WARM, [0]))
        return [as_the_stage("vLLM", engine(work.sampling), work) for work in works]


def show(works: Sequence[Work], found: Sequence[Sequence[Done]]) -> bool:
    """Print a row a way, and where our engine's time goes; whether it said what `generate` did."""
    print("| stage | way | prompts | tokens | CPU s | s | tokens a CPU s | as ours |")
    print("|---|---|---|---|---|---|---|---|")
    agreed = True
    for work, ways in zip(works, found, strict=True):
        ours = ways[1]
        for way in ways:
            row, alike = way.measured, ""
            speed = f"{row.seconds:.1f} | {way.wall_s:.1f} | {row.tokens / row.seconds:,.0f}"
            if work.sampling.temperature == 0 and way is not ours:
                same = [way.replies[k].text == ours.replies[k].text for k in way.replies]
                alike = f"{sum(same)} of {len(same)}"
                agreed &= all(same) or way is not ways[0]
            print(
                f"| {work.name} | {row.name} | {len(way.replies)} | {row.tokens:,} | "
                f"{speed} | {alike} |"
            )
    for work, ways in zip(works, found, strict=True):
        print(f"\n{work.name}:", end="")
        shares(ways[1].measured, "the rest")
    return agreed


def quick(experiment: Experiment, prompts: int) -> tuple[Any, Any, Source]:
    """A model of random weights with made-up prompts, for the test."""
    model = random_model("1m")
    text = (ROOT / experiment.prompts.instructions).read_text()
    tokenizer = word_tokenizer([text], model.config.vocab_size)
    return model, tokenizer, made_up_source(tokenizer, prompts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=32, help="of a stage")
    parser.add_argument("--tokens", type=int, default=128, help="of a reply; stage 3 half of them")
    parser.add_argument("--alone", type=int, default=2, help="prompts that generate answers")
    parser.add_argument("--threads", type=int, default=2, help="of each engine")
    parser.add_argument("--vllm", type=Path, default=VLLM, help="the environment that has it")
    parser.add_argument("--quick", action="store_true", help="random weights, no server")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)  # the server's
    torch.set_num_threads(arguments.threads)
    experiment = read_experiment(read_configuration(ROOT / "config.yaml"))
    if not arguments.quick and not (MODEL.is_dir() and MIRROR.is_dir()):
        parser.error("REFINE_AF_MODEL and REFINE_AF_MIRROR must name folders, or say --quick")
    if arguments.quick:
        model, tokenizer, source = quick(experiment, arguments.prompts)
    else:
        model = load_backbone(MODEL, quantization="none", adapter=None)
        tokenizer, source = load_tokenizer(MODEL), mirrored(experiment, MIRROR, arguments.prompts)
    works = works_of(experiment, source, tokenizer, arguments.prompts, arguments.tokens)
    found = in_this_process(model, tokenizer, works, arguments.alone)
    kind = f"{'random weights' if arguments.quick else MODEL.name}, {precision()}"
    del model  # its memory is the server's now
    if not arguments.quick and arguments.vllm.is_dir():
        answered = by_the_server(MODEL, arguments.vllm, works)
        found = [[*ways, way] for ways, way in zip(found, answered, strict=True)]
    else:
        print("**Skipped: vLLM.** --vllm names no environment that has it (make vllm)\n")
    print(f"{kind}, {arguments.threads} threads, on {place_name()}\n")
    if not show(works, found):
        sys.exit("error: a greedy reply of ours is not that of generate")


if __name__ == "__main__":
    main()
