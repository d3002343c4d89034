"""Intervals: degenerate cases by hand, and how often each kind holds the truth."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
import pytest
from scipy.stats import spearmanr

from refine_af.metrics.intervals import (
    bootstrap_difference,
    share,
    share_difference,
    spearman,
    spearman_interval,
)
from refine_af.metrics.significance import flip_test, wins
from refine_af.metrics.trainings import mean_over_tasks_and_trainings


def interval(
    before: list[float], after: list[float], *, confidence: float = 0.95, seed: int = 0
) -> tuple[float, float, float]:
    return bootstrap_difference(before, after, confidence=confidence, resamples=2000, seed=seed)


def test_pairs_that_all_differ_by_the_same_leave_no_doubt() -> None:
    assert interval([1.0, 2.0, 3.0], [1.5, 2.5, 3.5]) == (0.5, 0.5, 0.5)


def test_one_pair_tells_nothing_of_the_spread() -> None:
    mean, low, high = interval([1.0], [3.0])
    assert mean == 2.0 and math.isnan(low) and math.isnan(high)


def test_pairing_matters() -> None:
    before = [float(value) for value in range(100)]
    after = [value + 1 + 0.1 * (-1) ** index for index, value in enumerate(before)]
    mean, low, high = interval(before, after)
    assert mean == pytest.approx(1.0)
    assert 0.9 < low < 1.0 < high < 1.1  # unpaired, values of 0..99 would give about 1 ± 8


def test_a_wider_confidence_holds_the_narrower_one_and_a_seed_repeats() -> None:
    drawn = np.random.default_rng(1).normal(0.3, 1.0, 50).tolist()
    zeros = [0.0] * 50
    _, low, high = interval(zeros, drawn)
    _, lower, higher = interval(zeros, drawn, confidence=0.99)
    assert lower < low < high < higher
    assert interval(zeros, drawn, seed=3) == interval(zeros, drawn, seed=3)


def test_one_outlier_at_a_high_confidence_keeps_the_ends_in_order() -> None:
    _, low, high = interval([0.0] * 40, [0.0] * 39 + [1e6], confidence=0.999999)
    assert low <= high


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(ValueError, match="2 values before and 1 after"):
        interval([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="0 values before"):
        interval([], [])


RUNS = 500
HELD = range(460, 491)  # of RUNS: 92 to 98%


def reward_like(draw: np.random.Generator, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Rewards of which some lie at a floor before and fewer after; the truth is 0.2375."""
    ease = draw.normal(size=pairs)  # of a prompt, before and after

    def rewards(mean: float, floored: float) -> np.ndarray:
        reward = mean + 0.2 * ease + draw.normal(0, 0.3, pairs)
        return np.where(draw.random(pairs) < floored, -0.6, reward)

    # (0.5 · 0.95 − 0.6 · 0.05) − (0.35 · 0.85 − 0.6 · 0.15) = 0.445 − 0.2075
    return rewards(0.35, 0.15), rewards(0.5, 0.05)


