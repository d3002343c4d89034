"""Text from a causal language model: many prompts at once, of which some share a prefix.

A finished text's place in the batch goes to the next prompt, so that one long text does not hold
up the others.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from refine_af.engines.batch import Batch, Prefix, PromptRow, Prompts
from refine_af.engines.decoding import Stops
from refine_af.engines.encoded import TokenPrompt, encoded, with_room
from refine_af.engines.replies import Finish, Group
from refine_af.engines.room import SHARED_TEXTS, SHARED_TOKENS, row_bytes, rows_in
from refine_af.engines.shared_prefix import can_share
from refine_af.errors import InputError
from refine_af.jobs.progress import Progress
from refine_af.models.chat import Chat
from refine_af.models.device_faults import free_cached, gpu_faults, out_of_memory
from refine_af.models.shapes import (
    architecture,
    check_length,
    room_of,
    text_config,
    window_of,
)
from refine_af.settings.sampling import Sampling


@dataclass(frozen=True)
class Completion:
    """What the model wrote: `text` ends before the stop string or end of text that ended it.

    `tokens` holds every token drawn, the one that ended the text included. `finish` says what
    ended it: a stop string, the end-of-text token, `max_new_tokens`, or the prompt's ending.
    """

    text: str
    tokens: tuple[int, ...]
    finish: Finish
    prompt_tokens: int


def generate(
    model: Any,
    tokenizer: Any,
    *,
    prefix: str,
    tails: Sequence[str],
    sampling: Sampling,
    seeds: Sequence[int],
    chat: Chat | None = None,
    progress: Progress | None = None,
    begun: Any = None,
) -> list[Completion]:
    """One completion of `prefix` + tail for every tail, in order, as `completions` gives them."""
    found: dict[int, Completion] = {}
    for place, completion in completions(
        model,
        tokenizer,
        [Group(prefix, tails)],
        sampling=sampling,
        seeds=seeds,
        chat=chat,
        begun=begun,
    ):
        found[place] = completion
        if progress:
            progress.advance()
    return [found[place] for place in range(len(tails))]


def completions(
    model: Any,
    tokenizer: Any,
    groups: Sequence[Group],
    *,
    sampling: Sampling,
    seeds: Sequence[int],
    chat: Chat | None = None,
    end_of_text: bool = True,
    begun: Any = None,
) -> Iterator[tuple[int, Completion]]:
    """Completions of each prefix + tail as they end, each with its place among all tails.

    A group's prefix is computed once, and a long one read once a step; it and each tail are
    tokenised apart. Row i draws its numbers from `seeds[i]` alone, whatever shares its batch;
    temperature 0 takes the likeliest token. A prompt that leaves no room for its reply in the
    model's context gets an empty one, cut by length; InputError where a prefix alone leaves none. A
    batch that memory does not hold is halved. Without `end_of_text` a reply goes on after that
    token. With `chat` a prompt is a turn of that template, and the token that ends the model's turn
    is an end of text. `begun` is a cache of the prefix, where there is one and the model has read
    it. ValueError unless there is one seed for each tail.
    """
    fitting: list[list[TokenPrompt]] = []
    for own in encoded(tokenizer, groups, seeds, chat):
        with_some, without_room = with_room(own, sampling, room_of(text_config(model)))
        for prompt in without_room:
            yield prompt.place, Completion("", (), "length", len(prompt))
        fitting += [with_some] * bool(with_some)
    if fitting:
        rows, prompts = _rows(model, tokenizer, fitting, sampling, begun)
        also = (chat.stop,) if chat else ()
        signs = "".join(group.ending.signs for group in groups if group.ending)
        stops = Stops(model, tokenizer, sampling, end_of_text=end_of_text, also=also, signs=signs)
        for row, text, finish in _written(model, prompts, rows, sampling, stops):
            length = row.prefix.length + len(row.tail)
            yield row.place, Completion(text, tuple(row.tokens), finish, length)


def _rows(
    model: Any,
    tokenizer: Any,
    groups: Sequence[Sequence[TokenPrompt]],
    sampling: Sampling,
    begun: Any,
) -> tuple[list[PromptRow], Prompts]:
    """The prompts with their prefixes, each read once, shared where it pays; what holds of all."""
    longest = max(len(prompt) for own in groups for prompt in own) + sampling.max_new_tokens
    check_length(model, longest, "generation")
    window = window_of(model, longest)
    rows: list[PromptRow] = []
    for own in groups:
        head = own[0].head
        pays = len(head) >= SHARED_TOKENS and len(own) >= SHARED_TEXTS
        prefix = Prefix(
            _read(model, head, begun), len(head), pays and window is None and can_share(model)
        )
        rows += [PromptRow(p.place, prefix, p.tail, p.seed, p.ending) for p in own]
    most = max(row.columns for row in rows) + sampling.max_new_tokens
    return rows, Prompts(most, window, tokenizer.pad_token_id)


def _written(
    model: Any, prompts: Prompts, rows: Sequence[PromptRow], sampling: Sampling, stops: Stops
) -> Iterator[tuple[PromptRow, str, Finish]]:
    """Each row with its text and what ended it, as they end."""
    waiting = deque(rows)
    shared = {row.prefix: row.prefix.length for row in rows if row.prefix.shared}
    size = min(len(rows), rows_that_fit(model, prompts.longest, sum(shared.values())))
    while True:
        batch = None
        try:
            with gpu_faults():
                batch = Batch(model, prompts, sampling, stops, size)
                yield from batch.run(waiting)
            return
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
            if size == 1:
                raise InputError(f"out of memory with one text at a time: {error}") from None
        # The unfinished texts are written anew; their numbers are drawn from their seeds again.
        waiting.extendleft(reversed(batch.unfinished() if batch else []))
        batch = None  # drops the keys and values that fill the memory
        free_cached(model.device)
        print(f"out of memory with {size} texts at a time: going on with {size // 2}", flush=True)
        size //= 2


def rows_that_fit(model: Any, length: int, beside: int = 0) -> int:
    """How many rows of `length` tokens fit in memory beside the model, at most 256.

    `beside` is how many tokens more, of shared prefixes, are held once for all.

    Counts keys, values and logits against total memory, not free memory: what else runs now must
    not change the batches, since these change the last bits of a result.
    """
    config = text_config(model)
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    token = config.num_hidden_layers, heads * width, model.dtype.itemsize
    row, held = row_bytes(*token, length, config.vocab_size), row_bytes(*token, beside, 0)
    if model.device.type == "cuda":
        memory = torch.cuda.get_device_properties(model.device).total_memory - held
        return rows_in(memory, model.get_memory_footprint(), row, gpu=True)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") - held
    return rows_in(memory, 0, row, gpu=False)


def _read(model: Any, head: list[int], begun: Any) -> Any:
    if begun is not None:
        if begun.get_seq_length() != len(head):
            raise ValueError(f"begun by {begun.get_seq_length()} tokens, not {len(head)}")
        return begun
    try:
        with torch.inference_mode(), gpu_faults():
            return prefilled(model, head)
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"out of memory with the prompts' prefix alone: {error}") from None


def prefilled(model: Any, head: list[int]) -> Any:
    """The keys and values of the tokens `head`, as a cache; None where there are none."""
    from transformers import DynamicCache

    if not head:
        return None
    cache = DynamicCache()
    ids = torch.tensor([head], device=model.device)
    model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
    if cache.get_seq_length() != len(head):
        raise InputError(f"{architecture(model)} keeps no keys and values of a prefix")
    return cache
