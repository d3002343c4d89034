"""Rows of tokens in batches: rows of like length side by side, padded on the right."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from refine_af.models.backbones import device

TOKENS_A_BATCH = 8192


def in_batches(
    judge: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], rows: Sequence[Sequence[int]]
) -> list[float]:
    """The judge's number for every row, in order; it is called with what `padded` gives."""
    scores = [0.0] * len(rows)
    for batch in by_length(rows, TOKENS_A_BATCH):
        with torch.inference_mode():
            found = judge(*padded([rows[row] for row in batch])).float().tolist()
        for row, score in zip(batch, found, strict=True):
            scores[row] = score
    return scores


def by_length(rows: Sequence[Sequence[int]], most: int) -> Iterator[list[int]]:
    """The rows' places, from the shortest on, in batches of at most `most` tokens with padding.

    A row that is longer than that has a batch of its own.
    """
    order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and (end + 1 - start) * len(rows[order[end]]) <= most:
            end += 1
        yield order[start:end]
        start = end


def padded(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and mask, (rows, longest), int64, on `device()`; zeros on the right are padding."""
    width = max(map(len, rows))
    ids = [[*row, *[0] * (width - len(row))] for row in rows]
    mask = [[1] * len(row) + [0] * (width - len(row)) for row in rows]
    return torch.tensor(ids, device=device()), torch.tensor(mask, device=device())
