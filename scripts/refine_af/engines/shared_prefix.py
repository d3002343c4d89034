"""Attention of texts that begin with the same tokens, whose keys and values stand in one place.

A step reads all keys and values that it attends to: of a long prefix, were it copied into each
text's slot, as often as there are texts. Here it is read once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from refine_af.models.attention import attention_by
from refine_af.models.upstream import without_adapter

# Bytes of scores at once, where many tokens of many texts ask; a CPU keeps so many in its caches.
SCORES, SCORES_OF_CPU = 1 << 26, 1 << 23
NAME = "shared_prefix"
KEPT_APART = "prefixes_kept_apart"  # of a model: tried, and found to need it


@dataclass(frozen=True)
class Beginning:
    """The rows of a batch that go on from one prefix; `cache` is None where they hold their own."""

    rows: list[int]
    cache: Any


def can_share(model: Any) -> bool:
    """Whether the model's attention is the plain one, and another can take its place."""
    base = without_adapter(model)
    plain = base.config._attn_implementation == "sdpa" and not getattr(base, KEPT_APART, False)
    return plain and getattr(base, "_supports_attention_backend", False)


def keep_apart(model: Any) -> None:
    """Let `can_share` say no of a model, whose cache may hold other than what attention reads."""
    setattr(without_adapter(model), KEPT_APART, True)


@contextmanager
def attending(model: Any, beginnings: Sequence[Beginning]) -> Iterator[None]:
    """Let the rows of a forward pass attend to their beginnings; each row is in one of these."""
    if all(beginning.cache is None for beginning in beginnings):
        yield
        return
    with attention_by(model, NAME, partial(_attend, beginnings)):
        yield


def _attend(
    beginnings: Sequence[Beginning],
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    scaling: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers asks for it: (rows, tokens, heads, width).

    `key` and `value`, (rows, heads of keys, columns, width), hold what each row has of its own.
    """
    from transformers import AttentionInterface

    made = query.new_empty(*query.shape[:3], value.shape[-1])
    for beginning in beginnings:
        for rows, tokens in _parts(beginning, query, key):
            asked = query[rows, :, tokens], key[rows], value[rows], attention_mask[rows, :, tokens]
            if beginning.cache is None:
                plain = AttentionInterface()["sdpa"](module, *asked, scaling=scaling, **others)[0]
                made[rows, :, tokens] = plain.transpose(1, 2)
            else:
                layer = beginning.cache.layers[module.layer_idx]
                found = _attended(*asked, layer.keys[0], layer.values[0], scaling)
                made[rows, :, tokens] = found
    return made.transpose(1, 2), None


def _parts(beginning: Beginning, query: Tensor, key: Tensor) -> Iterator[tuple[Any, slice]]:
    """The rows, as indices, and the tokens, in parts: all at once where their scores are few."""
    rows, most, asking = beginning.rows, len(beginning.rows), query.shape[2]
    together = asking
    if beginning.cache is not None:
        columns = key.shape[2] + beginning.cache.get_seq_length()
        token = 4 * query.shape[1] * columns  # bytes of its scores
        fitting = (SCORES_OF_CPU if query.device.type == "cpu" else SCORES) // token
        together = max(1, min(asking, fitting))
        most = max(1, fitting // together)
    for start in range(0, len(rows), most):
        part = rows[start : start + most]
        in_order = part[-1] - part[0] == len(part) - 1  # so that this is a view
        own = slice(part[0], part[-1] + 1) if in_order else torch.tensor(part, device=key.device)
        for first in range(0, asking, together):
            yield own, slice(first, first + together)


def _attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor,
    prefix_key: Tensor,
    prefix_value: Tensor,
    scaling: float | None,
) -> Tensor:
    """softmax of (query · [prefix_key, key] + [0, mask]), times [prefix_value, value].

    The prefix's are (heads of keys, length, width). Scores and their softmax are float32, whatever
    the model's precision, as a fused kernel's.
    """
    rows, heads, tokens, width = query.shape
    groups, length = prefix_key.shape[:2]
    asked = query.float() * (scaling or width**-0.5)
    asked = asked.reshape(rows, groups, -1, width).transpose(0, 1)  # a group: heads that share keys
    own = asked @ key.float().permute(1, 0, 3, 2)
    own.view(groups, rows, -1, tokens, own.shape[-1]).add_(mask)
    first = asked.flatten(1, 2) @ prefix_key.float().transpose(1, 2)
    scores = torch.cat([first.view(groups, rows, -1, length), own], -1)
    weights = scores.softmax(-1).to(value.dtype)
    found = (weights[..., :length].flatten(1, 2) @ prefix_value).view(
        groups, rows, -1, value.shape[-1]
    )
    found += weights[..., length:] @ value.transpose(0, 1)
    return found.transpose(0, 1).reshape(rows, heads, tokens, -1)
