"""Figure 2 in numbers: whether the reward rises with the steps of PPO, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from refine_af.metrics.intervals import spearman, spearman_interval


@dataclass(frozen=True)
class Trend:
    """Spearman's correlation of step and reward, raw and smoothed, and what chance does to them.

    `low` and `high` are the ends of the raw one's interval, nan of fewer than 10 steps; `p` is
    the share of random orders of the same rewards with a raw correlation as high; `by_chance`
    the smoothed correlation that 5 % of the random orders exceed.
    """

    raw: float
    low: float
    high: float
    p: float
    smoothed: float
    by_chance: float


def smoothed(rewards: Sequence[float], span: int) -> list[float]:
    """The exponential moving average that pandas calls a span."""
    return [float(value) for value in pd.Series(rewards).ewm(span=span).mean()]


def moving_average(values: pd.Series[float], span: int) -> list[float]:
    """The same of a column, to six decimals: what a figure shows."""
    return [round(value, 6) for value in smoothed(values.to_list(), span)]


def trend(
    rewards: Sequence[float], *, span: int, confidence: float, draws: int, seed: int
) -> Trend | None:
    """The trend of rewards over steps; None where they are too few, or all the same."""
    values = np.asarray(rewards, dtype=float)
    if len(values) < 3 or np.ptp(values) == 0:
        return None
    random = np.random.default_rng(seed)
    weights = pd.DataFrame(np.eye(len(values))).ewm(span=span).mean().to_numpy()
    orders = random.permuted(np.tile(values, (draws, 1)), axis=1)
    raw, low, high = spearman_interval(rewards, confidence=confidence)
    smooth = float(spearman((weights @ values)[None])[0])
    chance, smooth_chance = spearman(orders), spearman(orders @ weights.T)
    # The same correlation in another order of sums may differ in the last bits.
    as_high = int((chance >= raw - 1e-12).sum())
    by_chance = float(np.quantile(smooth_chance, 0.95))
    return Trend(raw, low, high, (1 + as_high) / (1 + draws), smooth, by_chance)
