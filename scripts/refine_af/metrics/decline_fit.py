"""How fast a pool still grows: its yield falls as it fills, and so the time left is foretold.

The model: asked `m` times at a pool of `n` instructions, a language model gives a number of new
ones that is Poisson with the mean m · a · exp(−n / b). Without a decline b is infinite. The fit is
by maximum likelihood, which for a given b has a in closed form; the range is the 80% interval by
the likelihood ratio, widened where the rounds scatter more than Poisson numbers do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_af.metrics.decline import Decline

FEWEST = 4  # rounds that a decline is read from
RATIO = 1.642 / 2  # of log likelihoods: half the 80% quantile of χ² with one degree of freedom
STEEPEST = 50.0  # natural logarithms by which a yield may fall over the pools seen

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """A decline, and the slightest and steepest one that the figures leave likely."""

    likeliest: Decline
    slightest: Decline
    steepest: Decline

    def asked(self, pool: float, target: float) -> tuple[float, float, float]:
        """How often must be asked until the target: likeliest, least and most."""
        likeliest, least, most = (
            decline.asked(pool, target)
            for decline in (self.likeliest, self.slightest, self.steepest)
        )
        return likeliest, min(likeliest, least), max(likeliest, most)


def forecast(
    pools: Sequence[float], accepted: Sequence[float], asked: Sequence[float]
) -> Forecast | None:
    """The fit to finished rounds: each one's pool as it began, its yield, and how often it asked.

    None where there are fewer than 4 rounds, or nothing was accepted.
    """
    if len(pools) < FEWEST or not sum(accepted):
        return None
    found = _Likelihood(np.array(pools, float), np.array(accepted, float), np.array(asked, float))
    width = float(np.ptp(found.pools))
    most = STEEPEST / width if width else 0.0
    best = _root(found.slope, 0.0, most)
    floor = found.at(best) - RATIO * found.scatter(best)

    def above(rate: float) -> float:
        return found.at(rate) - floor

    low = 0.0 if above(0.0) >= 0 else _root(lambda rate: -above(rate), 0.0, best)
    high = most if above(most) >= 0 else _root(above, best, most)
    return Forecast(*(found.decline(rate) for rate in (best, low, high)))


@dataclass(frozen=True)
class _Likelihood:
    """The Poisson log likelihood by the rate of decline alone, the start being the best for it."""

    pools: Floats
    accepted: Floats
    asked: Floats

    def _weights(self, rate: float) -> Floats:
        """What each round would give by the decline alone, the first one's pool as the measure."""
        weights: Floats = self.asked * np.exp(-rate * (self.pools - self.pools.min()))
        return weights

    def at(self, rate: float) -> float:
        weights = self._weights(rate)
        told = -rate * float(self.accepted @ (self.pools - self.pools.min()))
        return told - float(self.accepted.sum()) * math.log(float(weights.sum()))

    def slope(self, rate: float) -> float:
        """How the likelihood rises: it is concave, so that this falls."""
        weights = self._weights(rate)
        mean = float(weights @ self.pools / weights.sum())
        return float(self.accepted.sum()) * mean - float(self.accepted @ self.pools)

    def scatter(self, rate: float) -> float:
        """Pearson's χ² for each degree of freedom, at least 1."""
        weights = self._weights(rate)
        means = weights * float(self.accepted.sum() / weights.sum())
        squares = float(((self.accepted - means) ** 2 / means).sum())
        return max(1.0, squares / (len(means) - 2))

    def decline(self, rate: float) -> Decline:
        weights = self._weights(rate)
        start = float(self.accepted.sum() / weights.sum())
        return Decline(float(self.pools.min()), start, rate)


def _root(falling: Callable[[float], float], low: float, high: float) -> float:
    """Where a falling function crosses 0, or the end at which it does not."""
    from scipy.optimize import brentq

    if falling(low) <= 0:
        return low
    if falling(high) >= 0:
        return high
    return float(brentq(falling, low, high, xtol=1e-15, rtol=1e-10))
