"""How sure a difference of means or of shares, or a trend, is, from the values alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pandas as pd

BLOCK = 2**22  # resampled values held at a time
DEGREE = 3  # of the curve that a series' noise is told from
LEAST_STEPS = 10  # of a series with an interval

# Whether one of the things counted has a property, or the share of its judges, 0 to 1, who say so;
# None: it is not counted.
Mark = bool | float | None


def bootstrap_difference(
    before: Sequence[float],
    after: Sequence[float],
    *,
    confidence: float,
    resamples: int,
    seed: int,
) -> tuple[float, float, float]:
    """The mean of after − before with the ends of its paired bootstrap interval.

    Bias-corrected and accelerated (Efron 1987, "Better Bootstrap Confidence Intervals"): pairs
    are resampled together. It covers the mean over all pairs of which these are a sample,
    drawn one by one. At a confidence of 0.95 about 94% of the intervals of 100 or
    more pairs hold it, of 30 pairs 92%, of fewer less; of differences that are nearly all 0, as
    those of rare marks, fewer than 90% (see `share_difference`). Values that all differ by the
    same have that difference as their interval; a single pair tells nothing of the spread, and
    its interval is (nan, nan).
    Raises ValueError where there is no pair or a value without partner.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} values before and {len(after)} after are no pairs")
    differences = np.asarray(after, dtype=np.float64) - np.asarray(before, dtype=np.float64)
    mean = float(differences.mean())
    if len(differences) == 1:
        return mean, float("nan"), float("nan")
    if np.ptp(differences) == 0:
        return mean, mean, mean
    means = _resampled_means(differences, resamples, np.random.default_rng(seed))
    low, high = np.quantile(means, _levels(differences, means, confidence))
    return mean, float(low), float(high)


def share(
    marks: Sequence[bool | float], *, confidence: float, judges: float = 1
) -> tuple[float, float, float]:
    """A share, the mean of marks from 0 to 1, with the ends of its interval.

    A mark is the share of its judges who say so, of whom it has `judges` on average. Of one judge
    the interval is Wilson's (1927, Journal of the American Statistical Association 22:209); of
    several it is his for as many marks
    of 0 and 1 as would tell as much: at most each judge's, and no more than there are marks where
    all say the same. It covers the share of all things of which these are a
    sample. At a confidence of 0.95, of 30 marks and more with a share of 0.2 to 0.8, and of 100
    with one of 0.05 to 0.95, 92 to 98% of the intervals hold it. The ends are never the same: 12
    of 12 leave 0.76 to 1. Raises ValueError where there is no mark.
    """
    if not len(marks):
        raise ValueError("there is no mark to take a share of")
    values = np.asarray(marks, dtype=np.float64)
    mean, spread, z = float(values.mean()), float(values.var()), _z(confidence)
    alike = mean * (1 - mean)  # the variance of marks of 0 and 1 with this mean
    told = len(values) * (min(judges, alike / spread) if spread else judges if alike else 1)
    centre = (told * mean + z**2 / 2) / (told + z**2)
    reach = z / (told + z**2) * math.sqrt(told * alike + z**2 / 4)
    return mean, max(0.0, centre - reach), min(1.0, centre + reach)


def share_difference(
    before: Sequence[Mark], after: Sequence[Mark], *, confidence: float
) -> tuple[float, float, float]:
    """A share after less the share before, with the ends of its interval.

    Entry i of both is of the same prompt; what is None counts for neither part nor whole, so the
    wholes may differ. The interval is Wald's for paired ratios (delta method) after half a prompt
    of each kind (no–no, no–yes, yes–no, yes–yes) is added, as Agresti and Min (2005, Statistics
    in Medicine 24:729) do for paired proportions. It covers the difference over
    all prompts of which these are a sample. At a confidence of 0.95, of 120 or 256 prompts 92 to
    98% of the intervals hold it; where only one or two prompts have the property, more do. The
    values are nan where nothing counts before, or after.
    Raises ValueError where there is no pair or a mark without partner.
    """
    if len(before) != len(after) or not len(before):
        raise ValueError(f"{len(before)} marks before and {len(after)} after are no pairs")
    columns = np.array([[_counts(mark) for mark in marks] for marks in (before, after)], float)
    part, whole = columns[..., 0], columns[..., 1]
    if not whole.sum(1).all():
        return math.nan, math.nan, math.nan
    shares = part.sum(1) / whole.sum(1)
    kinds = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], float)
    part, whole = np.hstack([part, kinds]), np.hstack([whole, np.ones((2, 4))])
    weights = np.concatenate([np.ones(len(before)), np.full(4, 0.5)])
    wholes = whole @ weights
    centres = part @ weights / wholes
    influence = np.diff((part - centres[:, None] * whole) / wholes[:, None], axis=0)[0]
    reach = _z(confidence) * math.sqrt(weights @ influence**2)
    centre = float(centres[1] - centres[0])
    return float(shares[1] - shares[0]), max(-1.0, centre - reach), min(1.0, centre + reach)


