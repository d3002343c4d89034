"""Ways to complete prompts that the benchmarks compare, and what measuring them takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.engines import batch, encoded, generation
from refine_af.engines.decoding import Stops
from refine_af.engines.replies import Reply
from refine_af.fetch import files
from refine_af.models.backbones import device, precision
from refine_af.models.encoding import encode
from refine_af.prompts.templates import Prompt, prompt_of
from refine_af.records.instructions import Instruction
from refine_af.settings.fetch import Fetch
from refine_af.settings.sampling import Sampling

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {  # layers, hidden size, MLP size, attention heads, vocabulary
    "llama-2-7b": (32, 4096, 11008, 32, 32000),
    "mistral-7b": (32, 4096, 14336, 32, 32000),
    "110m": (12, 768, 2048, 12, 32000),
    "20m": (6, 384, 1024, 6, 8000),
    "1m": (4, 128, 384, 4, 1000),
    "1m-mistral": (4, 128, 384, 4, 1000),
}
MISTRALS = {"mistral-7b": 8, "1m-mistral": 2}  # by shape, heads of keys and values
DEMONSTRATIONS = [
    (
        "Given a list of cities, sort them by the number of people who live in each.",
        "Lima, Oslo, Tokyo, Graz",
        "Tokyo, Lima, Oslo, Graz",
    ),
    (
        "Rewrite the sentence so that it keeps its meaning and uses no word twice.",
        "The dog saw the cat before the cat saw the dog.",
        "My dog noticed our cat first, and was seen later.",
    ),
    (
        "Say whether the review is positive, negative or neutral, and name the reason.",
        "It came late, but it works better than the one that I had before.",
        "Positive: the late delivery matters less to the buyer than that it works.",
    ),
    (
        "Which tools does a person need who wants to mend a bicycle at home?",
        "",
        "Tyre levers, a pump, a set of hex keys, a spanner for the pedals, oil and a cloth.",
    ),
]

Engine = Callable[[Sequence[str], Sequence[int]], list[Reply]]


@dataclass
class Measured:
    """One way's round: seconds, generated tokens, accepted instructions, seconds by phase."""

    name: str
    seconds: float
    tokens: int
    accepted: int = 0
    items: int = 0
    phases: dict[str, float] = field(default_factory=dict)


def clock() -> float:
    """Seconds: CPU time of this process, or with a GPU, where kernels run on, as they pass."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """The seconds that a call takes, and what it gives."""
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
    """This project's batch, which computes the prefix once and gives free places on."""

    def engine(tails: Sequence[str], seeds: Sequence[int]) -> list[Reply]:
        made = generation.generate(
            model, tokenizer, prefix=prefix, tails=tails, sampling=sampling, seeds=seeds
        )
        return [Reply(row.text, row.finish, row.prompt_tokens, len(row.tokens)) for row in made]

    return engine


@contextmanager
def phases_of_ours(phases: dict[str, float]) -> Iterator[None]:
    """Time what our way does, by phase, while the block runs."""
    with ExitStack() as stack:
        for place, attribute, phase in [
            (generation, "prefilled", "prefix"),
            (batch.Batch, "_forward", "model"),
            (batch, "next_tokens", "drawing"),
            (Stops, "ended", "reading"),
            (encoded, "encode", "tokenising"),
        ]:
            stack.enter_context(
                patch.object(place, attribute, phased(place, attribute, phase, phases))
            )
        yield


def phased(place: Any, attribute: str, phase: str, phases: dict[str, float]) -> Callable[..., Any]:
    """A function that adds the seconds of its calls to a phase."""
    inner = getattr(place, attribute)

    def outer(*arguments: Any, **named: Any) -> Any:
        seconds, result = timed(lambda: inner(*arguments, **named))
        phases[phase] = phases.get(phase, 0.0) + seconds
        return result

    return outer


