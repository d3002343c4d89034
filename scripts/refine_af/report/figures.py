"""The report's figures: what each shows, and the numbers behind."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from refine_af.report.drawing import (
    BLUE,
    GREY,
    ORANGE,
    PAPER,
    Drawing,
    drawn,
    legend,
    percent,
    whole_steps,
)
from refine_af.report.finished_run import ModelRun
from refine_af.report.rated import GRADES, Ratings
from refine_af.report.trends import moving_average

# Of the grades A to D, each with the ink of its letter: the better, the darker.
SHADES = (("#14507d", "#fefefe"), (BLUE, "#fefefe"), ("#b9cfe2", "#101010"), ("#d9d9d6", "#101010"))


def accepted_by_round(run: ModelRun) -> Drawing:
    """Stage 1: the share of each round's items that the pool accepted."""
    rounds = run.rounds
    numbers = pd.DataFrame({"round": range(1, len(rounds) + 1)})
    numbers["parsed"], numbers["accepted"] = rounds["parsed"], rounds["accepted"]
    numbers["accepted_share"] = (rounds["accepted"] / rounds["parsed"]).round(6)

    def draw(axes: Axes) -> None:
        axes.plot(numbers["round"], numbers["accepted_share"], color=BLUE, marker="o", markersize=4)
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_formatter(percent())
        axes.set_xlabel("round")
        axes.set_ylabel("accepted")
        axes.xaxis.set_major_locator(whole_steps())

    return drawn(f"instructions_{run.name}", draw, numbers, run.sources["pools"])


def reward_by_step(run: ModelRun, span: int) -> Drawing:
    """Figure 2: the mean reward of each step and its moving average, and what it is made of.

    That is the mean reward of the replies that can be parsed, and the share of these.
    """
    steps = run.steps
    numbers = pd.DataFrame({"step": steps["step"], "reward": steps["reward_mean"]})
    numbers["moving_average"] = moving_average(steps["reward_mean"], span)
    numbers["parse_rate"] = steps["parse_rate"]
    numbers["parse_rate_moving_average"] = moving_average(steps["parse_rate"], span)
    numbers["reward_parsed"] = steps["reward_parsed"]
    numbers["reward_parsed_moving_average"] = moving_average(steps["reward_parsed"], span)

    def draw(upper: Axes, lower: Axes) -> None:
        x = numbers["step"]
        points: dict[str, Any] = {"marker": "o", "markersize": 3, "linestyle": "none"}
        upper.plot(x, numbers["reward"], color=GREY, alpha=0.75, label="mean of a step", **points)
        average = f"moving average, span {span}"
        upper.plot(x, numbers["moving_average"], color=BLUE, linewidth=2, label=average)
        parsed: dict[str, Any] = {
            "color": ORANGE,
            "linestyle": "--",
            "label": "the same, of parsed replies",
        }
        upper.plot(x, numbers["reward_parsed_moving_average"], **parsed)
        upper.set_ylabel("reward")
        lower.plot(x, numbers["parse_rate"], color=GREY, alpha=0.75, **points)
        lower.plot(x, numbers["parse_rate_moving_average"], color=BLUE, linewidth=2)
        lower.set_ylabel("parsed")
        lower.yaxis.set_major_formatter(percent())
        lower.set_xlabel(f"{run.algorithm} step")
        lower.xaxis.set_major_locator(whole_steps())
        legend(upper)

    return drawn(f"ppo_{run.name}", draw, numbers, run.sources["ppo"][:1], panels=(2, 1))


def ratings_by_method(run: ModelRun, ratings: Ratings) -> Drawing:
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
        axes.xaxis.set_major_formatter(percent())
        axes.set_xlabel("share of the ratings")

    return drawn(f"ratings_{run.name}", draw, numbers, run.sources["ratings"])
