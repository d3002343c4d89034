"""The report's figures, drawn to the same bytes every time: SVG, PNG and the numbers behind."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from refine_af.report.rated import GRADES, Ratings
from refine_af.report.summaries import Cell, cell_means, cells, sizes
from refine_af.report.trends import smoothed


class Look(NamedTuple):
    """How a method's line differs from another's, in print without colour too."""

    color: str
    marker: str
    line: str


INK, RULE, PAPER = "#24292f", "#d0d7de", "#ffffff"
# Each has a contrast above 3.5 : 1 on white and on near-black; markers and dashes differ too.
BLUE, ORANGE, GREY = "#2f7ebc", "#c96a12", "#7a7f87"
LOOKS = {"refine-af": Look(BLUE, "o", "-"), "self-instruct": Look(ORANGE, "s", "--")}
# Of the grades A to D, each with the ink of its letter: the better, the darker.
SHADES = (("#14507d", "#fefefe"), (BLUE, "#fefefe"), ("#b9cfe2", "#101010"), ("#d9d9d6", "#101010"))
# The lines of baselines, in turn: all are grey.
BASELINES = (":", "-.", (0, (1, 4)), (0, (6, 4)), (0, (9, 3, 1, 3, 1, 3)))
STYLE = {
    "svg.hashsalt": "refine-af",  # element ids derive from it, not from chance
    "svg.fonttype": "none",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "figure.facecolor": PAPER,
    "axes.facecolor": "none",
}


@dataclass(frozen=True)
class Drawing:
    """A figure in both formats, and the numbers that it shows."""

    name: str
    svg: bytes
    png: bytes
    numbers: pd.DataFrame

    def inline(self) -> str:
        """The SVG element for a page: its colours follow the page, its ids are its own."""
        text = self.svg.decode("utf-8")
        text = text[text.index("<svg") :]
        # Without what describes a file, and a style sheet that would hold for the whole page.
        text = re.sub(r"<(metadata|style).*?</\1>\s*", "", text, flags=re.DOTALL)
        text = re.sub(r' (?:width|height)="[\d.]+pt"', "", text, count=2)
        text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{self.name}-", text)
        for colour, replacement in {
            INK: "currentColor",
            RULE: "var(--rule)",
            PAPER: "none",
        }.items():
            text = text.replace(colour, replacement)
        return text


def accepted_by_round(name: str, rounds: pd.DataFrame) -> Drawing:
    """Stage 1: the share of each round's items that the pool accepted."""
    numbers = pd.DataFrame({"round": range(1, len(rounds) + 1)})
    numbers["parsed"], numbers["accepted"] = rounds["parsed"], rounds["accepted"]
    numbers["accepted_share"] = (rounds["accepted"] / rounds["parsed"]).round(6)

    def draw(axes: Axes) -> None:
        axes.plot(numbers["round"], numbers["accepted_share"], color=BLUE, marker="o", markersize=4)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(_percent())
        axes.set_xlabel("round")
        axes.set_ylabel("accepted")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))

    return _drawing(f"instructions_{name}", draw, numbers)


def reward_by_step(name: str, steps: pd.DataFrame, span: int, algorithm: str) -> Drawing:
    """Figure 2: the mean reward of each step of training and its moving average."""
    rewards = steps["reward_mean"].to_list()
    numbers = pd.DataFrame({"step": steps["step"], "reward": rewards})
    numbers["moving_average"] = [round(value, 6) for value in smoothed(rewards, span)]

    def draw(axes: Axes) -> None:
        axes.plot(
            numbers["step"],
            rewards,
            color=GREY,
            marker="o",
            markersize=3,
            linestyle="none",
            alpha=0.75,
            label="mean of a step",
        )
        axes.plot(
            numbers["step"],
            numbers["moving_average"],
            color=BLUE,
            linewidth=2,
            label=f"moving average, span {span}",
        )
        axes.set_xlabel(f"{algorithm} step")
        axes.set_ylabel("reward")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
        _legend(axes)

    return _drawing(f"ppo_{name}", draw, numbers)


