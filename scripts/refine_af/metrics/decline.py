"""How the yield of a pool falls as it fills: exponentially, by the instructions that it holds."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Decline:
    """The yield at the pool `origin`, for each time asked, and how it falls: `rate` is 1 / b."""

    origin: float
    start: float
    rate: float

    def at(self, pool: float) -> float:
        """The expected yield at a pool."""
        return self.start * math.exp(-self.rate * (pool - self.origin))

    def asked(self, pool: float, target: float) -> float:
        """How often must be asked until a pool has grown to `target`; infinite beyond floats."""
        grown = max(0.0, target - pool)
        if self.rate * grown > 700:
            return math.inf
        rounds = math.expm1(self.rate * grown) / self.rate if self.rate else grown
        return rounds / self.at(pool) if self.at(pool) else math.inf
