"""Stage 1's writing, three ways in one run: one prompt at a time, padded batches, and ours.

With --backbone a trained model answers one round of prompts under the experiment's own settings.
With --shape a model of random weights, whose replies all have --tokens tokens, shows what the
machine does with it. Prints Markdown.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af import batch, generation
from refine_af.experiment import read_experiment
from refine_af.instructions import bootstrap_round
from refine_af.models import device, encode, load_backbone, load_tokenizer, precision
from refine_af.pool import Pool
from refine_af.prompts import Prompt, read_prompt
from refine_af.records import Seed, read_seeds
from refine_af.replies import Reply
from refine_af.settings import Instructions, Sampling

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {  # layers, hidden size, MLP size, attention heads, vocabulary
    "llama-2-7b": (32, 4096, 11008, 32, 32000),
    "110m": (12, 768, 2048, 12, 32000),
    "20m": (6, 384, 1024, 6, 8000),
}
YIELDS = (0.3, 0.4, 0.5)  # accepted share of the items, for a projection
WANTED = 15_000

Engine = Callable[[Sequence[str], Sequence[int]], list[Reply]]


@dataclass
class Measured:
    """One way's round: seconds, generated tokens, accepted instructions, seconds by phase."""

    name: str
    seconds: float
    tokens: int
    accepted: int | None = None
    items: int | None = None
    phases: dict[str, float] = field(default_factory=dict)