def score_by_size(name: str, scores: pd.DataFrame) -> Drawing:
    """Figure 7: ROUGE-L against the number of instructions, with the baselines as lines."""
    means = {cell: figures["rouge_l"] for cell, figures in cell_means(scores).items()}
    wanted = cells(scores)
    numbers = pd.DataFrame(
        [(method, size, round(means[method, size], 4)) for method, size in wanted],
        columns=["method", "size", "rouge_l"],
    )

    def draw(axes: Axes) -> None:
        _draw_scores(axes, means, wanted)
        xs = [int(size) for size in sizes(scores)]
        axes.set_xticks(xs, [f"{x:,}" for x in xs])
        axes.set_ylim(bottom=0)
        axes.margins(x=0.08)
        axes.set_xlabel("instructions")
        axes.set_ylabel("ROUGE-L")
        _legend(axes)

    return _drawing(f"superni_{name}", draw, numbers)


def ratings_by_method(name: str, ratings: Ratings) -> Drawing:
    """Figure 6: how often each method's replies were rated A, B, C and D, as shares of a bar."""
    methods = ratings.methods("ratings")
    counts = {
        grade: [ratings.count(f"rating {grade}", method) for method in methods] for grade in GRADES
    }
    numbers = pd.DataFrame({"method": methods, **counts})
    shares = numbers[list(GRADES)].div(numbers[list(GRADES)].sum(axis=1), axis=0)

    def draw(axes: Axes) -> None:
        left = [0.0] * len(methods)
        for grade, (color, ink) in zip(GRADES, SHADES, strict=True):
            bars = axes.barh(
                methods, shares[grade], left=left, height=0.6, color=color, edgecolor=PAPER
            )
            names = [grade if share >= 0.04 else "" for share in shares[grade]]
            axes.bar_label(
                bars,
                names,
                label_type="center",
                color=ink,
            )
            left = [start + share for start, share in zip(left, shares[grade], strict=True)]
        axes.set_xlim(0, 1)
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(_percent())
        axes.set_xlabel("share of the ratings")

    return _drawing(f"ratings_{name}", draw, numbers)


def _draw_scores(axes: Axes, means: Mapping[Cell, float], wanted: Sequence[Cell]) -> None:
    for method in dict.fromkeys(method for method, size in wanted if size):
        points = sorted((int(size), means[method, size]) for name, size in wanted if name == method)
        xs, ys = zip(*points, strict=True)
        look = LOOKS[method]
        axes.plot(
            xs,
            ys,
            color=look.color,
            marker=look.marker,
            linestyle=look.line,
            linewidth=2,
            label=method,
        )
    baselines = [cell for cell in wanted if not cell[1] and means[cell]]  # 0 is the axis
    for number, cell in enumerate(baselines):
        line = BASELINES[number % len(BASELINES)]
        axes.axhline(means[cell], color=GREY, linestyle=line, label=cell[0])


def _drawing(name: str, draw: Callable[[Axes], None], numbers: pd.DataFrame) -> Drawing:
    files = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 2.8), layout="constrained")
        draw(figure.add_subplot())
        for kind, metadata in {
            "svg": {"Date": None, "Creator": None},
            "png": {"Software": None},
        }.items():
            file = io.BytesIO()
            figure.savefig(file, format=kind, metadata=metadata, dpi=200)
            files[kind] = file.getvalue()
    return Drawing(name, files["svg"], files["png"], numbers)


def _legend(axes: Axes) -> None:
    """The legend above the axes, where no line can cross it."""
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(loc="outside upper left", ncols=2, fontsize=9, handlelength=2.4)


def _percent() -> FuncFormatter:
    return FuncFormatter(lambda value, _: f"{100 * value:.0f}%")
