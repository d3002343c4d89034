"""Figure 8: the commonest verbs of the instructions in a ring, their commonest nouns around it."""

from __future__ import annotations

import colorsys
import math
import warnings
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Wedge

from refine_af.report.drawing import Drawing, drawn
from refine_af.report.finished_run import ModelRun

SIDE = 6.4  # inches
# Not the page's own ink and paper, which a page in the dark turns: these stand on light colours.
INK, EDGE = "#101010", "#fefefe"
INNER, OUTER = (0.24, 0.62), (0.64, 1.0)  # from where to where a ring reaches, of the radius
LARGEST, SMALLEST = 8.0, 4.0  # points of a word; it has none where the wedge is too narrow
LONGEST = 16  # characters of a word
HUES = 7  # of 20 colours of the wheel the next is so many further: neighbours differ


class Slice(NamedTuple):
    """A wedge of a ring: where it begins and ends, in degrees, what it says, and which verb's."""

    start: float
    end: float
    word: str
    verb: int


def verb_ring(run: ModelRun, pairs: pd.DataFrame, verbs: int, nouns: int) -> Drawing:
    """The commonest verbs, and of each its commonest nouns, as wide as they are common.

    A verb is as common as its pairs together; ties go by the alphabet. Source: the order of
    self-instruct@0b26ccaa, instruction_visualize.ipynb.
    """
    numbers = commonest(pairs, verbs, nouns)

    def draw(axes: Axes) -> None:
        axes.set(aspect="equal", xlim=(-1, 1), ylim=(-1, 1))
        axes.axis("off")
        inner, outer = slices(numbers)
        for ring, reach, lightness in ((inner, INNER, 0.76), (outer, OUTER, 0.87)):
            for each in ring:
                _draw(axes, each, reach, lightness)

    with warnings.catch_warnings():
        # A model's word may have letters that no font here has: the PNG then shows a box.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font")
        name, sources = f"diversity_{run.name}", run.sources["diversity"]
        return drawn(name, draw, numbers, sources, size=(SIDE, SIDE))


def commonest(pairs: pd.DataFrame, verbs: int, nouns: int) -> pd.DataFrame:
    """The rows of `pairs` that the figure shows: verb by verb, the commonest first."""
    ordered = pairs.sort_values(["instructions", "verb", "noun"], ascending=[False, True, True])
    totals = ordered.groupby("verb")["instructions"].sum().reset_index()
    first = totals.sort_values(["instructions", "verb"], ascending=[False, True])["verb"][:verbs]
    parts = [ordered[ordered["verb"] == verb][:nouns] for verb in first]
    shown: pd.DataFrame = pd.concat([ordered[:0], *parts], ignore_index=True)
    return shown


def slices(numbers: pd.DataFrame) -> tuple[list[Slice], list[Slice]]:
    """The wedges of both rings, clockwise from the top; a verb's is as wide as its nouns' are."""
    inner, outer = [], []
    whole, angle = int(numbers["instructions"].sum()), 90.0
    for place, (verb, rows) in enumerate(numbers.groupby("verb", sort=False)):
        start = angle
        for noun, count in zip(rows["noun"], rows["instructions"], strict=True):
            end = angle - 360 * count / whole
            outer.append(Slice(end, angle, str(noun), place))
            angle = end
        inner.append(Slice(angle, start, str(verb), place))
    return inner, outer


def shown_word(word: str) -> str:
    """A word as a reader is told it: cut short, and without characters that cannot be seen."""
    seen = "".join(each if each.isprintable() else "\ufffd" for each in word[:LONGEST])
    return f"{seen}…" if len(word) > LONGEST else seen


def _draw(axes: Axes, each: Slice, reach: tuple[float, float], lightness: float) -> None:
    low, high = reach
    color = colorsys.hls_to_rgb(each.verb * HUES % 20 / 20, lightness, 0.6)
    wedge = Wedge((0, 0), high, each.start, each.end, width=high - low, facecolor=color)
    wedge.set(edgecolor=EDGE, linewidth=0.6)
    axes.add_patch(wedge)
    middle, radius = math.radians((each.start + each.end) / 2), (low + high) / 2
    room = math.radians(each.end - each.start) * radius * SIDE / 2 * 72  # points across the wedge
    size = min(LARGEST, 0.8 * room)
    if size < SMALLEST:
        return
    degrees = math.degrees(middle) % 360
    axes.text(
        radius * math.cos(middle),
        radius * math.sin(middle),
        shown_word(each.word),
        rotation=degrees + 180 if 90 < degrees < 270 else degrees,
        rotation_mode="anchor",
        ha="center",
        va="center",
        fontsize=size,
        color=INK,
        parse_math=False,  # a dollar sign is what a model wrote, and no formula
    )