def shares(row: Measured, remainder: str) -> None:
    """Where the time of our way goes; `remainder` names what no phase covers."""
    rest = row.seconds - sum(row.phases.values())
    parts = {**row.phases, remainder: rest}
    print("\nOurs: " + ", ".join(f"{name} {s / row.seconds:.1%}" for name, s in parts.items()))


def placed(path: str, experiment: Path) -> Path:
    """Where a path of an experiment's config.yaml stands."""
    return (experiment if path.startswith("results/") else ROOT) / path


def random_model(shape: str) -> Any:
    """A Llama, or a Mistral, of random weights on the device; no token ends its replies."""
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    layers, hidden, middle, heads, vocabulary = SHAPES[shape]
    mistral = shape in MISTRALS
    config = (MistralConfig if mistral else LlamaConfig)(
        num_hidden_layers=layers,
        hidden_size=hidden,
        intermediate_size=middle,
        num_attention_heads=heads,
        num_key_value_heads=MISTRALS.get(shape, heads),
        vocab_size=vocabulary,
        max_position_embeddings=4096,
        eos_token_id=None,
    )
    torch.manual_seed(0)
    with torch.device(device()):
        torch.set_default_dtype(precision())
        model = (MistralForCausalLM if mistral else LlamaForCausalLM)(config).eval()
        torch.set_default_dtype(torch.float32)
    return model


def word_tokenizer(texts: Sequence[str], vocabulary: int) -> Any:
    """A BPE that learned the words of texts: about the tokens that a large one gives."""
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
    tokenizer.train_from_iterator([*texts] * 3, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>")


def bandwidth() -> float:
    """Bytes a second that a copy within the model's memory reads and writes, the best of five."""
    count = 2**30 if torch.cuda.is_available() else 2**27
    source = torch.ones(count, dtype=torch.uint8, device=device())
    target = torch.empty_like(source)
    best = min(timed(lambda: target.copy_(source))[0] for _ in range(5))
    return 2 * count / best


def read_in_a_step(model: Any, texts: int, seen: float) -> tuple[float, float]:
    """Bytes of weights, and of keys and values, that a token of so many texts reads at least.

    `seen` is how many tokens stand before it, in the mean.
    """
    config, size = model.config, model.dtype.itemsize
    weights = sum(p.numel() * p.itemsize for p in model.parameters())
    weights -= model.get_input_embeddings().weight.numel() * size
    head = config.hidden_size // config.num_attention_heads
    token = 2 * config.num_hidden_layers * config.num_key_value_heads * head * size
    return weights, texts * seen * token


def place_name() -> str:
    """The name of the GPU, or CPU."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"


def few_shot(tokenizer: Any, tokens: int) -> Prompt:
    """An instance prompt of demonstrations, about `tokens` long."""
    text = "Come up with examples for the following tasks.\n\n"
    number = 0
    while len(encode(tokenizer, text, start=True)) < tokens:
        task, given, answer = DEMONSTRATIONS[number % len(DEMONSTRATIONS)]
        line = f"Input: {given}\n" if given else ""
        text += f"Task: {task}\nExample 1\n{line}Output: {answer}\n\n"
        number += 1
    return Prompt(prefix=f"{text}Task:", rest=" {instruction}\n")


def mirrored_prompt(fetch: Fetch, folder: Path) -> Prompt:
    """Self-Instruct's instance prompt as the fetching stage makes it; `folder` is for its files."""
    wanted = files.instance_prompt(fetch)
    source = files.prompt_source(wanted, fetch, folder)
    return prompt_of(files.prompt_with_slot(source, wanted), {"instruction"}, wanted.key)


def made_up(count: int) -> list[Instruction]:
    """Instructions for the prompts; only their lengths matter."""
    texts = [task for task, _, _ in DEMONSTRATIONS]
    return [
        Instruction(f"i{k:06d}", f"{texts[k % 4]} Case {k}.", 0, 0, [], "", 0.0, "", 0.0, 0, 0)
        for k in range(count)
    ]
