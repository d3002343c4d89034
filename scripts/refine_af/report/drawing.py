"""What every figure of the report is drawn with: one look, and the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

INK, RULE, PAPER = "#24292f", "#d0d7de", "#ffffff"
# Each has a contrast above 3.5 : 1 on white and on near-black; markers and dashes differ too.
BLUE, ORANGE, GREY = "#2f7ebc", "#c96a12", "#7a7f87"
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


def drawn(
    name: str, draw: Callable[..., None], numbers: pd.DataFrame, *, panels: tuple[int, ...] = (1,)
) -> Drawing:
    """The figure that `draw` makes of as many axes as there are panels, of these heights."""
    files = {}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.6, 1.8 + sum(panels) / panels[0]), layout="constrained")
        axes = figure.subplots(len(panels), squeeze=False, sharex=True, height_ratios=panels)
        draw(*axes[:, 0])
        for kind, metadata in {
            "svg": {"Date": None, "Creator": None},
            "png": {"Software": None},
        }.items():
            file = io.BytesIO()
            figure.savefig(file, format=kind, metadata=metadata, dpi=200)
            files[kind] = file.getvalue()
    return Drawing(name, files["svg"], files["png"], numbers)


def legend(axes: Axes) -> None:
    """The legend above the axes, where no line can cross it."""
    figure = axes.get_figure()
    assert figure is not None
    figure.legend(loc="outside upper left", ncols=2, fontsize=9, handlelength=2.4)


def percent() -> FuncFormatter:
    """Shares as the marks of an axis."""
    return FuncFormatter(lambda value, _: f"{100 * value:.0f}%")


def whole_steps() -> MaxNLocator:
    """Six whole numbers or fewer as the marks of an axis."""
    return MaxNLocator(6, integer=True, steps=[1, 2, 5, 10])
