"""Attention computed another way, for as long as a block of code runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def attention_by(model: Any, name: str, function: Callable[..., Any]) -> Iterator[None]:
    """Let the model's layers ask `function`, as transformers asks the one registered by `name`."""
    from transformers import AttentionInterface

    earlier = AttentionInterface().get(name, _nothing)
    AttentionInterface.register(name, function)
    before = model.config._attn_implementation
    model.config._attn_implementation = name
    try:
        yield
    finally:
        model.config._attn_implementation = before
        AttentionInterface.register(name, earlier)  # what `function` holds lives no longer


def _nothing(*_: Any, **__: Any) -> None:
    raise AssertionError("attention is asked after the block that gave it")
