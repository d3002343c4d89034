"""Where the tokens of rows stand when the policy reads them behind their shared prefix.

Rows stand one after the other in a pack, each blind to those before it, and packs side by side. So
a pack reads the prefix's keys and values once for all its rows, where rows side by side would each
need a copy, in every layer, kept for the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """A rollout's tokens: what follows the shared prefix in its prompt, and the response."""

    tail: tuple[int, ...]
    response: tuple[int, ...]

    def read(self) -> tuple[int, ...]:
        """The tokens that a pass reads: the last one of a response predicts none of its own."""
        return self.tail + self.response[:-1]


@dataclass(frozen=True)
class Layout:
    """Packs of rows, as (packs, length) tensors, padded on the right.

    `ids` are the tokens, `owners` the numbers of their rows, -1 in padding, `places` where they
    stand in their rows, and `predicting` is true where a token of a response is predicted: row by
    row in order, and within a row token by token.
    """

    ids: Tensor
    owners: Tensor
    places: Tensor
    predicting: Tensor

    def mask(self, prefix: int, dtype: torch.dtype, window: int | None) -> Tensor:
        """What a token may attend to behind `prefix` tokens, as a term to add to its scores.

        (packs, 1, length, prefix + length): 0 at the prefix and at earlier tokens of its row, with
        a `window` the last so many; otherwise the lowest number of `dtype`.
        """
        device, packs = self.ids.device, len(self.ids)
        asking = (prefix + self.places)[:, :, None]
        shared = torch.arange(prefix, device=device).expand(packs, -1)
        seen = torch.cat([shared, prefix + self.places], 1)[:, None]
        kin = self.owners[:, :, None] == self.owners[:, None]
        kin = torch.cat([kin.new_ones(*self.ids.shape, prefix), kin], 2)
        allowed = kin & (seen <= asking)
        if window is not None:
            allowed &= asking - seen < window
        return torch.where(allowed, 0.0, torch.finfo(dtype).min).to(dtype)[:, None]


def laid_out(rows: Sequence[Tokens], prefix: int, device: torch.device) -> Layout:
    """The rows in packs of at most `prefix` tokens, or of one row.

    Within that bound a pack's tokens attend at most to twice what they must. Without a prefix,
    which nothing then shares, each row is a pack.
    """
    packs = _packs([len(row.read()) for row in rows], prefix)

    def filled(line: Callable[[int], Iterable[int]], blank: int) -> Tensor:
        lines = [[value for index in pack for value in line(index)] for pack in packs]
        length = max(map(len, lines))
        whole = [[*line, *[blank] * (length - len(line))] for line in lines]
        return torch.tensor(whole, device=device)

    def predicting(index: int) -> Iterable[int]:
        row = rows[index]
        first = len(row.tail) - 1
        return (first <= at < first + len(row.response) for at in range(len(row.read())))

    return Layout(
        ids=filled(lambda index: rows[index].read(), 0),
        owners=filled(lambda index: [index] * len(rows[index].read()), -1),
        places=filled(lambda index: range(len(rows[index].read())), 0),
        predicting=filled(predicting, 0).bool(),
    )


def _packs(lengths: Sequence[int], room: int) -> list[list[int]]:
    packs: list[list[int]] = []
    free = 0
    for index, length in enumerate(lengths):
        if not packs or length > free:
            packs.append([])
            free = room
        packs[-1].append(index)
        free -= length
    return packs