def mostly_no_change(draw: np.random.Generator, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores that differ for every second pair, by 0.2 on average; the truth is 0.1."""
    before = draw.normal(size=pairs)
    return before, before + np.where(draw.random(pairs) < 0.5, 0, draw.normal(0.2, 1, pairs))


def skewed(draw: np.random.Generator, pairs: int) -> tuple[np.ndarray, np.ndarray]:
    """ROUGE-L of two models, most of it 0 and some 1; the truth is 0.25 · 0.4 − 0.2 · 0.4."""

    def scores(answered: float) -> np.ndarray:
        return np.where(draw.random(pairs) < answered, draw.beta(0.6, 0.9, pairs), 0)

    return scores(0.2), scores(0.25)


@pytest.mark.parametrize("pairs", [120, 256])
@pytest.mark.parametrize(
    ("drawn", "truth"), [(reward_like, 0.2375), (mostly_no_change, 0.1), (skewed, 0.02)]
)
def test_about_95_of_100_bootstrap_intervals_hold_the_truth(
    drawn: Callable[..., tuple[np.ndarray, np.ndarray]], truth: float, pairs: int
) -> None:
    draw = np.random.default_rng(7)
    held = 0
    for run in range(RUNS):
        before, after = drawn(draw, pairs)
        _, low, high = bootstrap_difference(
            before.tolist(), after.tolist(), confidence=0.95, resamples=1000, seed=run
        )
        held += low <= truth <= high
    assert held in HELD


def marks(
    draw: np.random.Generator, prompts: int, shares: tuple[float, float], counted: float
) -> list[list[bool | None]]:
    """Marks before and after; what a prompt is before makes the same likely after."""
    ease = draw.normal(size=prompts)
    columns = []
    for each in shares:
        own = 0.7 * ease + math.sqrt(1 - 0.7**2) * draw.normal(size=prompts)
        marked = own < NormalDist().inv_cdf(each)
        known = draw.random(prompts) < counted
        columns.append([bool(a) if b else None for a, b in zip(marked, known, strict=True)])
    return columns


@pytest.mark.parametrize("prompts", [120, 256])
@pytest.mark.parametrize(
    ("shares", "counted"),
    [
        ((0.5, 0.95), 1.0),  # a parse rate that is learnt
        ((0.97, 0.985), 1.0),  # one that was high
        ((0.15, 0.03), 0.98),  # junk among what parses
        ((0.16, 0.24), 0.63),  # truth among what can be checked
        ((0.2, 0.2), 0.63),
    ],
)
def test_about_95_of_100_intervals_of_shares_hold_the_truth(
    shares: tuple[float, float], counted: float, prompts: int
) -> None:
    draw = np.random.default_rng(11)
    truth = shares[1] - shares[0]
    held = 0
    for _ in range(RUNS):
        before, after = marks(draw, prompts, shares, counted)
        _, low, high = share_difference(before, after, confidence=0.95)
        held += low <= truth <= high
    assert held in HELD


@pytest.mark.parametrize("raters", [1, 3])
@pytest.mark.parametrize(("items", "truth"), [(30, 0.5), (30, 0.8), (100, 0.95), (252, 0.1)])
def test_about_95_of_100_intervals_of_one_share_hold_the_truth(
    items: int, truth: float, raters: int
) -> None:
    draw = np.random.default_rng(13)
    held = 0
    for _ in range(RUNS):
        columns = [marks(draw, items, (truth, truth), 1.0) for _ in range(raters)]
        values = np.mean(np.asarray([column[0] for column in columns], dtype=float), axis=0)
        _, low, high = share(values.tolist(), confidence=0.95, judges=raters)
        held += low <= truth <= high
    assert held in HELD


@pytest.mark.parametrize(("items", "shares"), [(100, (0.7, 0.85)), (252, (0.3, 0.3))])
def test_about_95_of_100_intervals_of_several_raters_shares_hold_the_truth(
    items: int, shares: tuple[float, float]
) -> None:
    draw = np.random.default_rng(14)
    held = 0
    for _ in range(RUNS):
        three = [marks(draw, items, shares, 1.0) for _ in range(3)]
        both = np.mean(np.asarray(three, dtype=float), axis=0)
        _, low, high = share_difference(*both.tolist(), confidence=0.95)
        held += low <= shares[1] - shares[0] <= high
    assert held in HELD


def test_one_share_by_hand() -> None:
    # Wilson: 12 of 12 from 12 / (12 + z²); 1 of 2 around a half by z / 2 / √(2 + z²).
    z = 1.959964
    whole = share([True] * 12, confidence=0.95)
    assert whole[0] == 1 and whole[1:] == pytest.approx((12 / (12 + z**2), 1))
    reach = z / 2 / math.sqrt(2 + z**2)
    half = share([True, False], confidence=0.95)
    assert half[0] == 0.5 and half[1:] == pytest.approx((0.5 - reach, 0.5 + reach))
    # Of two judges who always differ: no more than the four marks that they gave.
    assert share([0.5, 0.5], confidence=0.95, judges=2) == share([1, 0, 1, 0], confidence=0.95)
    with pytest.raises(ValueError, match="no mark"):
        share([], confidence=0.95)


def noisy(draw: np.random.Generator, runs: int, steps: int, alike: float) -> np.ndarray:
    """Noise of variance 1, (runs, steps), whose neighbours correlate by `alike`."""
    noise = draw.normal(size=(runs, steps))
    for step in range(1, steps):
        noise[:, step] = alike * noise[:, step - 1] + math.sqrt(1 - alike**2) * noise[:, step]
    return noise


PLACES = np.linspace(0, 1, 200)


@pytest.mark.parametrize("alike", [0.0, 0.3, 0.6])
@pytest.mark.parametrize(
    "trend",
    [0 * PLACES, 1.5 * PLACES, 4 * PLACES, 2 * (1 - np.exp(-6 * PLACES))],
    ids=["none", "weak", "strong", "saturating"],
)
def test_about_95_of_100_intervals_of_a_trend_hold_the_truth(
    trend: np.ndarray, alike: float
) -> None:
    draw = np.random.default_rng(3)
    truth = float(spearman(trend + noisy(draw, 4000, 200, alike)).mean())
    held = 0
    for series in trend + noisy(draw, RUNS, 200, alike):
        _, low, high = spearman_interval(series.tolist(), confidence=0.95)
        held += low <= truth <= high
    assert held in HELD


def differences(
    draw: np.random.Generator, tasks: int, each: int, apart: tuple[float, float], ties: float
) -> tuple[np.ndarray, list[str]]:
    """ROUGE-L of one method less another's, and each instance's task; the truth is `apart[0]`
    times the share that does not tie.

    `apart` is the mean and deviation of the tasks' own differences; every fifth task has a third
    of the instances.
    """
    sizes = np.where(np.arange(tasks) % 5 == 0, each // 3, each)
    numbers = np.repeat(np.arange(tasks), sizes)
    values = draw.normal(*apart, tasks)[numbers] + draw.normal(0, 4, len(numbers))
    values[draw.random(len(numbers)) < ties] = 0
    return values.round(4), [f"task{number}" for number in numbers]


HIERARCHIES = [
    (12, 12, (0.0, 1.0), 0.9),  # the demo's number of tasks, nearly all the same
    (12, 12, (0.4, 1.0), 0.3),
    (40, 12, (1.5, 1.0), 0.3),
    (119, 12, (0.5, 1.0), 0.5),  # Super-NI's number of tasks
]


@pytest.mark.slow
@pytest.mark.parametrize(("tasks", "each", "apart", "ties"), HIERARCHIES)
def test_about_95_of_100_intervals_of_tasks_won_hold_the_truth(
    tasks: int, each: int, apart: tuple[float, float], ties: float
) -> None:
    draw = np.random.default_rng(5)
    values, names = differences(draw, 100 * tasks, each, apart, ties)
    truth = wins(values.tolist(), names, confidence=0.95, resamples=1, seed=0).share
    held = 0
    for run in range(RUNS):
        values, names = differences(draw, tasks, each, apart, ties)
        found = wins(values.tolist(), names, confidence=0.95, resamples=300, seed=run)
        held += found.low <= truth <= found.high
    assert held in HELD


@pytest.mark.parametrize(("tasks", "each", "apart", "ties"), HIERARCHIES)
def test_about_95_of_100_intervals_over_tasks_hold_the_truth(
    tasks: int, each: int, apart: tuple[float, float], ties: float
) -> None:
    draw = np.random.default_rng(6)
    held = 0
    for _ in range(RUNS):
        values, names = differences(draw, tasks, each, apart, ties)
        found = mean_over_tasks_and_trainings([values], names, confidence=0.95)
        held += found.low <= apart[0] * (1 - ties) <= found.high
    assert held in HELD


@pytest.mark.parametrize("tasks", [12, 119])
def test_of_methods_that_do_not_differ_one_in_twenty_has_a_p_of_5_percent(tasks: int) -> None:
    draw = np.random.default_rng(4)
    rejected = 0
    for run in range(RUNS):
        values, names = differences(draw, tasks, 12, (0.0, 2.0), 0.3)
        rejected += flip_test(values.tolist(), names, draws=499, seed=run) <= 0.05
    assert RUNS - rejected in HELD


def test_shares_by_hand() -> None:
    # 1 of 4 before, 3 of 4 after; with half a prompt of each of four kinds 2 of 6 and 4 of 6.
    before, after = [True, False, False, False], [True, True, True, False]
    difference, low, high = share_difference(before, after, confidence=0.95)
    assert difference == 0.5 and (low + high) / 2 == pytest.approx(1 / 3)
    # Agresti and Min: changed cells 2.5 and 0.5 of 6, so the variance is (3 − 2²/6) / 6².
    reach = 1.959964 * math.sqrt((3 - 2**2 / 6) / 36)
    assert high - low == pytest.approx(2 * reach)
    # No change at all is not certain to be none.
    same, low, high = share_difference([True] * 120, [True] * 120, confidence=0.95)
    assert same == 0 and low == -high and 0.01 < high < 0.02


def test_what_is_not_counted_is_in_no_share() -> None:
    difference, low, high = share_difference(
        [True, False, None, None], [True, None, True, False], confidence=0.95
    )
    assert difference == pytest.approx(2 / 3 - 1 / 2) and low < difference < high
    assert all(map(math.isnan, share_difference([None], [True], confidence=0.95)))
    with pytest.raises(ValueError, match="0 marks before and 1 after"):
        share_difference([], [True], confidence=0.95)


def test_a_trend_by_hand() -> None:
    draw = np.random.default_rng(0)
    series = np.diff(draw.normal(size=101)).tolist()  # neighbours differ more than by chance
    found, low, high = spearman_interval(series, confidence=0.95)
    assert found == pytest.approx(spearmanr(range(100), series).statistic)
    # Fisher's z of 100 ranks; that neighbours differ counts for no more steps than there are.
    reach = 1.959964 * math.sqrt(1.06 / 97 * (1 - found**2 / 2))
    assert math.atanh(high) - math.atanh(low) == pytest.approx(2 * reach)
    # Every step four times over: a quarter as much is known.
    _, lower, higher = spearman_interval(np.repeat(series[:25], 4).tolist(), confidence=0.95)
    assert math.atanh(higher) - math.atanh(lower) > 3 * reach
    assert all(math.isnan(end) for end in spearman_interval(series[:9], confidence=0.95)[1:])
    found, low, high = spearman_interval([float(step) for step in range(50)], confidence=0.95)
    assert found == pytest.approx(1) and 0.99 < low < high <= 1
