"""Figures 3 to 5: how long the texts are, and how near instructions are to seeds and references."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from refine_af.report.drawing import (
    BLUE,
    GREY,
    INK,
    LOOKS,
    ORANGE,
    Drawing,
    drawn,
    legend,
    percent,
    whole_steps,
)
from refine_af.report.finished_run import ModelRun
from refine_af.report.lengths import PARTS, lengths
from refine_af.report.published import Paper

POOL = "pool"  # whose instructions all methods share
MOST_BINS = 40  # of lengths
DRAWN = 0.99  # of the texts of each line, at least; longer ones are in the numbers alone
EDGES = tuple(step / 20 for step in range(21))  # of the bins of a ROUGE-L F1

Lengths = Mapping[tuple[str, str], Sequence[int]]


def lengths_by_part(run: ModelRun) -> Lengths:
    """The words of each text by (part, method); the instructions are those of the `POOL`."""
    found = {method: lengths(run, method) for method in run.instances}
    parts: dict[tuple[str, str], Sequence[int]] = {}
    for part in PARTS:
        for method, own in found.items():
            parts[part, POOL if part == "instruction" else method] = own[part]
    return parts


def lengths_of_texts(run: ModelRun) -> Drawing:
    """Figure 3: the share of texts by their number of words, a panel each part."""
    found = lengths_by_part(run)
    rows = [
        (part, method, words, texts)
        for (part, method), own in found.items()
        for words, texts in sorted(Counter(own).items())
    ]

    def draw(*panels: Axes) -> None:
        for axes, part in zip(panels, PARTS, strict=True):
            own = {method: counts for (of, method), counts in found.items() if of == part}
            _draw_lengths(axes, own, named=part != "input")
            axes.set_xlabel(f"words of an {part}")
        panels[1].set_ylabel("share of the texts")
        legend(panels[-1])

    numbers = pd.DataFrame(rows, columns=["part", "method", "words", "texts"])
    sources = [*run.sources["pools"], *run.sources["instances"]]
    return drawn(
        f"lengths_{run.name}", draw, numbers, sources, panels=(1,) * len(PARTS), shared=False
    )


def at_most(values: Sequence[float], share: float) -> float:
    """The least value that a share of them does not exceed; nan of none."""
    if not values:
        return math.nan
    return float(np.quantile(np.asarray(values), share, method="inverted_cdf"))


def nearest_seeds(run: ModelRun) -> Drawing:
    """Figure 4: the share of instructions by their ROUGE-L with the nearest seed."""
    found = [row.seed_rouge_l for row in run.neighbours]
    return _nearness(f"nearest_seeds_{run.name}", found, run.sources["neighbours"], "a seed", None)


def nearest_references(run: ModelRun, paper: Paper) -> Drawing | None:
    """Figure 5: the same with the nearest reference, and the paper's mean; None without any."""
    found = with_references(run)
    if not found:
        return None
    return _nearness(
        f"nearest_references_{run.name}",
        found,
        [*run.sources["neighbours"], paper.sources["figure_5"]],
        "a reference",
        paper.nearest_reference,
    )


def with_references(run: ModelRun) -> list[float]:
    """Each instruction's highest ROUGE-L F1 with a reference; empty where none were asked for."""
    found = [row.reference_rouge_l for row in run.neighbours]
    return [value for value in found if value is not None]


def figure_5_numbers(runs: Sequence[ModelRun], paper: Paper) -> pd.DataFrame:
    """A row a model that was compared with references: the mean beside the paper's."""
    rows = []
    for run in runs:
        if found := with_references(run):
            rows.append(
                {
                    "model": run.name,
                    "instructions": len(found),
                    "mean_rouge_l": fmean(found),
                    "median_rouge_l": at_most(found, 0.5),
                    "paper_mean_rouge_l": paper.nearest_reference,
                }
            )
    return pd.DataFrame(rows).round(6)


def _draw_lengths(axes: Axes, found: Mapping[str, Sequence[int]], *, named: bool) -> None:
    """A panel of figure 3: a line a method, in the legend where it is `named` here."""
    most = max((int(at_most(own, DRAWN)) for own in found.values() if own), default=0)
    width = most // MOST_BINS + 1
    bins = most // width + 1
    for method, own in found.items():
        if own:
            counts = np.bincount(np.asarray(own) // width, minlength=bins)[:bins]
            look = LOOKS.get(method)
            axes.stairs(
                counts / len(own),
                width * np.arange(bins + 1) - 0.5,  # whole numbers in the middle of their bins
                color=look.color if look else GREY,
                linestyle=look.line if look else "-",
                linewidth=1.6,
                label=method if named else None,
            )
    axes.set_xlim(left=-0.5)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(whole_steps())
    axes.yaxis.set_major_formatter(percent())


def _nearness(
    name: str, found: Sequence[float], sources: Sequence[str], what: str, printed: float | None
) -> Drawing:
    """The share of instructions by ROUGE-L, with the mean, and with what the paper prints of it."""
    counts, _ = np.histogram(found, EDGES)
    rows = [
        (low, high, int(count), round(count / len(found), 6))
        for (low, high), count in zip(pairwise(EDGES), counts, strict=True)
    ]

    def draw(axes: Axes) -> None:
        axes.bar(EDGES[:-1], counts / len(found), width=0.044, align="edge", color=BLUE)
        mean = fmean(found)
        axes.axvline(mean, color=ORANGE, linestyle="--", label=f"mean, {mean:.2f}")
        if printed is not None:
            label = f"the paper's mean, about {printed:.2f}"
            axes.axvline(printed, color=INK, linestyle=":", linewidth=2, label=label)
        axes.set_xlim(0, 1)
        axes.yaxis.set_major_formatter(percent())
        axes.grid(axis="x", visible=False)
        axes.set_xlabel(f"highest ROUGE-L with {what}")
        axes.set_ylabel("instructions")
        legend(axes)

    numbers = pd.DataFrame(rows, columns=["low", "high", "instructions", "share"])
    return drawn(name, draw, numbers, sources)
