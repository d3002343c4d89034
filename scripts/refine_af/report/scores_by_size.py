"""Figure 7: ROUGE-L against the size of the data, how sure it is, and the paper's beside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
from matplotlib.axes import Axes

from refine_af.report.drawing import GREY, LOOKS, PAPER, Drawing, drawn, legend
from refine_af.report.finished_run import ModelRun
from refine_af.report.published import Paper
from refine_af.report.summaries import Cell, cell_means, cells, sizes
from refine_af.report.trainings import seeds_of, spreads
from refine_af.report.wording import confident, listed, number
from refine_af.settings.report import Report

# The lines of baselines, in turn: all are grey.
BASELINES = (":", "-.", (0, (1, 4)), (0, (6, 4)), (0, (9, 3, 1, 3, 1, 3)))
APART = 0.012  # of the axis: so far beside its size stands a method's point


@dataclass(frozen=True)
class Point:
    """A cell's ROUGE-L, the ends of its interval, and what the paper prints.

    The interval is for other tasks, and for other seeds where the cell has several trainings.
    The ends are nan of a baseline and of a single task, the last is nan where it prints nothing.
    """

    rouge_l: float
    low: float
    high: float
    printed: float


Points = Mapping[Cell, Point]


def score_by_size(run: ModelRun, paper: Paper, settings: Report) -> Drawing:
    """A line a method with its intervals, the baselines as lines, the paper's as hollow marks."""
    points = _points(run, paper, settings)
    rows = [
        (method, size, *(round(value, 4) for value in (p.rouge_l, p.low, p.high, p.printed)))
        for (method, size), p in points.items()
    ]
    columns = ["method", "size", "rouge_l", "low", "high", "paper_rouge_l"]
    xs = [int(size) for size in sizes(run.scores)]

    def draw(axes: Axes) -> None:
        methods = list(dict.fromkeys(method for method, size in points if size))
        for place, method in enumerate(methods):
            aside = APART * (xs[-1] - xs[0] or xs[0]) * (2 * place - len(methods) + 1)
            _draw_method(axes, method, points, aside)
        _draw_baselines(axes, points)
        axes.set_xticks(xs, [f"{x:,}" for x in xs])
        axes.set_ylim(bottom=0)
        axes.margins(x=0.08)
        axes.set_xlabel(run.sized_by)
        axes.set_ylabel("ROUGE-L")
        legend(axes)

    sources = [*run.sources["tables"], *run.sources["scores"]]
    sources += [paper.sources["table_2"]] if _any_printed(points) else []
    return drawn(f"superni_{run.name}", draw, pd.DataFrame(rows, columns=columns), sources)


def caption(run: ModelRun, paper: Paper, settings: Report) -> str:
    """What one sees of figure 7, and whether a larger size goes with a higher score."""
    points = _points(run, paper, settings)
    tuned = [cell for cell in points if cell[1]]
    seeds = " and seeds" if any(seeds_of(run, cell).several for cell in tuned) else ""
    around = (
        f", each point with its {confident(settings.confidence)} interval for other tasks{seeds} "
        "of the kind"
        if any(_known(point.low) for point in points.values())
        else ""
    )
    printed = " Hollow marks are what the paper prints in table II." if _any_printed(points) else ""
    return (
        f"ROUGE-L against the number of {run.sized_by} (figure 7){around}; a horizontal line is an "
        f"untuned model, or a copy that takes no model.{printed} {_course(points, run.sized_by)}"
    ).strip()


def _points(run: ModelRun, paper: Paper, settings: Report) -> Points:
    means = cell_means(run.scores)
    known = spreads(run, settings.confidence)
    points = {}
    for method, size in cells(run.scores):
        low = high = math.nan
        if size:
            estimate = known[method, size].estimate
            low, high = estimate.low, estimate.high
        printed = paper.scores.get((run.name, size, method), math.nan)
        points[method, size] = Point(means[method, size]["rouge_l"], low, high, printed)
    return points


def _known(value: float) -> bool:
    return not math.isnan(value)


def _any_printed(points: Points) -> bool:
    return any(_known(point.printed) for point in points.values())


def _course(points: Points, sized_by: str) -> str:
    """Whether each method's points rise at every step, fall at every step, or neither."""
    said = []
    for method in dict.fromkeys(method for method, size in points if size):
        # As they are told: a step that nobody sees is none.
        values = [round(points[cell].rouge_l, 2) for cell in points if cell[0] == method]
        if len(values) > 1:
            told = " to ".join(number(value, 2) for value in values)
            said.append(f"the points of {method} {_direction(values)} ({told})")
    return f"With more {sized_by} {listed(said)}." if said else ""


def _direction(values: Sequence[float]) -> str:
    steps = [after - before for before, after in pairwise(values)]
    if all(step > 0 for step in steps):
        return "rise at every step"
    return "fall at every step" if all(step < 0 for step in steps) else "do not rise at every step"


def _draw_method(axes: Axes, method: str, points: Points, aside: float) -> None:
    own = {int(size): point for (name, size), point in points.items() if name == method}
    xs = [size + aside for size in own]
    color, marker, line = LOOKS[method]
    ys = [point.rouge_l for point in own.values()]
    axes.plot(xs, ys, color=color, marker=marker, linestyle=line, linewidth=2, label=method)
    ends = [(x, p.low, p.high) for x, p in zip(xs, own.values(), strict=True) if _known(p.low)]
    if ends:
        axes.vlines(*zip(*ends, strict=True), color=color, linewidth=1.2)
    theirs = [(x, p.printed) for x, p in zip(xs, own.values(), strict=True) if _known(p.printed)]
    if theirs:
        axes.plot(
            *zip(*theirs, strict=True),
            color=color,
            marker=marker,
            markerfacecolor=PAPER,
            linestyle="none",
            label=f"{method}, the paper",
        )


def _draw_baselines(axes: Axes, points: Points) -> None:
    # 0 is the axis
    known = [cell for cell, point in points.items() if not cell[1] and point.rouge_l]
    for place, cell in enumerate(known):
        line = BASELINES[place % len(BASELINES)]
        axes.axhline(points[cell].rouge_l, color=GREY, linestyle=line, label=cell[0])
