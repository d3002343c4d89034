"""What a reply without an instance is worth in learning, beside those that have one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Moments:
    """How many rewards there were, their mean, and the sum of their squared distances from it.

    Kept up by the updates of Chan, Golub and LeVeque (1979), as TRL's RunningMoments are.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def after(self, rewards: Sequence[float]) -> Moments:
        """The same with more rewards, each added in its turn."""
        count, mean, squares = self.count, self.mean, self.squares
        for reward in rewards:
            count += 1
            apart = reward - mean
            mean += apart / count
            squares += apart * (reward - mean)
        return Moments(count, mean, squares)

    def below(self, deviations: float) -> float | None:
        """So many sample standard deviations below the mean; None where no two rewards differ."""
        if self.count < 2 or not self.squares > 0:
            return None
        return self.mean - deviations * math.sqrt(self.squares / (self.count - 1))


def floor_of(parsed: Moments, deviations: float | None, fixed: float) -> float:
    """The score of a reply without an instance: `fixed`, or so many deviations below the mean.

    `parsed` are of all rewards so far of replies with one; `fixed` stands in while no two differ.
    """
    relative = None if deviations is None else parsed.below(deviations)
    return fixed if relative is None else relative
