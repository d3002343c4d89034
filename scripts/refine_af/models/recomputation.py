"""Gradient checkpointing (arXiv 1604.06174) through the cache of a shared prefix.

That of transformers drops the cache in training mode, and does nothing outside training mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache

from refine_af.errors import InputError


def recompute_layers(trunk: Any) -> None:
    """Let each layer keep only its input for the backward pass, which computes the rest again.

    Memory falls and time rises; every value and gradient stays what it was. InputError where the
    model's layers are not in a list.
    """
    layers = _layers(trunk)
    if layers is None:
        kind = type(trunk).__name__
        raise InputError(f"compute.ppo.gradient_checkpointing: {kind} has no list of layers")
    for index, layer in enumerate(layers):
        layer.forward = _recomputed(layer.forward, index)


def _layers(trunk: Any) -> torch.nn.ModuleList | None:
    """The list that holds a layer a place of the cache, whatever the trunk calls it."""
    config = getattr(trunk, "config", None)
    count = config.get_text_config(decoder=True).num_hidden_layers if config else 0
    lists = (part for part in trunk.modules() if isinstance(part, torch.nn.ModuleList))
    return next((found for found in lists if count and len(found) == count), None)


def _recomputed(forward: Callable[..., Any], index: int) -> Callable[..., Any]:
    def call(hidden: Any, *rest: Any, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(hidden, *rest, **options)
        # Architectures hand the cache on by keywords of their own, or by place.
        given = (*rest, *options.values())
        cache = next((value for value in given if isinstance(value, Cache)), None)
        slot = vars(cache.layers[index]) if cache else {}  # none in TRL's passes
        before = dict(slot)

        def run(hidden: Any) -> Any:
            # A pass adds its keys and values to the cache: the second one starts where the first
            # did. With the first one's keys as they were, the gradient finds the prefix.
            slot.clear()
            slot.update(before)
            return forward(hidden, *rest, **options)

        # No layer draws random numbers: the policy is in eval mode.
        return checkpoint(run, hidden, use_reentrant=False, preserve_rng_state=False)

    return call
