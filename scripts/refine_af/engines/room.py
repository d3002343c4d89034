"""How many texts are written side by side, and what they hold in one place."""

from __future__ import annotations

MOST_ROWS = 256
# Tokens and texts from which on a prefix is worth products of its own.
SHARED_TOKENS, SHARED_TEXTS = 256, 4


def row_bytes(layers: int, keys: int, itemsize: int, length: int, vocabulary: int) -> int:
    """Bytes of a text of `length` tokens: its keys and values, `keys` wide, and what is drawn from.

    `itemsize` is the size of a number of the model.
    """
    cached = 2 * layers * keys * itemsize * length
    return cached + 4 * 8 * vocabulary  # probabilities, sorted and summed in float64


def rows_in(memory: float, weights: float, row: int, *, gpu: bool) -> int:
    """How many such texts are written at once in a memory that holds `weights`, all in bytes."""
    budget = 0.8 * (memory - weights) if gpu else 0.2 * memory
    return max(1, min(MOST_ROWS, int(budget / row)))
