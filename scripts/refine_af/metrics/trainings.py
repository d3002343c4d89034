"""How sure a mean over tasks is, of a model that was trained once or several times, by seeds.

The model: a score is a mean, an effect of the task, of the training, of the task in that training,
and of the instance, all random: tasks with their instances are drawn and, for either of two models
by itself, trainings. The variance of the mean is that of whole tasks' residuals of a ratio of sums
(Liang and Zeger 1986, Biometrika 73:13, with their n / (n − 1) in small samples), plus for each
model that of its trainings' means, less what the effects of tasks in trainings give it, which the
first part holds already, where that leaves something (the analysis of variance of two crossed
random factors: Searle, Casella and McCulloch 1992, Variance Components, chapter 4).

Student's t has Satterthwaite's degrees of freedom (1946, Biometrics Bulletin 2:110), no fewer than
a model's trainings less one. In them a model's part counts as what is left times what was seen:
with the square of either, up to 99% of the intervals hold the truth, or as few as 92% of 3
trainings each and 90% of 2. As it is, at a confidence of 0.95, of 12 to 119 tasks and 2 to 6
trainings each, 92 to 98% hold the mean over all tasks and seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A mean over instances and trainings, the ends of its interval, and the two-sided p of 0.

    Of a single task the ends are nan and p is 1.
    """

    mean: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class _Trainings:
    """One side's trainings: their mean sums by task, and what their means tell of its variance.

    `seen` is the variance among the trainings' own means over their number, with `freedom` degrees
    of freedom, and `kept` what effects of a task in a training do not account for of it; all are 0
    of a single training.
    """

    sums: Reals
    seen: float
    kept: float
    freedom: int


def mean_over_tasks_and_trainings(
    trainings: ArrayLike,
    tasks: Sequence[str],
    *,
    less: ArrayLike | None = None,
    confidence: float,
) -> Estimate:
    """The mean score over instances and trainings, or with `less` by how much it is above another.

    `trainings` has a row of scores, one an instance, for each independent training, and `tasks`
    each instance's task. `less` has such rows of the same instances; one row of it may be of a
    model that nobody tuned. With one training on each side it knows nothing of seeds, and is about
    other tasks alone. The module tells the model.
    Raises ValueError where there is no training or instance, or where rows differ in length.
    """
    sizes, rows = _by_task(trainings, tasks)
    others = [] if less is None else [_by_task(less, tasks)[1]]
    sides = [_side(each, sizes) for each in (rows, *others)]
    sums = sides[0].sums - sides[1].sums if others else sides[0].sums
    count, whole = len(sizes), float(sizes.sum())
    mean = float(sums.sum()) / whole
    if count == 1:
        return Estimate(mean, math.nan, math.nan, 1.0)
    over_tasks = count / (count - 1) * float(((sums - mean * sizes) ** 2).sum()) / whole**2
    variance = over_tasks + sum(side.kept for side in sides)
    if not variance:
        return Estimate(mean, mean, mean, 0.0 if mean else 1.0)
    several = [side for side in sides if side.freedom]
    squares = [over_tasks**2 / (count - 1)]
    squares += [side.kept * side.seen / side.freedom for side in several]
    least = min([count - 1, *(side.freedom for side in several)])
    freedom = max(float(least), variance**2 / sum(squares))
    error = math.sqrt(variance)
    reach = float(stdtrit(freedom, (1 + confidence) / 2)) * error
    p = 2 * float(stdtr(freedom, -abs(mean) / error))
    return Estimate(mean, mean - reach, mean + reach, p)


def _by_task(trainings: ArrayLike, tasks: Sequence[str]) -> tuple[Reals, Reals]:
    """How many instances each task has, and the sums of their scores, (trainings, tasks)."""
    rows = np.asarray(trainings, float)
    if rows.ndim != 2 or not rows.size or rows.shape[1] != len(tasks):
        raise ValueError(f"scores of shape {rows.shape} of {len(tasks)} tasks' instances")
    known: dict[str, int] = {}
    numbers = np.array([known.setdefault(task, len(known)) for task in tasks])
    sums = np.stack([np.bincount(numbers, weights=row) for row in rows])
    return np.bincount(numbers).astype(np.float64), sums.astype(np.float64)


def _side(sums: Reals, sizes: Reals) -> _Trainings:
    """What one model's trainings tell of its seeds."""
    count, tasks = sums.shape
    middle = sums.mean(axis=0)
    if count == 1:
        return _Trainings(middle, 0.0, 0.0, 0)
    means = sums.sum(axis=1, keepdims=True) / sizes.sum()
    apart = means - means.mean()
    own = (sums - middle - apart * sizes) / sizes.sum()
    pairs = count * (count - 1)
    seen = float((apart**2).sum()) / pairs
    within = tasks / max(1, tasks - 1) * float((own**2).sum()) / pairs
    return _Trainings(middle, seen, max(0.0, seen - within), count - 1)
