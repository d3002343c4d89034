"""The tokens that begin every prompt, read once for all the rows that go on from them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from refine_af.models.shapes import text_config


@dataclass
class Prefix:
    """Keys and values of the first `length` tokens, (1, heads, length, width), a pair a layer.

    With `graph` they come with that of the pass that made them.
    """

    length: int
    layers: tuple[tuple[Tensor, Tensor], ...]
    graph: bool

    @property
    def nbytes(self) -> int:
        """The memory that keys and values take, without their graph."""
        return sum(tensor.nbytes for tensor in self._tensors())

    def cut(self) -> Prefix:
        """The same numbers, at which gradients stop and add up: those of any number of passes."""
        parts = (tuple(_leaf(tensor) for tensor in pair) for pair in self.layers)
        return replace(self, layers=tuple((keys, values) for keys, values in parts))

    def pull(self, cut: Prefix) -> None:
        """Send what has added up at `cut` on to the weights, by the chain rule.

        The graph serves once: nothing is left of this prefix then, nor of its memory.
        """
        found = zip(self._tensors(), cut._tensors(), strict=True)
        pairs = [(tensor, leaf.grad) for tensor, leaf in found if leaf.grad is not None]
        self.layers = ()
        if pairs:
            torch.autograd.backward([pair[0] for pair in pairs], [pair[1] for pair in pairs])

    def cache(self, copies: int) -> Any:
        """A cache of their own for texts side by side that go on from these tokens, if any."""
        if not self.layers:
            return None
        cache = empty_cache(len(self.layers))
        for index, pair in enumerate(self.layers):
            cache.update(*(tensor.expand(copies, -1, -1, -1) for tensor in pair), index)
        return cache

    def _tensors(self) -> chain[Tensor]:
        return chain.from_iterable(self.layers)


def read_prefix(trunk: Any, ids: Tensor, mask: Tensor | None = None) -> Prefix:
    """The tokens `ids`, (1, length), as a model's trunk reads them, whose cache keeps all of them.

    Its `length` is how many the model kept keys and values of: 0 where it keeps none. A `mask` is
    needed where there are no numbers among which one could be looked for.
    """
    cache, graph = empty_cache(text_config(trunk).num_hidden_layers), torch.is_grad_enabled()
    if ids.numel():
        trunk(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
    length = cache.get_seq_length()
    kept = cache.layers if length else []
    return Prefix(length, tuple((layer.keys, layer.values) for layer in kept), graph)


def empty_cache(layers: int) -> Any:
    """A cache that keeps all keys and values, where a window would drop some.

    Its layers are there from the start, as recomputed layers need them.
    """
    return Cache(layers=[DynamicLayer() for _ in range(layers)])


def _leaf(tensor: Tensor) -> Tensor:
    return tensor.detach().requires_grad_(tensor.requires_grad)