def spearman(rows: np.ndarray) -> np.ndarray:
    """The rank correlation of each row, (rows, steps), with the step."""
    ranks = pd.DataFrame(rows).rank(axis=1).to_numpy()
    ranks = ranks - ranks.mean(axis=1, keepdims=True)
    steps = np.arange(rows.shape[1]) - (rows.shape[1] - 1) / 2
    correlation: np.ndarray = ranks @ steps / np.sqrt((ranks**2).sum(axis=1) * (steps**2).sum())
    return correlation


def spearman_interval(values: Sequence[float], *, confidence: float) -> tuple[float, float, float]:
    """A series' rank correlation with the step, and the ends of its interval.

    It covers the mean of that correlation over runs of as many steps with the
    same trend and noise of the same kind: not what another number of steps would give. Fisher's
    z with the variance of ranks, 1.06 / (n − 3) (Fieller, Hartley and Pearson 1957), times
    1 − ρ²/2, since the steps are given and not drawn. Noise of neighbouring steps may be alike:
    n is the number of independent steps that tell as much, (1 − φ) / (1 + φ) of all, with φ the
    autocorrelation of the noise around a cubic curve, without its bias (Kendall 1954).
    At a confidence of 0.95, of 200 steps 92 to 98% of the intervals hold that mean, with φ up to
    0.6, whether there is a trend or none; of 40 steps too with φ up to 0.3, and 87 to 94% with
    0.6. The ends are nan where there are fewer than 10 steps.
    """
    series = np.asarray(values, dtype=float)
    found = float(spearman(series[None])[0])
    steps = len(series)
    if steps < LEAST_STEPS:
        return found, math.nan, math.nan
    alike = _autocorrelation(series)
    effective = max(4.0, steps * (1 - alike) / (1 + alike))
    bounded = max(-1 + steps**-2, min(found, 1 - steps**-2))  # of a perfect order z is infinite
    z = math.atanh(bounded)
    reach = _z(confidence) * math.sqrt(1.06 / (effective - 3) * (1 - bounded**2 / 2))
    return found, math.tanh(z - reach), math.tanh(z + reach)


def _autocorrelation(series: np.ndarray) -> float:
    """The correlation, 0 to 0.95, of neighbours in what a smooth curve leaves of the series."""
    steps = len(series)
    curves = np.polynomial.legendre.legvander(np.linspace(-1, 1, steps), DEGREE)
    noise = series - curves @ np.linalg.lstsq(curves, series, rcond=None)[0]
    if not (noise**2).sum() > 0:
        return 0.0
    alike = float((noise[1:] * noise[:-1]).sum() / (noise**2).sum())
    return max(0.0, min(alike + (1 + DEGREE + 3 * alike) / steps, 0.95))


def _counts(mark: Mark) -> tuple[float, bool]:
    return float(mark or 0), mark is not None


def _z(confidence: float) -> float:
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _resampled_means(
    values: np.ndarray, resamples: int, generator: np.random.Generator
) -> np.ndarray:
    block = max(1, BLOCK // len(values))
    means = [
        values[
            generator.integers(0, len(values), (min(block, resamples - done), len(values)))
        ].mean(1)
        for done in range(0, resamples, block)
    ]
    return np.concatenate(means)


def _levels(values: np.ndarray, means: np.ndarray, confidence: float) -> list[float]:
    """The two quantiles of the resampled means that bound the interval."""
    normal = NormalDist()
    mean = values.mean()
    below = ((means < mean).sum() + (means == mean).sum() / 2) / len(means)
    bias = normal.inv_cdf(float(np.clip(below, 0.5 / len(means), 1 - 0.5 / len(means))))
    deviations = values - mean
    acceleration = (deviations**3).sum() / (6 * (deviations**2).sum() ** 1.5)
    levels = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        shifted = bias + normal.inv_cdf(tail)
        # One outlier at a confidence near 1 would otherwise turn the sign, and the interval.
        levels.append(normal.cdf(bias + shifted / max(1e-9, 1 - acceleration * shifted)))
    return levels
