"""Bootstrap intervals: degenerate cases by hand, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refine_af.intervals import bootstrap_difference


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


@pytest.mark.parametrize("kind", ["normal", "mostly no change"])
def test_about_95_of_100_intervals_hold_the_truth(kind: str) -> None:
    generator = np.random.default_rng(7)
    held = 0
    for run in range(500):
        before = generator.normal(size=119)
        change = generator.normal(0.2, 1.0, 119)
        if kind == "mostly no change":
            change = np.where(generator.random(119) < 0.5, 0.0, change + 0.2)
        after = before + change
        _, low, high = bootstrap_difference(
            before.tolist(), after.tolist(), confidence=0.95, resamples=1000, seed=run
        )
        held += low <= 0.2 <= high
    assert 460 <= held <= 490
