"""How far apart trainings lie that differ in their seeds alone, in words and tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev

from refine_af.report.course import reward_trend
from refine_af.report.differences import METHODS, reward_change
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, join, paragraph, table
from refine_af.report.published import Paper
from refine_af.report.summaries import cell_name, sizes
from refine_af.report.trainings import Seeds, Spread, seeds_of, spreads
from refine_af.report.wording import (
    confident,
    counted,
    digits_of,
    interval,
    listed,
    number,
    span,
)
from refine_af.settings.report import Report

ONCE = (
    "Each cell was trained once: how far another seed of training would move its score is in no "
    "interval and no p."
)
SINGLE = "{} was trained once, so that its seeds are in neither"
STAGE_2 = "stage 2 was trained once, so that its seed is in neither"


def seeds_told(run: ModelRun) -> str:
    """What a model's intervals and p, of scores on Super-NI, know of seeds."""
    by_size = [
        {method: seeds_of(run, (method, size)) for method in run.instances}
        for size in sizes(run.scores)
    ]
    return " ".join(dict.fromkeys(map(_known, by_size)))


def _known(seeds: Mapping[str, Seeds]) -> str:
    if not any(each.several for each in seeds.values()):
        return ONCE
    trained = listed([f"{method} {_often(each)}" for method, each in seeds.items()])
    unknown = [SINGLE.format(method) for method, each in seeds.items() if not each.several]
    if any(m == "refine-af" and each.several and each.ppo == 1 for m, each in seeds.items()):
        unknown.append(STAGE_2)
    end = f"; but {listed(unknown)}" if unknown else ""
    verb = "was" if len(seeds) == 1 else "were"
    return f"Trained {verb} {trained}. Intervals and p know of these seeds{end}."


def _often(seeds: Seeds) -> str:
    if seeds.ppo == 1:
        return f"with {seeds.sft} seeds of fine-tuning" if seeds.several else "once"
    tuned = f" and {seeds.sft} of fine-tuning after each" if seeds.sft > 1 else ""
    return f"with {seeds.ppo} seeds of stage 2{tuned}"


def cells_over_trainings(run: ModelRun, settings: Report) -> Html:
    """Each tuned cell's score with its interval, and how far its trainings lie apart."""
    found = spreads(run, settings.confidence)
    several = any(len(spread.scores) > 1 for spread in found.values())
    return table(
        f"ROUGE-L of each tuned cell over its trainings, with the {confident(settings.confidence)} "
        f"interval for other tasks{' and seeds' if several else ''}",
        ["", "trainings", "mean", "interval", "SD over trainings", "each training"],
        [
            (
                cell_name(cell),
                f"{len(spread.scores):,}",
                number(spread.estimate.mean, 2),
                span(spread.estimate.low, spread.estimate.high),
                number(spread.deviation, 2),
                ", ".join(number(score, 2) for score in spread.scores.values()),
            )
            for cell, spread in found.items()
        ],
    )


def over_trainings(spread: Spread) -> str:
    """A cell's score, and of several trainings how far apart they lie: `24.10 (SD 0.30 of 3)`."""
    mean = number(spread.estimate.mean, 2)
    count = len(spread.scores)
    return f"{mean} (SD {number(spread.deviation, 2)} of {count:,})" if count > 1 else mean


def of_the_first(run: ModelRun, what: str) -> str:
    """That something is told of stage 2's first seed alone; empty where there is no other."""
    if not run.further:
        return ""
    return f"{what} of the first of {len(run.further) + 1:,} seeds of stage 2."


def ppo_over_seeds(run: ModelRun, settings: Report) -> Html:
    """Figure 2 and the reward of every run of stage 2."""
    if not run.further:
        return paragraph(
            f"{run.algorithm} ran once: how another seed would go is in no interval here."
        )
    runs = run.runs_of_ppo()
    rewards = [reward_change(each, settings) for each in runs]
    trends = [reward_trend(each, settings) for each in runs]
    raw = [trend.raw for trend in trends if trend]
    apart = [reward.difference for reward in rewards if reward]
    rows = []
    for place, (each, trend, reward) in enumerate(zip(runs, trends, rewards, strict=True), 1):
        shown = [number(value, 2) for value in (trend.raw, trend.smoothed)] if trend else ["–"] * 2
        if reward:
            shown += [number(reward.before), number(reward.after)]
            shown += [number(reward.difference, digits_of(reward), signed=True), interval(reward)]
        else:
            shown += ["–"] * 4
        rows.append([f"seed {place}", *shown, f"{len(each.alarms):,}"])
    return join(
        paragraph(
            f"{run.algorithm} ran with {counted(len(runs), 'seed')}.",
            _between("The Spearman correlation of step and mean reward", raw, 2),
            _between("The reward on fixed prompts changed", apart, 3),
            "Whatever else this section tells is of the first.",
        ),
        table(
            f"Stage 2 with each seed; intervals are {confident(settings.confidence)} ones of the "
            "difference, over prompts",
            ["", "Spearman", "smoothed", "before", "after", "difference", "interval", "alarms"],
            rows,
        ),
    )


def beside_the_papers(runs: Sequence[ModelRun], paper: Paper, settings: Report) -> str:
    """How far apart the paper's methods are, and what this run knows of trainings that differ in
    their seeds alone."""
    apart = [
        abs(paper.scores[model, size, METHODS[1]] - paper.scores[model, size, METHODS[0]])
        for model, size in dict.fromkeys((model, size) for model, size, _ in paper.scores)
    ]
    printed = (
        f"In table II the two methods are {number(min(apart), 2)} to {number(max(apart), 2)} "
        "apart, each from one training."
    )
    found = [spread for run in runs for spread in spreads(run, settings.confidence).values()]
    several = [spread for spread in found if len(spread.scores) > 1]
    if not several:
        return (
            f"{printed} Here too each cell was trained once: how far apart two seeds lie is not "
            "known."
        )
    least, most = (number(pick(each.deviation for each in several), 2) for pick in (min, max))
    return (
        f"{printed} Here the trainings of a cell that differ in their seeds alone have a standard "
        f"deviation of {least} to {most} ROUGE-L ({counted(len(several), 'cell')} trained several "
        "times)."
    )


def _between(what: str, values: Sequence[float], digits: int) -> str:
    """The mean, spread and ends of what several seeds gave; empty of fewer than two."""
    if len(values) < 2:
        return ""
    mean, deviation = number(fmean(values), digits, signed=True), number(stdev(values), digits)
    ends = f"{number(min(values), digits)} to {number(max(values), digits)}"
    return f"{what}: {mean} on average, SD {deviation}, {ends}."
