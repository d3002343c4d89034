"""Gradient checkpointing (arXiv 1604.06174) through the cache of a shared prefix.

That of transformers drops the cache in training mode, and does nothing outside training mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from refine_af.errors import InputError


def recompute_layers(trunk: Any) -> None:
    """Let each layer keep only its input for the backward pass, which computes the rest again.

    Memory falls and time rises; every value and gradient stays what it was. InputError where the
    model's layers are not in a list.
    """
    layers = getattr(trunk, "layers", None)
    if not isinstance(layers, torch.nn.ModuleList):
        kind = type(trunk).__name__
        raise InputError(f"compute.ppo.gradient_checkpointing: {kind} has no list of layers")
    for index, layer in enumerate(layers):
        layer.forward = _recomputed(layer.forward, index)


def _recomputed(forward: Callable[..., Any], index: int) -> Callable[..., Any]:
    def call(hidden: Any, *rest: Any, past_key_values: Any = None, **options: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(hidden, *rest, past_key_values=past_key_values, **options)
        if past_key_values is None:  # TRL's passes
            return checkpoint(
                forward, hidden, *rest, use_reentrant=False, preserve_rng_state=False, **options
            )
        slot = vars(past_key_values.layers[index])
        before = dict(slot)

        def run(hidden: Any) -> Any:
            # A pass adds its keys and values to the cache: the second one starts where the first
            # did. With the first one's keys as they were, the gradient finds the prefix.
            slot.clear()
            slot.update(before)
            return forward(hidden, *rest, past_key_values=past_key_values, **options)

        # No layer draws random numbers: the policy is in eval mode.
        return checkpoint(run, hidden, use_reentrant=False, preserve_rng_state=False)

    return call
