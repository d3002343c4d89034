"""Method against method over tasks: wins and the test of exchange, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

import refine_af.metrics.significance
from refine_af.metrics.significance import Wins, flip_test, wins

TASKS = ["a", "b", "c", "b", "a", "d"]
DIFFERENCES = [1.0, 0.5, -2.0, -0.5, 2.0, 0.25]  # a +3, b 0, c −2, d +0.25


def won(
    differences: list[float],
    tasks: list[str],
    categories: dict[str, str] | None = None,
    *,
    confidence: float = 0.95,
    seed: int = 0,
) -> Wins:
    return wins(differences, tasks, categories, confidence=confidence, resamples=2000, seed=seed)


def test_tasks_won_lost_and_tied() -> None:
    found = won(DIFFERENCES, TASKS)
    assert (found.better, found.equal, found.worse, found.keys) == (2, 1, 1, 4)
    assert found.share == 0.5 and 0 <= found.low < 0.5 < found.high <= 1


def test_a_tie_is_exact() -> None:
    """0.1 + 0.2 − 0.3 is not 0 in floating point; scores of 4 decimals are whole numbers here."""
    assert 0.1 + 0.2 - 0.3 != 0
    assert won([0.1, 0.2, -0.3, 1.0], ["a", "a", "a", "b"]).equal == 1


def test_the_papers_keys_add_categories_and_the_whole() -> None:
    # x holds a and c (+1), y holds b and d (+0.25), the whole is +1.25: 2 + 2 + 1 of 4 + 2 + 1
    categories = {"a": "x", "b": "y", "c": "x", "d": "y"}
    found = won(DIFFERENCES, TASKS, categories)
    assert (found.better, found.equal, found.worse, found.keys) == (5, 1, 1, 7)
    # Of a run like the paper's: 119 tasks, 12 categories, 1.
    tasks = [f"t{number}" for number in range(119)]
    by_task = {task: f"c{number % 12}" for number, task in enumerate(tasks)}
    assert won([1.0] * 119, tasks, by_task).keys == 132


def test_three_wins_of_three_leave_doubt() -> None:
    found = won([1.0] * 3, ["a", "b", "c"])
    # Agresti and Coull with 5 wins of 7: 0.714 − 1.96 · √(0.714 · 0.286 / 7) = 0.38
    assert found.share == 1 and found.high == 1 and 0.25 < found.low < 0.45


def test_a_single_task_tells_nothing_of_others() -> None:
    found = won([1.0, 2.0], ["a", "a"])
    assert found.better == 1 and math.isnan(found.low) and math.isnan(found.high)


def test_noise_within_tasks_widens_no_more_than_the_number_of_tasks_allows() -> None:
    draw = np.random.default_rng(0)
    tasks = [f"t{number}" for number in range(119) for _ in range(20)]
    differences = draw.normal(0, 1, len(tasks)).round(4).tolist()
    found = won(differences, tasks)
    assert found.high - found.low == pytest.approx(2 * 1.96 * math.sqrt(0.25 / 123), rel=0.1)
    assert won(differences, tasks, seed=1) == won(differences, tasks, seed=1)
    wider = won(differences, tasks, confidence=0.99)
    assert wider.low < found.low < found.high < wider.high


def test_exchanges_are_counted_by_hand() -> None:
    # Sums +3 and −2: of |±3 ± 2| = 5, 1, 1, 5 all four are at least 1.
    assert flip_test([1.0, 2.0, -2.0], list("aab"), draws=100, seed=0) == 1.0
    # Sums 1, 2, 4: only +++ and −−− are as far as 7, 2 of 8; a tied task changes nothing.
    assert flip_test([1.0, 2.0, 4.0], list("abc"), draws=100, seed=0) == 0.25
    assert flip_test([1.0, 2.0, 4.0, 0.0], list("abcd"), draws=100, seed=0) == 0.25
    assert flip_test([0.0, 0.0], list("ab"), draws=100, seed=0) == 1.0


def test_tasks_are_exchanged_whole() -> None:
    """Fifty alike instances of one task are one exchange: no evidence, however many they are."""
    assert flip_test([1.0] * 50, ["a"] * 50, draws=100, seed=0) == 1.0
    assert flip_test([1.0] * 50, [f"t{n}" for n in range(50)], draws=999, seed=0) == 0.001


def test_drawn_exchanges_come_close_to_all_of_them() -> None:
    differences = [0.4, -0.1, 0.3, 0.25, -0.2, 0.5, 0.15, -0.05, 0.35, 0.1, -0.3, 0.45]
    tasks = list("abcdefghijkl")
    every = flip_test(differences, tasks, draws=4096, seed=0)
    drawn = [flip_test(differences, tasks, draws=4000, seed=seed) for seed in range(5)]
    assert drawn == pytest.approx([every] * 5, abs=0.015)
    assert len(set(drawn)) > 1


def test_drawn_exchanges_do_not_depend_on_how_many_are_held_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    differences = np.random.default_rng(0).normal(0.3, 1, 30).round(4).tolist()
    tasks = [f"t{number}" for number in range(30)]
    at_once = flip_test(differences, tasks, draws=999, seed=0)
    monkeypatch.setattr(refine_af.metrics.significance, "BLOCK", 30 * 7)
    assert flip_test(differences, tasks, draws=999, seed=0) == at_once
    assert flip_test(differences, tasks, draws=999, seed=0) == at_once


def test_what_has_no_task_is_refused() -> None:
    with pytest.raises(ValueError, match="2 differences of 1 tasks' instances"):
        won([1.0, 2.0], ["a"])
    with pytest.raises(ValueError, match="0 differences"):
        flip_test([], [], draws=10, seed=0)
