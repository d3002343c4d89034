"""Differences with their intervals: paired values, and answers before and after PPO."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean

from refine_af.metrics.intervals import Mark, bootstrap_difference, share_difference
from refine_af.randomness import derived_seed
from refine_af.records.fixed_prompts import Answer
from refine_af.report.finished_run import MARKS, ModelRun
from refine_af.report.summaries import parses
from refine_af.settings.report import Report


@dataclass(frozen=True)
class Change:
    """A mean before and after, their difference and its interval, over `prompts` paired values."""

    prompts: int
    before: float
    after: float
    difference: float
    low: float
    high: float


def changes(run: ModelRun, settings: Report) -> dict[str, Change | None]:
    """The change of reward, parse rate and each component; None where no prompt has both values.

    Components exist where an answer parsed: their means are over prompts whose answers both did.
    Where the truth is known, the shares of `junk` among what parses and of `true` among what can
    be checked follow.
    """
    found = {"reward": _mean_change(run, "reward", lambda answer: answer.reward, settings)}
    parsed = [[parses(answer) for answer in answers] for answers in zip(*run.answers, strict=True)]
    found["parse_rate"] = _share_change(parsed, settings)
    every = [answer for answers in run.answers for answer in answers]
    for name in dict.fromkeys(name for answer in every for name in answer.components or ()):
        score = partial(_component, name=name)
        found[name] = _mean_change(run, name, score, settings)
    for place, name in enumerate(MARKS if run.truth else ()):
        marks = [
            [marks[place] for marks in run.truth[when].answers]  # type: ignore[index]
            for when in ("before", "after")
        ]
        found[name] = _share_change(marks, settings)
    return found


def _component(answer: Answer, name: str) -> float | None:
    return (answer.components or {}).get(name)


def _mean_change(
    run: ModelRun, name: str, value: Callable[[Answer], float | None], settings: Report
) -> Change | None:
    both = [(value(before), value(after)) for before, after in run.answers]
    pairs = [(before, after) for before, after in both if before is not None and after is not None]
    if not pairs:
        return None
    befores, afters = zip(*pairs, strict=True)
    return difference_of(befores, afters, settings, derived_seed(settings.seed, run.name, name))


def difference_of(
    before: Sequence[float], after: Sequence[float], settings: Report, seed: int
) -> Change:
    """The difference of paired values, with its bootstrap interval."""
    difference, low, high = bootstrap_difference(
        before, after, confidence=settings.confidence, resamples=settings.resamples, seed=seed
    )
    return Change(len(before), fmean(before), fmean(after), difference, low, high)


def _share_change(marks: Sequence[Sequence[Mark]], settings: Report) -> Change | None:
    """The change of a share; its prompts are those that count before or after."""
    known = [[mark for mark in column if mark is not None] for column in marks]
    if not all(known):
        return None
    difference, low, high = share_difference(*marks, confidence=settings.confidence)
    prompts = sum(pair != (None, None) for pair in zip(*marks, strict=True))
    return Change(prompts, fmean(known[0]), fmean(known[1]), difference, low, high)
