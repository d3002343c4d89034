"""Differences with their intervals: before and after PPO, and refine-af against self-instruct."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from refine_af.metrics.intervals import Mark, bootstrap_difference, share_difference
from refine_af.metrics.significance import Wins, flip_test, wins
from refine_af.metrics.trainings import mean_over_tasks_and_trainings
from refine_af.randomness import derived_seed
from refine_af.records.fixed_prompts import Answer
from refine_af.records.instances import Instance
from refine_af.report.finished_run import ModelRun
from refine_af.report.published import EQUATION_1
from refine_af.report.summaries import Cell, cells, parses, rows_of, sizes
from refine_af.report.trainings import Seeds, independent, seeds_of
from refine_af.rewards.equation_1 import composite, weighed
from refine_af.settings.report import Report
from refine_af.settings.reward import Weights

BY_THE_PAPER = "reward by Eq. 1 of the paper"
BOTH_PARSED = "reward where both answers parsed"
METHODS = ("self-instruct", "refine-af")  # a difference is the second's less the first's


@dataclass(frozen=True)
class Change:
    """A mean before and after, their difference and its interval, over `prompts` paired values."""

    prompts: int
    before: float
    after: float
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """ROUGE-L of refine-af less self-instruct's at a size, each a mean over its trainings.

    `sized_by` is what a size counts, instructions or instances.
    `rouge_l` has the interval for other instances of the same tasks, `low` and `high` are the
    ends of the one for other tasks. `p` is of the permutation test over tasks. Where a method has
    several trainings, the interval and `p`, then of Student's t, are for other seeds too.
    """

    size: str
    sized_by: str
    rouge_l: Change
    low: float
    high: float
    p: float
    wins: Wins
    seeds: dict[str, Seeds]

    @property
    def seeded(self) -> bool:
        """Whether the interval for other tasks and `p` know anything of seeds."""
        return any(each.several for each in self.seeds.values())


def changes(run: ModelRun, weights: Weights, settings: Report) -> dict[str, Change | None]:
    """What PPO did to the reward, the parse rate, the reward beside it, and each component.

    Where `weights`, the run's, weigh the judges otherwise than Eq. 1 of the paper, it is told too.
    None where no prompt has a value before and after. Components exist where an answer parsed:
    their means are over prompts whose answers both did, as is that of the reward beside the rate.
    """
    found = {"reward": reward_change(run, settings)}
    if own_weights(weights):
        found[BY_THE_PAPER] = _mean_change(run, BY_THE_PAPER, _by_the_paper, settings)
    parsed = [[parses(answer) for answer in answers] for answers in zip(*run.answers, strict=True)]
    found["parse_rate"] = share_change(parsed, settings)
    found[BOTH_PARSED] = _mean_change(
        run, BOTH_PARSED, lambda answer: answer.reward if parses(answer) else None, settings
    )
    every = [answer for answers in run.answers for answer in answers]
    for name in dict.fromkeys(name for answer in every for name in answer.components or ()):
        found[name] = _mean_change(run, name, partial(_component, name=name), settings)
    return found


def reward_change(run: ModelRun, settings: Report) -> Change | None:
    """What PPO did to the reward, over all prompts."""
    return _mean_change(run, "reward", lambda answer: answer.reward, settings)


def share_change(marks: Sequence[Sequence[Mark]], settings: Report) -> Change | None:
    """The change of a share; `marks` are of the same prompts before and after.

    Its prompts are those that count before or after; None where none does at one of the two.
    """
    known = [[mark for mark in column if mark is not None] for column in marks]
    if not all(known):
        return None
    difference, low, high = share_difference(*marks, confidence=settings.confidence)
    prompts = sum(pair != (None, None) for pair in zip(*marks, strict=True))
    return Change(prompts, fmean(known[0]), fmean(known[1]), difference, low, high)


def compared(run: ModelRun, settings: Report) -> list[Compared]:
    """The two methods size by size; nothing where one of them was not run."""
    if not set(METHODS) <= set(run.scores["method"]):
        return []
    return [_compared(run, size, settings) for size in sizes(run.scores)]


def against_base(run: ModelRun, settings: Report) -> dict[Cell, tuple[float, float, float]]:
    """By tuned cell, its ROUGE-L less the base's, and the ends of the interval.

    It is for other tasks, and for other seeds where the cell has several trainings.
    """
    rows = rows_of(run.scores, ("base", "")).set_index("task")["rouge_l"]
    tasks = run.instance_scores["task"].to_list()
    # What the interval asks of a task is the sum over its instances, and how many there are.
    base = [[float(rows[task]) for task in tasks]]
    found = {}
    for cell in (each for each in cells(run.scores) if each[1]):
        apart = mean_over_tasks_and_trainings(
            independent(run, cell), tasks, less=base, confidence=settings.confidence
        )
        found[cell] = (apart.mean, apart.low, apart.high)
    return found


def own_weights(weights: Weights) -> bool:
    """Whether a run weighs the components of Eq. 1, but not as the paper does."""
    return weighed(weights).keys() == weighed(EQUATION_1).keys() and weights != EQUATION_1


def rewards(run: ModelRun, weights: Weights, settings: Report) -> dict[str, Change]:
    """The reward of instances and its components, paired by instruction.

    Beside it the paper's Eq. 1, where the run's `weights` are others. Of several instances of an
    instruction the mean counts. Empty where one of the methods was not run, or no instruction has
    an instance of both.
    """
    if not set(METHODS) <= run.instances.keys():
        return {}
    before, after = (
        _by_instruction(run.instances[method], own_weights(weights)) for method in METHODS
    )
    shared = [name for name in before if name in after]
    return {
        name: _difference(
            [before[key][name] for key in shared],
            [after[key][name] for key in shared],
            settings,
            derived_seed(settings.seed, run.name, "instances", name),
        )
        for name in (before[shared[0]] if shared else ())
        if all(name in found[key] for found in (before, after) for key in shared)
    }


def _mean_change(
    run: ModelRun, name: str, value: Callable[[Answer], float | None], settings: Report
) -> Change | None:
    both = [(value(before), value(after)) for before, after in run.answers]
    pairs = [(before, after) for before, after in both if before is not None and after is not None]
    if not pairs:
        return None
    befores, afters = zip(*pairs, strict=True)
    return _difference(befores, afters, settings, derived_seed(settings.seed, run.name, name))


def _component(answer: Answer, name: str) -> float | None:
    return (answer.components or {}).get(name)


def _difference(
    before: Sequence[float], after: Sequence[float], settings: Report, seed: int
) -> Change:
    """The difference of paired values, with its bootstrap interval."""
    difference, low, high = bootstrap_difference(
        before, after, confidence=settings.confidence, resamples=settings.resamples, seed=seed
    )
    return Change(len(before), fmean(before), fmean(after), difference, low, high)


def _compared(run: ModelRun, size: str, settings: Report) -> Compared:
    own = {method: independent(run, (method, size)) for method in METHODS}
    seeds = {method: seeds_of(run, (method, size)) for method in METHODS}
    before, after = (rows.mean(axis=0) for rows in own.values())
    # A whole number of times the difference, for only sums of scores are exact, and so are ties.
    times = math.prod(each.trainings for each in seeds.values())
    differences = ((after - before) * times).tolist()
    tasks = run.instance_scores["task"].to_list()
    found = mean_over_tasks_and_trainings(
        own["refine-af"], tasks, less=own["self-instruct"], confidence=settings.confidence
    )
    seed = {
        what: derived_seed(settings.seed, run.name, what, int(size))
        for what in ("rouge_l", "wins", "permutation")
    }
    p = found.p
    if not any(each.several for each in seeds.values()):
        p = flip_test(differences, tasks, draws=settings.resamples, seed=seed["permutation"])
    return Compared(
        size=size,
        sized_by=run.sized_by,
        rouge_l=_difference(before.tolist(), after.tolist(), settings, seed["rouge_l"]),
        low=found.low,
        high=found.high,
        p=p,
        wins=_wins(run, differences, tasks, settings, seed["wins"]),
        seeds=seeds,
    )


def _wins(
    run: ModelRun, differences: Sequence[float], tasks: Sequence[str], settings: Report, seed: int
) -> Wins:
    base = run.scores[run.scores["method"] == "base"]
    categories = dict(zip(base["task"], base["category"], strict=True))
    return wins(
        differences,
        tasks,
        categories if settings.count_wins_over == "paper" else None,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=seed,
    )


def _by_the_paper(answer: Answer) -> float:
    return composite(answer.components, EQUATION_1)


def _by_instruction(
    instances: Sequence[Instance], by_the_paper: bool
) -> dict[str, dict[str, float]]:
    """Reward and components of each instruction, in the order of its first instance."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in instances:
        values = found.setdefault(row.instruction_id, {})
        paper = {BY_THE_PAPER: composite(row.components, EQUATION_1)} if by_the_paper else {}
        for name, value in {"reward": row.reward, **paper, **row.components}.items():
            values.setdefault(name, []).append(value)
    return {key: {name: fmean(each) for name, each in own.items()} for key, own in found.items()}
