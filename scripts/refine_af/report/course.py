"""The course of training in numbers: the trend of the reward, and of what it is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

from refine_af.randomness import derived_seed
from refine_af.report.differences import Change
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, join, paragraph, table
from refine_af.report.published import Paper
from refine_af.report.trends import Trend, trend
from refine_af.report.wording import confident, counted, digits_of, interval, number, span
from refine_af.settings.report import Report

PARTS = {"parse rate": "parse_rate", "mean reward among parsed replies": "reward_parsed"}


def course_of_training(
    run: ModelRun, reward: Change | None, settings: Report, paper: Paper
) -> Html:
    """Whether the reward rises with the steps, and how much of that is that more can be parsed."""
    found = reward_trend(run, settings)
    if found is None:
        return paragraph("Too few steps, or rewards all the same: there is no trend to compute.")
    parts = {name: _trend(run, column, settings) for name, column in PARTS.items()}
    return join(
        paragraph(
            f"Over {counted(len(run.steps), 'step')} the mean reward has a Spearman correlation "
            f"of {number(found.raw, 2)} with the step (one-sided permutation p = {found.p:.2g}, "
            "which assumes that steps are exchangeable).",
            f"Smoothed as in figure 2 of the paper, the correlation is {number(found.smoothed, 2)}"
            "; but smoothing alone raises it: of the same rewards in random order, one in twenty "
            f"exceeds {number(found.by_chance, 2)}. The paper prints {_printed(paper)}, and does "
            "not say whether of the raw or of the smoothed rewards.",
        ),
        paragraph(
            "A reply that cannot be parsed gets a fixed low reward, so the mean rises with the "
            "share of those that can, whatever they say. Each by itself has a correlation with the "
            f"step: {'; '.join(_part(name, part) for name, part in parts.items())}.",
        ),
        _figure_2(found, list(parts.items()), reward, settings),
    )


def reward_trend(run: ModelRun, settings: Report) -> Trend | None:
    """The trend of the mean reward over the steps; None where there is none to compute."""
    return _trend(run, "reward_mean", settings)


def _printed(paper: Paper) -> str:
    return ", ".join(f"{model} {value:.3f}" for model, value in paper.spearman.items())


def _trend(run: ModelRun, column: str, settings: Report) -> Trend | None:
    return trend(
        run.steps[column].dropna().to_list(),
        span=settings.span,
        confidence=settings.confidence,
        draws=settings.resamples,
        seed=derived_seed(settings.seed, run.name, "trend"),
    )


def _part(name: str, found: Trend | None) -> str:
    if found is None:
        return f"the {name} none (too few steps, or all the same)"
    return f"the {name} {number(found.raw, 2)} (p = {found.p:.2g})"


def _figure_2(
    found: Trend,
    parts: Sequence[tuple[str, Trend | None]],
    reward: Change | None,
    settings: Report,
) -> Html:
    """The trend, and what chance does to it: the numbers behind the paper's figure 2."""
    smoothed = f"the same, smoothed with span {settings.span}"
    rows = [
        _row("Spearman of step and mean reward", found),
        (smoothed, number(found.smoothed, 2), "–", f"5% exceed {number(found.by_chance, 2)}"),
        *(_row(f"Spearman of step and {name}", part) for name, part in parts if part),
    ]
    if reward:
        signed = number(reward.difference, digits_of(reward), signed=True)
        rows.append(("reward on fixed prompts, after less before", signed, interval(reward), "–"))
    return table(
        f"Figure 2 in numbers; the {confident(settings.confidence)} interval of the correlation is "
        "for runs with the same trend and scatter as this one",
        ["", "this run", "interval", "in random order"],
        rows,
    )


def _row(name: str, found: Trend) -> tuple[str, str, str, str]:
    around = "too few steps" if math.isnan(found.low) else span(found.low, found.high)
    return name, number(found.raw, 2), around, f"p = {found.p:.2g}"
