"""What every figure of the report is drawn with: one look, and the same bytes every time."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from refine_af.report.pages import Html, figure

INK, RULE, PAPER = "#24292f", "#d0d7de", "#ffffff"
# Each has a contrast above 3.5 : 1 on white and on near-black; markers and dashes differ too.
BLUE, ORANGE, GREY = "#2f7ebc", "#c96a12", "#7a7f87"


class Look(NamedTuple):
    """How a method's line differs from another's, in print without colour too."""

    color: str
    marker: str
    line: str


LOOKS = {"refine-af": Look(BLUE, "o", "-"), "self-instruct": Look(ORANGE, "s", "--")}
LINE = 0.19  # inches of a line of a legend
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
    """A figure in both formats, the numbers that it shows, and the files that these are from.

    Files are named as seen from the page's folder.
    """

    name: str
    svg: bytes
    png: bytes
    numbers: pd.DataFrame
    sources: Sequence[str]

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
    name: str,
    draw: Callable[..., None],
    numbers: pd.DataFrame,
    sources: Sequence[str],
    *,
    panels: tuple[int, ...] = (1,),
    shared: bool = True,
    inches: float = 1.0,
    size: tuple[float, float] | None = None,
) -> Drawing:
    """The figure that `draw` makes of as many axes as there are panels, of these heights.

    `sources` are the files that `numbers` are from; `shared` panels have one scale of x. `inches`
    is the height of the first panel, to which the others stand as `panels` say. `size` is in
    inches, where it is not as wide and high as the panels ask for.
    """
    files = {}
    with mpl.rc_context(STYLE):
        usual = (4.6, 1.8 + inches * sum(panels) / panels[0])
        whole = Figure(figsize=size or usual, layout="constrained")
        axes = whole.subplots(len(panels), squeeze=False, sharex=shared, height_ratios=panels)
        draw(*axes[:, 0])
        for kind, metadata in {
            "svg": {"Date": None, "Creator": None},
            "png": {"Software": None},
        }.items():
            file = io.BytesIO()
            whole.savefig(file, format=kind, metadata=metadata, dpi=200)
            files[kind] = file.getvalue()
            whole.set_layout_engine("none")  # both formats have the places of the first
    return Drawing(name, files["svg"], files["png"], numbers, sources)


def shown(drawing: Drawing, kind: str, caption: str) -> Html:
    """A figure on the page: its caption, and which files its numbers are in and from.

    Who cannot see it is told the `kind` of chart, and the caption.
    """
    lineage = f"Numbers: figures/{drawing.name}.csv, from {listed_files(drawing.sources)}."
    return figure(drawing.inline(), f"{kind}. {caption}", caption, lineage)


def listed_files(paths: Sequence[str]) -> str:
    """Paths as a caption names them: of several numbered ones in a row the first and the last."""
    runs: list[list[str]] = []
    for path in paths:
        if runs and _follows(runs[-1][-1], path):
            runs[-1].append(path)
        else:
            runs.append([path])
    return ", ".join(
        f"{each[0]} to {PurePosixPath(each[-1]).name}" if len(each) > 1 else each[0]
        for each in runs
    )


def _follows(before: str, after: str) -> bool:
    """Whether two paths in one folder have a number as their names, the one after the other."""
    one, other = PurePosixPath(before), PurePosixPath(after)
    if (one.parent, one.suffix) != (other.parent, other.suffix):
        return False
    numbers = [each.stem for each in (one, other)]
    return all(map(str.isdecimal, numbers)) and int(numbers[1]) == int(numbers[0]) + 1


def legend(axes: Axes) -> None:
    """The legend above the axes, where no line can cross it; beyond two lines the figure grows."""
    whole = axes.get_figure()
    assert isinstance(whole, Figure)
    made = whole.legend(loc="outside upper left", ncols=2, fontsize=9, handlelength=2.4)
    further = math.ceil(len(made.get_texts()) / 2) - 2
    whole.set_size_inches(4.6, whole.get_size_inches()[1] + LINE * max(0, further))


def percent() -> FuncFormatter:
    """Shares as the marks of an axis."""
    return FuncFormatter(lambda value, _: f"{100 * value:.0f}%")


def whole_steps() -> MaxNLocator:
    """Six whole numbers or fewer as the marks of an axis."""
    return MaxNLocator(6, integer=True, steps=[1, 2, 5, 10])
