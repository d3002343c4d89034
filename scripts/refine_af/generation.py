"""Text from a causal language model, in batches that share a prompt's prefix."""

from __future__ import annotations

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from refine_af.errors import InputError
from refine_af.models import encode
from refine_af.progress import Progress
from refine_af.settings import Sampling


@dataclass(frozen=True)
class Completion:
    """What the model wrote: `text` ends before the stop string or end of text that ended it.

    `tokens` holds every token drawn, the one that ended the text included. `finish` says what
    ended it: a stop string, the end-of-text token, or `max_new_tokens`.
    """

    text: str
    tokens: tuple[int, ...]
    finish: Literal["stop", "eos", "length"]


def generate(
    model: Any,
    tokenizer: Any,
    *,
    prefix: str,
    tails: Sequence[str],
    sampling: Sampling,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> list[Completion]:
    """One completion of `prefix` + tail for every tail, in order.

    The prefix is computed once; it and each tail are tokenised apart. Row i draws its numbers
    from `seeds[i]` alone, whatever shares its batch; temperature 0 takes the likeliest token.
    A prompt that leaves no room in the model's context is completed with nothing, cut by length;
    InputError where none leaves room.
    """
    head = encode(tokenizer, prefix, start=True)
    rows = [
        _Row(encode(tokenizer, tail, start=False), seed)
        for tail, seed in zip(tails, seeds, strict=True)
    ]
    with_room = _with_room(model, len(head), rows, sampling)
    stops = _Stops(model, tokenizer, sampling.stop)
    with torch.inference_mode():
        cache = _prefill(model, head)
        size = rows_that_fit(model, _longest(len(head), with_room, sampling))
        for start in range(0, len(with_room), size):
            batch = with_room[start : start + size]
            _complete(model, cache, batch, sampling, stops)
            if progress:
                progress.advance(len(batch))
    return [Completion(row.text, tuple(row.tokens), row.finish) for row in rows]


def rows_that_fit(model: Any, length: int) -> int:
    """How many rows of `length` tokens fit in memory beside the model, at most 256.

    Counts keys, values and logits, against the machine's total memory: what else runs now must
    not change the batches, since these change the last bits of a result.
    """
    config = model.config
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    cached = 2 * config.num_hidden_layers * heads * width * model.dtype.itemsize * length
    drawn = 4 * 8 * config.vocab_size  # probabilities, sorted and summed in float64
    if model.device.type == "cuda":
        memory = torch.cuda.get_device_properties(model.device).total_memory
        budget = 0.8 * (memory - model.get_memory_footprint())
    else:
        budget = 0.2 * os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(1, min(256, int(budget / (cached + drawn))))


@dataclass
class _Row:
    tail: list[int]
    seed: int
    tokens: list[int] = field(default_factory=list)
    text: str = ""
    finish: Literal["stop", "eos", "length"] = "length"


class _Stops:
    """Decides where a row ends; looks at a row's text only after a token that can end it."""

    def __init__(self, model: Any, tokenizer: Any, strings: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self.padding: int = tokenizer.pad_token_id
        self._strings = tuple(strings)
        ends = getattr(model.generation_config, "eos_token_id", None)
        self._eos = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends])}
        last = {string[-1] for string in strings}
        # A space may be decoded away and a character may come in byte-sized tokens: then any
        # token can complete a stop string.
        if any(not char.isascii() or char == " " for char in last):
            self._completing = None
        else:
            pieces = tokenizer.batch_decode([[i] for i in range(len(tokenizer))]) if last else []
            self._completing = {i for i, piece in enumerate(pieces) if last & set(piece)}

    def take(self, row: _Row, token: int, limit: int) -> bool:
        """Give `row` its next token; True where the row has ended."""
        row.tokens.append(token)
        if token in self._eos:
            row.finish, row.text = "eos", self._decoded(row)
            return True
        if self._strings and (self._completing is None or token in self._completing):
            text = self._decoded(row)
            found = [place for string in self._strings if (place := text.find(string)) >= 0]
            if found:
                row.finish, row.text = "stop", text[: min(found)]
                return True
        if len(row.tokens) < limit:
            return False
        row.text = self._decoded(row)
        return True

    def _decoded(self, row: _Row) -> str:
        text = self._tokenizer.decode(
            row.tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return str(text)


def _longest(head: int, rows: Sequence[_Row], sampling: Sampling) -> int:
    return head + max((len(row.tail) for row in rows), default=0) + sampling.max_new_tokens


def _with_room(model: Any, head: int, rows: Sequence[_Row], sampling: Sampling) -> list[_Row]:
    """The rows whose prompt and reply the model's context holds, shortest first."""
    if any(not row.tail for row in rows):
        raise InputError("a prompt is empty after its shared prefix: there is nothing to continue")
    room = getattr(model.config, "max_position_embeddings", None)
    ordered = sorted(rows, key=lambda row: len(row.tail))
    fitting = [row for row in ordered if not room or _longest(head, [row], sampling) <= room]
    if rows and not fitting:
        raise InputError(
            f"the shortest prompt has {head + len(ordered[0].tail)} tokens, which with "
            f"max_new_tokens {sampling.max_new_tokens} exceeds the model's context of {room}"
        )
    return fitting


def _prefill(model: Any, head: list[int]) -> Any:
    from transformers import DynamicCache

    cache = DynamicCache(config=model.config)
    if head:
        ids = torch.tensor([head], device=model.device)
        model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
        if cache.get_seq_length() != len(head):
            raise RuntimeError("the model did not fill the prefix cache")
    return cache


def _complete(
    model: Any, prefix: Any, rows: Sequence[_Row], sampling: Sampling, stops: _Stops
) -> None:
    """Draw tokens for all rows, laid out as [prefix][padding][tail], until each has ended."""
    head = prefix.get_seq_length()
    cache = copy.deepcopy(prefix)
    if head:
        cache.batch_repeat_interleave(len(rows))
    ids, mask = _padded(rows, head, stops.padding, model.device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)[:, head:]
    uniforms = _uniforms(rows, sampling).to(model.device)
    seen = torch.zeros(len(rows), model.config.vocab_size, dtype=torch.bool, device=model.device)
    active = list(rows)
    while active:
        logits = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits[:, -1]
        drawn = len(active[0].tokens)
        ids = next_tokens(logits, seen, uniforms[:, drawn], sampling)
        seen.scatter_(1, ids, True)
        going = [
            index
            for index, (row, token) in enumerate(zip(active, ids[:, 0].tolist(), strict=True))
            if not stops.take(row, token, sampling.max_new_tokens)
        ]
        mask = torch.nn.functional.pad(mask, (0, 1), value=1)
        positions = positions[:, -1:] + 1
        if len(going) < len(active):
            keep = torch.tensor(going, dtype=torch.long, device=model.device)
            active = [active[index] for index in going]
            ids, mask, positions = ids[keep], mask[keep], positions[keep]
            uniforms, seen = uniforms[keep], seen[keep]
            if active:
                cache.batch_select_indices(keep)


def next_tokens(
    logits: torch.Tensor, seen: torch.Tensor, uniforms: torch.Tensor, sampling: Sampling
) -> torch.Tensor:
    """The next token of each row, (rows, 1), from logits (rows, vocabulary).

    The presence penalty lowers the logits of tokens the row has `seen`; then temperature and
    nucleus (arXiv 1904.09751); the row's uniform number in [0, 1) picks by the cumulated
    probabilities, likeliest first.
    """
    if not bool(logits.isfinite().all()):
        raise InputError("the model's logits are not finite: its weights are broken")
    scores = logits.double() - sampling.presence_penalty * seen
    if sampling.temperature == 0:
        return scores.argmax(-1, keepdim=True)
    likeliest, tokens = (scores / sampling.temperature).softmax(-1).sort(-1, descending=True)
    below = likeliest.cumsum(-1) - likeliest
    likeliest = likeliest.masked_fill(below >= sampling.top_p, 0.0)
    cumulated = likeliest.cumsum(-1)
    target = uniforms[:, None] * cumulated[:, -1:]
    picked = torch.searchsorted(cumulated, target, right=True)
    last = (likeliest > 0).sum(-1, keepdim=True) - 1
    return tokens.gather(-1, torch.minimum(picked, last))


def _padded(
    rows: Sequence[_Row], head: int, padding: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(len(row.tail) for row in rows)
    gaps = [width - len(row.tail) for row in rows]
    ids = [[padding] * gap + row.tail for row, gap in zip(rows, gaps, strict=True)]
    mask = [[1] * head + [0] * gap + [1] * (width - gap) for gap in gaps]
    return torch.tensor(ids, device=device), torch.tensor(mask, device=device)


def _uniforms(rows: Sequence[_Row], sampling: Sampling) -> torch.Tensor:
    drawn = [
        np.random.Generator(np.random.Philox(row.seed)).random(sampling.max_new_tokens)
        for row in rows
    ]
    return torch.from_numpy(np.stack(drawn))
