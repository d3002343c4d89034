"""Which rows pass through the model when: decided by seed and epoch, whatever the hardware."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

from refine_af.randomness import derived_seed
from refine_af.settings.sft import Sft


@dataclass
class Batches:
    """The micro-batches of one process in an epoch, as indices of rows.

    An update takes `global_batch` rows in the order of its epoch; an epoch's last takes what is
    left. The `processes` take turns with `micro_batch` rows each. A process for which a turn has
    none left gets the index of the blank row after the last: all must pass equally often.
    """

    rows: int
    global_batch: int
    micro_batch: int
    seed: int
    processes: int = 1
    rank: int = 0
    epoch: int = 0

    @property
    def updates(self) -> int:
        """Updates of an epoch."""
        return -(-self.rows // self.global_batch)

    @property
    def accumulation(self) -> int:
        """Micro-batches of a process in an update that is not an epoch's last."""
        return self.global_batch // self._turn

    def update(self, number: int) -> list[int]:
        """The rows of an update, counted from 0 through all epochs."""
        epoch, index = divmod(number, self.updates)
        start = index * self.global_batch
        return self._order(epoch)[start : start + self.global_batch]

    def epochs_after(self, updates: int) -> float:
        """How many epochs the first `updates` are, as a fraction."""
        epoch, index = divmod(updates, self.updates)
        return epoch + index * self.global_batch / self.rows

    def __iter__(self) -> Iterator[list[int]]:
        order = self._order(self.epoch)
        for start in range(0, self.rows, self.global_batch):
            update = order[start : start + self.global_batch]
            for turn in range(0, len(update), self._turn):
                first = turn + self.rank * self.micro_batch
                yield update[first : first + self.micro_batch] or [self.rows]

    def __len__(self) -> int:
        whole, left = divmod(self.rows, self.global_batch)
        return whole * self.accumulation + -(-left // self._turn)

    @property
    def _turn(self) -> int:
        return self.processes * self.micro_batch

    def _order(self, epoch: int) -> list[int]:
        drawn = random.Random(derived_seed(self.seed, "order", epoch))
        return drawn.sample(range(self.rows), self.rows)


def rows_an_update(settings: Sft) -> int:
    """Rows of an update, whatever the hardware."""
    return settings.batch_size * settings.gradient_accumulation_steps


def fitting(micro_batch: int, share: int) -> int:
    """The largest micro-batch, `micro_batch` at most, that divides a process's share of rows."""
    # Divisors come in pairs, so the smaller ones are enough: quick even for a share of 10**12.
    smaller = [size for size in range(1, math.isqrt(share) + 1) if share % size == 0]
    divisors = [*smaller, *(share // size for size in smaller)]
    return max(size for size in divisors if size <= micro_batch)