def clock() -> float:
    """Seconds: of the process on a CPU, where others may run beside it, and else as they pass."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = clock()
    result = work()
    return clock() - start, result


def one_at_a_time(
    model: Any, tokenizer: Any, prefix: str, sampling: Sampling, stops: bool
) -> Engine:
    """transformers' generate on a batch of one, which ends at the end of text or the limit."""

    def engine(tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        by_itself = padded(model, tokenizer, prefix, sampling, 1, stops=stops)
        return [
            reply
            for tail, seed in zip(tails, seeds, strict=True)
            for reply in by_itself([tail], [seed])
        ]

    return engine


def padded(
    model: Any, tokenizer: Any, prefix: str, sampling: Sampling, size: int, *, stops: bool = True
) -> Engine:
    """transformers' generate on padded batches, each until its longest text has ended."""
    drawing = {
        "do_sample": sampling.temperature > 0,
        "temperature": sampling.temperature or 1.0,
        "top_p": sampling.top_p,
        "top_k": 0,
        "max_new_tokens": sampling.max_new_tokens,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if stops and sampling.stop:
        drawing |= {"stop_strings": list(sampling.stop), "tokenizer": tokenizer}

    def engine(tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        torch.manual_seed(seeds[0] % 2**31)
        rows = [encode(tokenizer, prefix + tail, start=True) for tail in tails]
        replies: dict[int, Reply] = {}
        order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
        for start in range(0, len(rows), size):
            places = order[start : start + size]
            width = max(len(rows[place]) for place in places)
            gaps = [width - len(rows[place]) for place in places]
            ids = [
                [tokenizer.pad_token_id] * gap + rows[place]
                for gap, place in zip(gaps, places, strict=True)
            ]
            mask = [[0] * gap + [1] * (width - gap) for gap in gaps]
            made = model.generate(
                input_ids=torch.tensor(ids, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
                **drawing,
            )[:, width:]
            for place, written in zip(places, made.tolist(), strict=True):
                replies[place] = read(tokenizer, written, sampling, len(rows[place]), stops)
        return [replies[place] for place in range(len(rows))]

    return engine


def read(tokenizer: Any, written: list[int], sampling: Sampling, prompt: int, stops: bool) -> Reply:
    """A reply from its padded tokens; what it generated counts, also beyond a stop string."""
    if tokenizer.eos_token_id in written:
        written = written[: written.index(tokenizer.eos_token_id) + 1]
    text = tokenizer.decode(written, skip_special_tokens=True)
    cuts = [place for stop in sampling.stop if (place := text.find(stop)) >= 0]
    ended = bool(cuts) or tokenizer.eos_token_id in written
    text = text[: min(cuts)] if cuts else text
    return Reply(text, "stop" if ended else "length", prompt, len(written))


def ours(model: Any, tokenizer: Any, prefix: str, sampling: Sampling) -> Engine:
    def engine(tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        made = generation.generate(
            model, tokenizer, prefix=prefix, tails=tails, sampling=sampling, seeds=seeds
        )
        return [Reply(row.text, row.finish, row.prompt_tokens, len(row.tokens)) for row in made]

    return engine


class Answering:
    """Stands where stage 1 keeps its log: gives the replies of an engine, and times them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.seconds = 0.0

    def replies(self, _: int, tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        self.seconds, replies = timed(lambda: self._engine(tails, seeds))
        return replies


def one_round(
    name: str, engine: Engine, settings: Instructions, seeds: Sequence[Seed], prompt: Prompt
) -> Measured:
    """The first round of stage 1: the same prompts for every way."""
    pool, answering = Pool(settings, seeds, []), Answering(engine)
    phases: dict[str, float] = {}
    with ExitStack() as stack:
        for place, attribute, phase in [
            (batch.Batch, "_forward", "model"),
            (batch, "next_tokens", "drawing"),
            (batch.Stops, "ended", "reading"),
            (generation, "encode", "tokenising"),
        ]:
            stack.enter_context(
                patch.object(place, attribute, phased(place, attribute, phase, phases))
            )
        seconds, (made, _) = timed(lambda: bootstrap_round(settings, pool, 0, prompt, answering))
    phases["filter and parsing"] = seconds - answering.seconds
    return Measured(name, seconds, made.tokens, made.accepted, made.parsed, phases)


def phased(place: Any, attribute: str, phase: str, phases: dict[str, float]) -> Callable[..., Any]:
    """A function that adds the seconds of its calls to a phase."""
    inner = getattr(place, attribute)

    def outer(*arguments: Any, **named: Any) -> Any:
        seconds, result = timed(lambda: inner(*arguments, **named))
        phases[phase] = phases.get(phase, 0.0) + seconds
        return result

    return outer


def trained(arguments: argparse.Namespace) -> None:
    """Three ways on a trained model, with what the filter lets in."""
    experiment = read_experiment(yaml.safe_load((arguments.experiment / "config.yaml").read_text()))
    settings = experiment.instructions
    limit = arguments.tokens or settings.sampling.max_new_tokens
    sampling = settings.sampling.model_copy(update={"max_new_tokens": limit})
    round_of = {"requests": arguments.requests, "sampling": sampling}
    settings = settings.model_copy(update=round_of)
    seeds = read_seeds(placed(experiment.data.seeds, arguments.experiment))
    prompt = read_prompt(placed(experiment.prompts.instructions, arguments.experiment), {"tasks"})
    model = load_backbone(arguments.backbone, quantization=settings.quantization)
    tokenizer = load_tokenizer(arguments.backbone)
    decoding, prefix = settings.decoding, prompt.prefix
    size = min(arguments.requests, 256)
    ways = {
        "one at a time, no stop at the list's end": one_at_a_time(
            model, tokenizer, prefix, decoding, stops=False
        ),
        f"padded batches of {size}": padded(model, tokenizer, prefix, decoding, size),
        "ours": ours(model, tokenizer, prefix, decoding),
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
    shares(rows[-1])


def shares(row: Measured) -> None:
    """Where the time of our way goes."""
    rest = row.seconds - sum(row.phases.values())
    parts = {**row.phases, "keeping the batch": rest}
    print("\nOurs: " + ", ".join(f"{name} {s / row.seconds:.1%}" for name, s in parts.items()))


def placed(path: str, experiment: Path) -> Path:
    return (experiment if path.startswith("results/") else ROOT) / path


def random_model(shape: str) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    layers, hidden, middle, heads, vocabulary = SHAPES[shape]
    config = LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=middle,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=vocabulary,
        max_position_embeddings=4096,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(device()):
        torch.set_default_dtype(precision())
        model = LlamaForCausalLM(config).eval()
        torch.set_default_dtype(torch.float32)
    return model


def word_tokenizer(prompt: Prompt, vocabulary: int) -> Any:
    """A BPE that learned the prompt's words: about the tokens that a large one gives."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=min(4000, vocabulary),
        special_tokens=["<pad>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([prompt.prefix, *DEMONSTRATIONS] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")


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


def bandwidth() -> float:
    """Bytes a second that a copy within the model's memory reads and writes, the best of five."""
    count = 2**30 if torch.cuda.is_available() else 2**27
    source = torch.ones(count, dtype=torch.uint8, device=device())
    target = torch.empty_like(source)
    best = min(timed(lambda: target.copy_(source))[0] for _ in range(5))
    return 2 * count / best


def untrained(arguments: argparse.Namespace) -> None:
    """Decoding speed on random weights; a reply ends at the limit and nowhere else."""
    prompt = read_prompt(ROOT / "resources" / "prompts" / "instructions.txt", {"tasks"})
    model = random_model(arguments.shape)
    tokenizer = word_tokenizer(prompt, model.config.vocab_size)
    sampling = Sampling(
        temperature=0.7,
        top_p=0.5,
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


def place_name() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def roofline(
    model: Any, row: Measured, prompt: int, size: int, arguments: argparse.Namespace
) -> None:
    """What reading weights and keys once a step would take, and the projected stage."""
    config = model.config
    weights = sum(p.numel() * p.itemsize for p in model.parameters())
    weights -= model.get_input_embeddings().weight.numel() * model.dtype.itemsize
    token = 2 * config.num_hidden_layers * config.hidden_size * model.dtype.itemsize
    seen = prompt + arguments.tokens / 2
    step = (weights + size * seen * token) / bandwidth()
    rate = row.tokens / row.seconds
    print(
        f"\nA step of {size} texts reads {weights / 1e9:.1f} GB of weights and "
        f"{size * seen * token / 1e9:.1f} GB of keys and values: at the measured "
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
