"""The demo's language models: a tiny Llama or Mistral, trained from scratch on the corpus."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any

import torch
from torch.nn import functional

from refine_af.demo.corpus import (
    copying_document,
    draw_example,
    draw_task,
    example_text,
    examples_document,
    list_document,
)
from refine_af.demo.families import FAMILIES, HELD_OUT
from refine_af.demo.training import train
from refine_af.randomness import derived_seed
from refine_af.settings.demo import TinyBackbone

LISTS = 0.12  # share of documents that are lists of tasks
LIST_ITEMS = 12
COPYING, COPYING_LATER = 0.5, 0.05  # shares of copying documents, early and later
EARLY = 0.2  # share of the tokens that count as early
SPOILT = 0.35  # share of bad outputs: what reinforcement learning has to mend
OTHER_WEIGHT = 0.15  # the loss of what is neither an output nor a copy, which counts 1
ANSWERS = re.compile(r"(?:Output|Again):[^\n]*\n")
POSITIONS = 1024
ROPE_THETA = 500.0  # with the usual 10,000, many frequencies hardly turn within such short texts


def new_backbone(settings: TinyBackbone, tokenizer: Any) -> Any:
    """An untrained model of the architecture, with the tokenizer's special tokens."""
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": settings.hidden_size,
        "intermediate_size": settings.intermediate_size,
        "num_hidden_layers": settings.layers,
        "num_attention_heads": settings.heads,
        "num_key_value_heads": settings.key_value_heads,
        "max_position_embeddings": POSITIONS,
        "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_THETA},
        "tie_word_embeddings": True,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    if settings.architecture == "llama":
        model = LlamaForCausalLM(LlamaConfig(**shape))
    else:
        model = MistralForCausalLM(MistralConfig(**shape, sliding_window=None))
    for name, parameter in model.named_parameters():
        if parameter.dim() == 2:
            torch.nn.init.normal_(parameter, 0.0, 0.05 if "embed" in name else 0.02)
    return model


def train_backbone(
    settings: TinyBackbone, tokenizer: Any, *, seed: int, name: str, context: int
) -> Any:
    """The trained model called `name`."""
    torch.set_num_threads(1)  # sums in one order: the same weights on every run
    torch.manual_seed(derived_seed(seed, "backbone", name))
    random = Random(derived_seed(seed, "pretraining"))
    rows, batch = settings.steps * settings.batch_size, settings.batch_size
    tokens, weights = packed_documents(random, tokenizer, rows, context)
    model = new_backbone(settings, tokenizer)

    def loss_of(step: int) -> torch.Tensor:
        chosen = slice(step * batch, (step + 1) * batch)
        logits = model(input_ids=tokens[chosen], use_cache=False).logits[:, :-1]
        weight = weights[chosen, 1:].flatten()
        losses = functional.cross_entropy(
            logits.flatten(0, 1), tokens[chosen, 1:].flatten(), reduction="none"
        )
        return (losses * weight).sum() / weight.sum()

    train(model, loss_of, steps=settings.steps, learning_rate=settings.learning_rate)
    return model


def packed_documents(
    random: Random, tokenizer: Any, rows: int, context: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Documents end to end, cut into rows: token ids and loss weights.

    Both are (rows, context), int64 and float32.
    """
    wanted = rows * context
    ids: list[int] = []
    weights: list[float] = []
    while len(ids) < wanted:
        early = len(ids) < EARLY * wanted
        texts = [_document(random, early=early) for _ in range(64)]
        for text, encoding in zip(texts, _encodings(tokenizer, texts), strict=True):
            ids += [tokenizer.bos_token_id, *encoding.ids, tokenizer.eos_token_id]
            weights += [OTHER_WEIGHT, *_loss_weights(text, encoding.offsets), OTHER_WEIGHT]
    shape = (rows, context)
    return (
        torch.tensor(ids[:wanted]).view(shape),
        torch.tensor(weights[:wanted]).view(shape),
    )


def exact_share(model: Any, tokenizer: Any, *, seed: int, held_out: bool, tasks: int) -> float:
    """The share of few-shot tasks that greedy decoding answers exactly right.

    Greedy decoding gives an output exactly where the likeliest token is the right one at each of
    its places, so that one pass over the right text tells.
    """
    random = Random(derived_seed(seed, "quality", int(held_out)))
    families = [f for f in FAMILIES.values() if (f.name in HELD_OUT) is held_out]
    right = 0
    for _ in range(tasks):
        example = draw_example(random, draw_task(random, families))
        shown = examples_document(random, 3, 0.0) + f"Task: {example.task.instruction}\n"
        text = shown + example_text(example, 1, plain=False)
        start = len(text) - len(f" {example.output}\n")
        (encoding,) = _encodings(tokenizer, [text])
        first = next(i for i, (begin, _) in enumerate(encoding.offsets) if begin >= start)
        ids = torch.tensor([[tokenizer.bos_token_id, *encoding.ids]])
        with torch.inference_mode():
            likeliest = model(input_ids=ids).logits[0, :-1].argmax(-1)
        right += bool((likeliest[first:] == ids[0, 1 + first :]).all())
    return right / tasks


def _document(random: Random, *, early: bool) -> str:
    if random.random() < (COPYING if early else COPYING_LATER):
        return copying_document(random)
    if random.random() < LISTS:
        return list_document(random, LIST_ITEMS)
    return examples_document(random, random.choice([3, 4]), SPOILT)


def _encodings(tokenizer: Any, texts: list[str]) -> list[Any]:
    found: list[Any] = tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
    return found


def _loss_weights(text: str, offsets: list[tuple[int, int]]) -> Iterator[float]:
    weights = [OTHER_WEIGHT] * len(text)
    for answer in ANSWERS.finditer(text):
        weights[answer.start() : answer.end()] = [1.0] * (answer.end() - answer.start())
    return (weights[begin] for begin, _ in offsets)
