"""Means over tasks and trainings: by hand, and how often their intervals hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp, ttest_ind

from refine_af.metrics.trainings import Estimate, mean_over_tasks_and_trainings

TASKS = list("abcde")


def estimate(
    rows: list[list[float]], tasks: list[str], less: list[list[float]] | None = None
) -> Estimate:
    return mean_over_tasks_and_trainings(rows, tasks, less=less, confidence=0.95)


def test_of_one_training_with_an_instance_a_task_it_is_students() -> None:
    values = [0.5, 1.5, -1.0, 2.0, 3.0]
    found, known = estimate([values], TASKS), ttest_1samp(values, 0)
    around = known.confidence_interval(0.95)
    assert [found.mean, found.p] == pytest.approx([1.2, known.pvalue])
    assert [found.low, found.high] == pytest.approx([around.low, around.high])
    other = [1.0, 1.0, 1.0, 2.0, 0.0]
    both = estimate([[a + b for a, b in zip(values, other, strict=True)]], TASKS, [other])
    assert both == estimate([values], TASKS)


def test_instances_weigh_and_tasks_count() -> None:
    # a: 3 instances of +1; b: one of −1. Mean 0.5; residuals 3 − 1.5 and −1 − 0.5, so the
    # variance is 2 · (1.5² + 1.5²) / 4² and the reach that of t with one degree, 12.706.
    found = estimate([[1.0, 1.0, 1.0, -1.0]], list("aaab"))
    reach = 12.7062 * math.sqrt(2 * 4.5 / 16)
    assert [found.mean, found.low, found.high] == pytest.approx([0.5, 0.5 - reach, 0.5 + reach])
    # Instances of a task that say the same ten times over say no more.
    once, often = (estimate([[1.0, -0.5, 0.25] * n], list("abc") * n) for n in (1, 10))
    assert [often.low, often.high, often.p] == pytest.approx([once.low, once.high, once.p])


def test_where_seeds_alone_differ_it_is_welchs() -> None:
    """Every task has the same scores, so its variance is 0 and that of the trainings is left."""
    first, second = [3.0, 4.0, 6.5], [1.0, 1.5]
    found = estimate([[v] * 5 for v in first], TASKS, [[v] * 5 for v in second])
    known = ttest_ind(first, second, equal_var=False)
    around = known.confidence_interval(0.95)
    assert [found.mean, found.p] == pytest.approx([3.25, known.pvalue])
    assert [found.low, found.high] == pytest.approx([around.low, around.high])


def test_two_trainings_by_hand() -> None:
    """Tasks a (two instances) and b; sums 6 and 3, then 4 and 5, of three instances.

    Means 3 and 3: seeds give nothing. The tasks' mean sums are 5 and 4, less 3 for each of their
    instances −1 and 1: 2 / 1 · 2 / 9. Trainings have (3 − 3)² as the variance of means.
    """
    found = estimate([[3.0, 3.0, 3.0], [1.0, 3.0, 5.0]], list("aab"))
    reach = 12.706205 * math.sqrt(2 * 2 / 9)  # Student's t of one degree
    assert found.mean == 3 and found.high == pytest.approx(3 + reach)


def test_what_tells_nothing() -> None:
    alone = estimate([[1.0, 2.0], [5.0, 6.0]], ["a", "a"])
    assert alone.mean == 3.5 and alone.p == 1 and math.isnan(alone.low) and math.isnan(alone.high)
    assert estimate([[1.0, 1.0]] * 2, ["a", "b"], [[1.0, 1.0]]) == Estimate(0, 0, 0, 1)
    assert estimate([[2.0, 2.0]] * 2, ["a", "b"], [[1.0, 1.0]]) == Estimate(1, 1, 1, 0)
    wrong: list[list[list[float]]] = [[], [[1.0]], [[]]]
    for rows in wrong:
        with pytest.raises(ValueError, match="of 2 tasks' instances"):
            estimate(rows, ["a", "b"])


def test_more_trainings_narrow_the_interval_and_one_outlier_widens_it() -> None:
    draw = np.random.default_rng(2)
    tasks = [str(number) for number in range(40)]
    base = draw.normal(30, 5, 40)

    def reach(shifts: list[float]) -> float:
        found = estimate([(base + shift).tolist() for shift in shifts], tasks)
        return found.high - found.low

    assert reach([0, 1, 2] * 4) < reach([0, 1, 2]) < reach([0, 1, 9])
    assert reach([0, 0, 0]) == pytest.approx(reach([0]))


RUNS = 500
HELD = range(460, 491)  # of RUNS: 92 to 98%
TRUTH = 0.3

# Tasks, instances of each; deviations of the tasks' own differences, of instances, of trainings
# and of tasks in trainings; trainings of either method.
SETTINGS = [
    (119, 6, (2.0, 4.0, 0.0, 0.0), (3, 3)),  # seeds change nothing but instances
    (119, 6, (2.0, 4.0, 0.2, 0.5), (3, 3)),
    (119, 6, (2.0, 4.0, 0.5, 1.0), (3, 3)),
    (119, 6, (0.5, 10.0, 2.0, 1.0), (3, 3)),  # seeds are nearly all there is
    (119, 6, (2.0, 4.0, 0.5, 1.0), (6, 3)),
    (12, 12, (2.0, 4.0, 0.0, 1.5), (3, 3)),  # the demo's number of tasks
    (12, 12, (0.5, 10.0, 0.5, 1.0), (3, 3)),
    (30, 10, (2.0, 4.0, 2.0, 1.0), (2, 2)),
    (30, 10, (0.5, 10.0, 0.5, 1.0), (5, 5)),
]


def scores(
    draw: np.random.Generator,
    tasks: int,
    each: int,
    spread: tuple[float, float, float, float],
    trainings: tuple[int, int],
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores of both methods' trainings, and each instance's task; every fifth one is small."""
    of_task, of_instance, of_training, within = spread
    sizes = np.where(np.arange(tasks) % 5 == 0, each // 3, each)
    numbers = np.repeat(np.arange(tasks), sizes)
    ease = 20 + draw.normal(0, 8, tasks)[numbers] + draw.normal(0, of_instance, len(numbers))
    better = TRUTH + draw.normal(0, of_task, tasks)[numbers]

    def of(count: int, mean: np.ndarray) -> np.ndarray:
        shift = draw.normal(0, of_training, (count, 1))
        own = draw.normal(0, within, (count, tasks))[:, numbers]
        return mean + shift + own + draw.normal(0, of_instance, (count, len(numbers)))

    names = [f"task{number}" for number in numbers]
    return of(trainings[0], ease + better), of(trainings[1], ease), names


@pytest.mark.parametrize(("tasks", "each", "spread", "trainings"), SETTINGS)
def test_about_95_of_100_intervals_hold_the_truth_of_tasks_and_seeds(
    tasks: int, each: int, spread: tuple[float, float, float, float], trainings: tuple[int, int]
) -> None:
    """p at most 5% and an interval without the truth are the same event, so p holds its level."""
    draw = np.random.default_rng(8)
    held = 0
    for _ in range(RUNS):
        refined, plain, names = scores(draw, tasks, each, spread, trainings)
        found = mean_over_tasks_and_trainings(refined, names, less=plain + TRUTH, confidence=0.95)
        held += found.low <= 0 <= found.high
        assert (found.p > 0.05) == (found.low <= 0 <= found.high)
    assert held in HELD


@pytest.mark.parametrize("of_training", [0.0, 1.0])
@pytest.mark.parametrize("tasks", [12, 119])
def test_about_95_of_100_intervals_of_a_cell_hold_its_mean(tasks: int, of_training: float) -> None:
    draw = np.random.default_rng(9)
    held = 0
    for _ in range(RUNS):
        _, plain, names = scores(draw, tasks, 6, (2.0, 4.0, of_training, 1.0), (1, 3))
        found = mean_over_tasks_and_trainings(plain, names, confidence=0.95)
        held += found.low <= 20 <= found.high
    assert held in HELD


def test_an_interval_over_tasks_alone_is_too_narrow_for_another_seed() -> None:
    """What a single training a method claims where seeds matter: far fewer than 92% hold."""
    draw = np.random.default_rng(10)
    held = 0
    for _ in range(RUNS):
        refined, plain, names = scores(draw, 119, 6, (2.0, 4.0, 0.5, 1.0), (1, 1))
        found = mean_over_tasks_and_trainings(refined, names, less=plain, confidence=0.95)
        held += found.low <= TRUTH <= found.high
    assert held < 400
