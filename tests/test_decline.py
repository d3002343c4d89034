"""The decline of a pool's yield, fitted to made-up rounds: constant, decaying, drying up, noisy."""

from __future__ import annotations

import math
import random
from itertools import accumulate

import pytest

from refine_af.metrics.decline import Decline
from refine_af.metrics.decline_fit import Forecast, forecast


def fitted(accepted: list[float], asked: float = 1.0) -> Forecast:
    pools = [0.0, *accumulate(accepted)][:-1]
    found = forecast(pools, accepted, [asked] * len(accepted))
    assert found
    return found


def test_rounds_left_by_hand() -> None:
    assert Decline(0, 10.0, 0.0).asked(40, 100) == 6.0
    # 10 · exp(−n / 50): from 0 to 50 they are ∫ exp(n / 50) / 10 dn = 5 · (e − 1).
    falling = Decline(0, 10.0, 1 / 50)
    assert falling.at(50) == pytest.approx(10 / math.e)
    assert falling.asked(0, 50) == pytest.approx(5 * (math.e - 1))
    assert falling.asked(50, 100) == pytest.approx(5 * (math.e**2 - math.e))
    assert falling.asked(60, 50) == 0.0, "it is full"
    assert falling.asked(0, 10**6) == math.inf


def test_a_constant_yield_stays_as_it_is() -> None:
    found = fitted([20.0] * 6)
    assert found.likeliest == found.slightest == Decline(0, 20.0, 0.0)
    likeliest, least, most = found.asked(120, 520)
    assert likeliest == least == 20.0 < most < 400
    # Asked thrice as often for the same, it is a third.
    assert fitted([20.0] * 6, asked=3.0).asked(120, 520)[0] == pytest.approx(60)


def test_a_growing_yield_is_taken_for_a_constant_one() -> None:
    assert fitted([10.0, 20.0, 30.0, 40.0]).likeliest == Decline(0, 25.0, 0.0)


def test_a_decay_is_found_as_it_was_made() -> None:
    pool, accepted = 0.0, []
    for _ in range(8):
        accepted.append(100 * math.exp(-pool / 250))
        pool += accepted[-1]
    found = fitted(accepted)
    assert found.likeliest.start == pytest.approx(100)
    assert found.likeliest.rate == pytest.approx(1 / 250)
    assert found.slightest.rate < 1 / 250 < found.steepest.rate
    likeliest, least, most = found.asked(pool, 1500)
    assert likeliest == pytest.approx(2.5 * (math.exp(6) - math.exp(pool / 250)))
    assert least < likeliest < most


def test_a_yield_that_dries_up_will_not_fill_the_pool() -> None:
    found = fitted([30.0, 8.0, 2.0, 0.0, 0.0, 0.0])
    assert found.asked(40, 1000)[1] > 10**6, "even by the slightest decline that is likely"
    assert fitted([9.0, 0.0, 0.0, 0.0]).asked(9, 100)[1] > 100


def poisson(rng: random.Random, mean: float) -> int:
    """By the gaps between events, which are exponential."""
    passed, events = rng.expovariate(1), 0
    while passed < mean:
        passed, events = passed + rng.expovariate(1), events + 1
    return events


def test_the_range_of_a_noisy_decay_holds_what_was_made() -> None:
    """80% of 200 intervals hold it; fewer than 70% would be 3.5 standard deviations off."""
    rng, held = random.Random(0), 0
    for _ in range(200):
        pools, accepted, pool = [], [], 0
        for _ in range(8):
            pools.append(float(pool))
            accepted.append(float(poisson(rng, 40 * math.exp(-pool / 150))))
            pool += int(accepted[-1])
        found = forecast(pools, accepted, [1.0] * 8)
        assert found
        held += found.slightest.rate <= 1 / 150 <= found.steepest.rate
    assert 140 <= held <= 190


def test_scatter_widens_the_range() -> None:
    quiet, noisy = fitted([20.0, 21.0, 19.0, 20.0] * 2), fitted([40.0, 0.0, 39.0, 1.0] * 2)
    assert noisy.asked(160, 400)[2] > 1.5 * quiet.asked(160, 400)[2]


def test_too_little_foretells_nothing() -> None:
    assert forecast([0, 5, 9], [5, 4, 3], [1.0] * 3) is None
    assert forecast([0, 0, 0, 0], [0, 0, 0, 0], [1.0] * 4) is None
    # All that is known is how many there were at one pool.
    found = forecast([7, 7, 7, 7], [1, 0, 1, 0], [1.0] * 4)
    assert found and found.asked(7, 17) == (20.0, 20.0, 20.0)


def test_a_pool_far_from_0_is_fitted_alike() -> None:
    accepted, pools = [8.0, 4.0, 2.0, 1.0], [10_000.0, 10_008.0, 10_012.0, 10_014.0]
    far = forecast(pools, accepted, [1.0] * 4)
    near = fitted(accepted)
    assert far and far.likeliest.rate == pytest.approx(near.likeliest.rate)
    assert far.asked(10_015, 10_020)[0] == pytest.approx(near.asked(15, 20)[0])
