"""Texts that a model writes side by side, each at a step of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from refine_af.engines.decoding import Stops
from refine_af.engines.next_tokens import next_tokens, uniforms
from refine_af.engines.replies import Ending, Finish
from refine_af.engines.shared_prefix import attending
from refine_af.engines.slots import Slots
from refine_af.errors import InputError
from refine_af.models.shapes import by_kind_of_attention, text_config
from refine_af.settings.sampling import Sampling

MARGIN = 128  # columns beyond the longest text: the more, the rarer all texts are moved left
ADMITTED = 8  # new prompts wait until an eighth of the places is free, and are read together


@dataclass(frozen=True)
class Prompts:
    """What holds for all prompts of a call.

    `longest` is the most tokens of a prompt with its reply, shared ones apart, `window` how many
    tokens back a token attends (None: all of them), `padding` the id of the token that fills gaps.
    """

    longest: int
    window: int | None
    padding: int


@dataclass(frozen=True, eq=False)
class Prefix:
    """The first `length` tokens of some prompts; `cache` has their keys and values, or is None.

    Where it is `shared`, they are read from there for all prompts, rather than copied for each.
    """

    cache: Any
    length: int
    shared: bool = False


@dataclass(eq=False)
class PromptRow:
    """A prompt: its place among all, its prefix, the tokens after it, and the reply's so far.

    `ending`, if any, may end the reply.
    """

    place: int
    prefix: Prefix
    tail: list[int]
    seed: int
    ending: Ending | None = None
    tokens: list[int] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """The tokens of the prompt whose keys and values are in its own slot."""
        return len(self.tail) + (0 if self.prefix.shared else self.prefix.length)


class Batch:
    """Up to `size` texts at once: a finished one leaves its place to the next prompt."""

    def __init__(
        self, model: Any, prompts: Prompts, sampling: Sampling, stops: Stops | None, size: int
    ) -> None:
        """Without `stops`, texts are read and go on by the tokens that they are given."""
        self._model, self._prompts, self._size = model, prompts, size
        self._sampling, self._stops = sampling, stops
        self._rows: list[PromptRow] = []
        device = model.device
        self._slots = Slots(
            layers=text_config(model).num_hidden_layers,
            slots=size,
            columns=prompts.longest + MARGIN,
            device=device,
        )
        tokens = sampling.max_new_tokens
        self._uniforms = torch.zeros(size, tokens, dtype=torch.float64, device=device)
        penalised = text_config(model).vocab_size if sampling.presence_penalty else 0
        self._seen = torch.zeros(size, penalised, dtype=torch.bool, device=device)

    def run(self, waiting: deque[PromptRow]) -> Iterator[tuple[PromptRow, str, Finish]]:
        """Each row of `waiting` with its text and what ended it, as they end."""
        while waiting or self._rows:
            with torch.inference_mode():
                new = self._next(waiting)
                logits = self.read(new) if new else self.step()
                ended = self._draw(logits, len(new) or len(self._rows))
            yield from ended

    def unfinished(self) -> list[PromptRow]:
        """The rows that have not ended, their tokens dropped: they are to be written anew."""
        for row in self._rows:
            row.tokens.clear()
        return self._rows

    def _next(self, waiting: deque[PromptRow]) -> list[PromptRow]:
        """The prompts to read now, which share a prefix; none while too few places are free."""
        free = self._size - len(self._rows)
        new: list[PromptRow] = []
        if free < max(1, min(self._size // ADMITTED, len(waiting))):
            return new
        while len(new) < free and waiting and (not new or waiting[0].prefix is new[0].prefix):
            new.append(waiting.popleft())
        return new

    def read(self, new: list[PromptRow]) -> torch.Tensor:
        """Give new prompts places behind the others; the logits of their first tokens."""
        start, prefix, device = len(self._rows), new[0].prefix, self._model.device
        self._rows += new
        width = max(len(row.tail) for row in new)
        gaps = [width - len(row.tail) for row in new]
        tails = [row.tail for row in new]
        self._slots.admit(prefix.cache, prefix.length, tails, shared=prefix.shared)
        for place, row in enumerate(new, start):
            drawn = uniforms(row.seed, self._sampling.max_new_tokens)
            self._uniforms[place] = torch.from_numpy(drawn).to(device)
        self._seen[start : len(self._rows)] = False
        ids = [[self._prompts.padding] * gap + row.tail for row, gap in zip(new, gaps, strict=True)]
        places = [[prefix.length + max(0, i - gap) for i in range(width)] for gap in gaps]
        logits = self._forward(
            torch.tensor(ids, device=device), torch.tensor(places, device=device)
        )
        self._slots.admitted(width)
        return logits

    def step(self) -> torch.Tensor:
        """Read every text's last token; the logits of the next ones."""
        ids = torch.tensor([[row.tokens[-1]] for row in self._rows], device=self._model.device)
        logits = self._forward(ids, self._slots.step())
        self._slots.stepped()
        return logits

    def _forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        def mask(window: int | None) -> torch.Tensor:
            return self._slots.mask(ids.shape[1], self._model.dtype, window)

        with attending(self._model, self._slots.beginnings()):
            logits: torch.Tensor = self._model(
                input_ids=ids,
                attention_mask=by_kind_of_attention(self._model, self._prompts.window, mask),
                position_ids=positions,
                past_key_values=self._slots,
                use_cache=True,
                logits_to_keep=1,
            ).logits[:, -1]
        return logits

    def _draw(self, logits: torch.Tensor, count: int) -> list[tuple[PromptRow, str, Finish]]:
        """Give the last `count` rows their next tokens; those that end leave their places."""
        own = slice(len(self._rows) - count, len(self._rows))
        rows, seen = self._rows[own], self._seen[own]
        steps = torch.tensor([[len(row.tokens)] for row in rows], device=logits.device)
        numbers = self._uniforms[own].gather(1, steps)[:, 0]
        try:
            tokens = next_tokens(logits, seen, numbers, self._sampling)
        except InputError as error:
            raise InputError(f"{self._model.name_or_path}: {error}") from None
        if self._sampling.presence_penalty:
            # A view: this marks them in `self._seen`.
            seen.scatter_(1, torch.tensor(tokens, device=seen.device)[:, None], True)
        ended: dict[int, tuple[PromptRow, str, Finish]] = {}
        for place, (row, token) in enumerate(zip(rows, tokens, strict=True), own.start):
            row.tokens.append(token)
            if self._stops and (end := self._stops.ended(row.tokens, row.ending)):
                ended[place] = (row, *end)
        if ended:
            self._leave(list(ended))
        return list(ended.values())

    def _leave(self, ended: Sequence[int]) -> None:
        """Give up the places of ended rows; the others move as `Slots.release` moves them."""
        order = self._slots.release(ended)
        self._rows = [self._rows[place] for place in order]
        self._uniforms[: len(order)] = self._uniforms[order]
        self._seen[: len(order)] = self._seen[order]
