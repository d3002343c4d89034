"""Learning curves: what PPO's steps and the updates of fine-tuning measured, in small panels."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from refine_af.report.drawing import BLUE, GREY, LOOKS, Drawing, drawn, legend, whole_steps
from refine_af.report.finished_run import ModelRun
from refine_af.report.trends import moving_average
from refine_af.report.wording import words

# The figures of a step, in the order of their panels, each with the name of its axis.
MEASURES = {
    "kl": "KL (nats)",
    "entropy": "entropy (nats)",
    "response_length": "reply (tokens)",
    "clip_fraction": "share clipped",
    "value_loss": "value loss",
}
PANEL_INCHES = 0.85


def measured(steps: pd.DataFrame) -> dict[str, str]:
    """The columns that have a curve, each with the name of its axis: MEASURES, then components.

    One without a value in any step, as of an algorithm that lacks it, has none.
    """
    means = [name for name in map(str, steps) if name.endswith("_mean") and name != "reward_mean"]
    named = {**MEASURES, **{name: words(name.removesuffix("_mean")) for name in means}}
    return {
        name: label
        for name, label in named.items()
        if name in steps and bool(steps[name].notna().any())
    }


def curves_by_step(run: ModelRun, span: int) -> Drawing | None:
    """What each step measured, and its moving average, a panel each; None of no measure at all."""
    steps = run.steps
    labels = measured(steps)
    if not labels:
        return None
    numbers = pd.DataFrame({"step": steps["step"]})
    for column in labels:
        numbers[column] = steps[column]
        numbers[f"{column}_moving_average"] = moving_average(steps[column], span)

    def draw(*panels: Axes) -> None:
        x = numbers["step"]
        points: dict[str, Any] = {"marker": "o", "markersize": 2.5, "linestyle": "none"}
        for axes, (column, label) in zip(panels, labels.items(), strict=True):
            first = axes is panels[0]
            mean = "of a step" if first else None
            axes.plot(x, numbers[column], color=GREY, alpha=0.75, label=mean, **points)
            average = f"moving average, span {span}" if first else None
            axes.plot(x, numbers[f"{column}_moving_average"], color=BLUE, label=average)
            axes.set_ylabel(label, fontsize=7)
        panels[-1].set_xlabel(f"{run.algorithm} step")
        panels[-1].xaxis.set_major_locator(whole_steps())
        legend(panels[0])

    name, panels = f"curves_{run.name}", (1,) * len(labels)
    sources = [f"{folder}/metrics.csv" for folder in run.sources["ppo"][:1]]
    return drawn(name, draw, numbers, sources, panels=panels, inches=PANEL_INCHES)


def loss_by_epoch(run: ModelRun, span: int) -> Drawing:
    """The loss of fine-tuning's updates and its moving average: a panel a size, a line a method."""
    tables = []
    for (method, size), cell in run.tuned.items():
        table = pd.DataFrame({"method": method, "size": size, **cell.history})
        table["loss_moving_average"] = moving_average(table["loss"], span)
        tables.append(table)
    numbers = pd.concat(tables, ignore_index=True)
    sizes = sorted({size for _, size in run.tuned}, key=int)

    def draw(*panels: Axes) -> None:
        for axes, size in zip(panels, sizes, strict=True):
            for method, rows in numbers[numbers["size"] == size].groupby("method", sort=False):
                look = LOOKS[str(method)]
                axes.plot(rows["epoch"], rows["loss"], color=look.color, alpha=0.25, linewidth=0.8)
                label = str(method) if axes is panels[0] else None
                axes.plot(
                    rows["epoch"],
                    rows["loss_moving_average"],
                    color=look.color,
                    linestyle=look.line,
                    label=label,
                )
            axes.set_ylabel(f"loss, {int(size):,}", fontsize=8)
        panels[-1].set_xlabel("epoch")
        legend(panels[0])

    name, panels = f"sft_{run.name}", (1,) * len(sizes)
    sources = [f"{folder}/history.csv" for folder in run.sources["adapters"]]
    return drawn(name, draw, numbers, sources, panels=panels)


def ends(table: pd.DataFrame, share: int = 10) -> tuple[int, pd.DataFrame, pd.DataFrame]:
    """The first and the last rows, a tenth of all each and at least one, and how many these are."""
    count = max(1, len(table) // share)
    return count, table.head(count), table.tail(count)
