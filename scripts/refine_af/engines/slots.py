"""Keys and values of texts that are being written, each in a slot of memory that others reuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin

from refine_af.engines.shared_prefix import Beginning


class Slots(Cache):  # type: ignore[misc]
    """The key/value cache of `live` texts that end at one column and began at different times.

    A text stands in a row of a block of memory, right-aligned at `column`: the next token of all
    goes there, and what is there already is not copied. A finished text's row is filled from the
    last one; a new text enters beside the others. `positions`, (slots, columns), says which token
    of its text a column holds, -1 where it holds none: attention must not see those.
    """

    def __init__(self, *, layers: int, slots: int, columns: int, device: torch.device) -> None:
        """Room for `slots` texts of up to `columns` tokens, padding included."""
        super().__init__(layers=[_Layer(self) for _ in range(layers)])
        self.slots, self.columns = slots, columns
        self.live = self.column = 0
        self.positions = torch.full((slots, columns), -1, dtype=torch.int32, device=device)
        self._spans: list[int] = []
        self._shared: list[Cache | None] = []
        # What the current forward pass reads and writes: rows, and columns from `first` on.
        self.rows, self.first = slice(0, 0), 0

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """The columns that the current forward pass sees before those of its own tokens."""
        return self.column - self.first

    def admit(
        self,
        prefix: Cache | None,
        head: int,
        tails: Sequence[Sequence[int]],
        *,
        shared: bool = False,
    ) -> None:
        """Enter texts that begin with a prefix of `head` tokens, whose keys and values are given.

        They are copied into each text's slot, unless `shared`: then they stay where they are. The
        forward pass over the tails, padded on the left to one width, must follow, and then
        `admitted`.
        """
        width, copied = max(map(len, tails)), 0 if shared else head
        self._align(max([copied + width, *self._spans]))
        start = self.column - copied - width
        new = slice(self.live, self.live + len(tails))
        self.positions[new] = -1
        self.positions[new, start : start + copied] = torch.arange(
            copied, dtype=torch.int32, device=self.positions.device
        )
        for row, tail in enumerate(tails, self.live):
            own = torch.arange(head, head + len(tail), dtype=torch.int32)
            self.positions[row, self.column - len(tail) : self.column] = own
        if prefix is not None and not shared:
            for layer, given in zip(self.layers, prefix.layers, strict=True):
                layer.take(given.keys, given.values, new, start)
        self._shared += [prefix if shared else None] * len(tails)
        self._spans += [copied + width] * len(tails)
        self.live += len(tails)
        # The tails' own keys are written behind the prefix's.
        self.rows, self.first, self.column = new, start, self.column - width

    def admitted(self, width: int) -> None:
        """Note that the tails, `width` columns, have passed: all texts end at one column again."""
        self.column += width

    def step(self) -> Tensor:
        """Make room for one more token of each text; gives their positions, (texts, 1), int64.

        The forward pass over these tokens must follow, and then `stepped`.
        """
        longest = max(self._spans)
        if self.column == self.columns:
            self._align(longest)
        self.rows, self.first = slice(0, self.live), self.column - longest
        following = self.positions[: self.live, self.column - 1] + 1
        self.positions[: self.live, self.column] = following
        return following[:, None].long()

    def stepped(self) -> None:
        """Note that one token of each text has passed."""
        self.column += 1
        self._spans = [span + 1 for span in self._spans]

    def beginnings(self) -> list[Beginning]:
        """The rows of the current forward pass, counted from its first, by what they share."""
        found: dict[int, Beginning] = {}
        for row, cache in enumerate(self._shared[self.rows]):
            found.setdefault(id(cache), Beginning([], cache)).rows.append(row)
        return list(found.values())

    def release(self, ended: Sequence[int]) -> list[int]:
        """Free the rows of ended texts; gives the former row of each text that stays, by row."""
        gone = set(ended)
        order = [row for row in range(self.live) if row not in gone]
        kept = len(order)
        # The last texts move into the gaps; all others stay where they are.
        movers = iter([row for row in order if row >= kept])
        order = [next(movers) if row in gone else row for row in range(kept)]
        gaps = [row for row in range(kept) if row in gone]
        if gaps:
            sources = [order[row] for row in gaps]
            self.positions[gaps] = self.positions[sources]
            for layer in self.layers:
                layer.move(sources, gaps)
        self._spans = [self._spans[row] for row in order]
        self._shared = [self._shared[row] for row in order]
        self.live = kept
        return order

    def mask(self, queries: int, dtype: torch.dtype, window: int | None) -> Tensor:
        """What the last `queries` tokens of the current rows may attend to, as a term to add.

        (rows, 1, queries, columns): 0 where they may, otherwise the lowest number of `dtype`. A
        token sees itself and those before it in its text; with a `window`, the last so many.
        """
        end = self.column + queries
        seen = self.positions[self.rows, None, self.first : end]
        asking = self.positions[self.rows, self.column : end, None]
        allowed = (seen >= 0) & (seen <= asking)
        if window is not None:
            allowed &= asking - seen < window
        lowest = torch.finfo(dtype).min
        return torch.where(allowed, 0.0, lowest).to(dtype)[:, None]

    def _align(self, needed: int) -> None:
        """Move all texts to end at column `needed`, if they end before it or no column is left."""
        if needed <= self.column < self.columns:
            return
        if needed > self.columns:
            raise ValueError(f"{needed} columns are needed, there are {self.columns}")
        width = max(self._spans, default=0)
        old, new = slice(self.column - width, self.column), slice(needed - width, needed)
        if self.live:
            self.positions[: self.live, new] = self.positions[: self.live, old].clone()
            self.positions[: self.live, : needed - width] = -1
            for layer in self.layers:
                layer.shift(slice(0, self.live), old, new)
        self.column = needed


class _Layer(CacheLayerMixin):  # type: ignore[misc]
    """One layer's keys and values, (slots, heads, columns, width)."""

    is_sliding = False

    def __init__(self, slots: Slots) -> None:
        super().__init__()
        self._slots = slots

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        def block(like: Tensor) -> Tensor:
            # Zeros: attention multiplies what it must not see by 0, and NaN would stay NaN.
            _, heads, _, width = like.shape
            return like.new_zeros(self._slots.slots, heads, self._slots.columns, width)

        self.keys, self.values = block(key_states), block(value_states)
        self.is_initialized = True

    def take(self, keys: Tensor, values: Tensor, rows: slice, start: int) -> None:
        """Write a prefix, (1, heads, columns, width), into each of the rows from `start` on."""
        if not self.is_initialized:
            self.lazy_initialization(keys, values)
        columns = slice(start, start + keys.shape[2])
        self.keys[rows, :, columns], self.values[rows, :, columns] = keys, values

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Write the forward pass's own keys and values; gives all that its rows hold."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        place = self._slots
        end = place.column + key_states.shape[2]
        self.keys[place.rows, :, place.column : end] = key_states
        self.values[place.rows, :, place.column : end] = value_states
        seen = (place.rows, slice(None), slice(place.first, end))
        return self.keys[seen], self.values[seen]

    def move(self, sources: list[int], targets: list[int]) -> None:
        for block in (self.keys, self.values):
            block[targets] = block[sources]

    def shift(self, rows: slice, old: slice, new: slice) -> None:
        for block in (self.keys, self.values):
            block[rows, :, new] = block[rows, :, old].clone()

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._slots.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        return self._slots.get_seq_length()

    def get_max_length(self) -> int:
        return self._slots.columns
