"""Differences with their intervals: before and after PPO, and method against method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from refine_af.intervals import Mark, bootstrap_difference, share_difference
from refine_af.randomness import derived_seed
from refine_af.report.finished_run import COMPONENTS, MARKS, ModelRun
from refine_af.report.settings import Report
from refine_af.report.summaries import parses, sizes


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
    found = {"reward": _mean_change(run, "reward", settings)}
    parsed = [[parses(answer) for answer in answers] for answers in zip(*run.answers, strict=True)]
    found["parse_rate"] = _share_change(parsed, settings)
    for name in COMPONENTS:
        found[name] = _mean_change(run, name, settings)
    for place, name in enumerate(MARKS if run.truth else ()):
        marks = [
            [marks[place] for marks in run.truth[when].answers]  # type: ignore[index]
            for when in ("before", "after")
        ]
        found[name] = _share_change(marks, settings)
    return found


def score_changes(run: ModelRun, settings: Report) -> dict[str, Change]:
    """ROUGE-L of refine-af less that of self-instruct by size, where both were run.

    Instances are resampled one by one, so the interval is for other instances of these tasks.
    """
    if not {"self-instruct", "refine-af"} <= set(run.scores["method"]):
        return {}
    return {
        size: _difference(
            run.instance_scores[f"self-instruct_{size}"].to_list(),
            run.instance_scores[f"refine-af_{size}"].to_list(),
            settings,
            derived_seed(settings.seed, run.name, "rouge_l", int(size)),
        )
        for size in sizes(run.scores)
    }


def _mean_change(run: ModelRun, name: str, settings: Report) -> Change | None:
    both = [(getattr(before, name), getattr(after, name)) for before, after in run.answers]
    pairs = [(before, after) for before, after in both if before is not None and after is not None]
    if not pairs:
        return None
    befores, afters = zip(*pairs, strict=True)
    return _difference(befores, afters, settings, derived_seed(settings.seed, run.name, name))


def _difference(
    before: Sequence[float], after: Sequence[float], settings: Report, seed: int
) -> Change:
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
