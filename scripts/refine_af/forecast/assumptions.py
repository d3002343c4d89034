"""What a forecast assumes, one value each, and the range that their ranges leave together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from refine_af.settings.forecast import Forecast

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Assumptions:
    """One value of each thing that section `forecast` states a range of, in the units there.

    `measured` and `repeated` stretch hours: of a measured machine, and of a stage that a finished
    run corrects.
    """

    training: float
    writing: float
    layer_ms: float
    start_s: float
    disk_gb_s: float
    measured: float
    repeated: float
    characters: float
    instruction: float
    task_list: float
    instance: float
    evaluated: float
    prediction: float
    answer: float
    accepted: float
    halves_with: float
    kept: float


WORDS = {
    "training": "the share of the GPU's operations",
    "writing": "the share of its bandwidth",
    "layer_ms": "the time to start a layer",
    "start_s": "the time to start a job",
    "disk_gb_s": "the disk",
    "measured": "how well a measured rate holds",
    "repeated": "how well a finished run repeats",
    "characters": "the characters of a token",
    "instruction": "the length of an instruction",
    "task_list": "the length of stage 1's replies",
    "instance": "the length of an instance",
    "evaluated": "the length of Super-NI's prompts",
    "prediction": "the length of predictions",
    "answer": "the length of answers",
    "accepted": "stage 1's yield",
    "halves_with": "the decline of stage 1's yield",
    "kept": "how many replies hold an instance",
}


@dataclass(frozen=True)
class Estimate:
    """An amount: least, likeliest and most; and what of the assumptions widens it most, or ""."""

    least: float
    likeliest: float
    most: float
    widest: str

    @property
    def triple(self) -> Triple:
        """Least, likeliest, most."""
        return self.least, self.likeliest, self.most

    def times(self, factor: float) -> Estimate:
        """So many of it."""
        least, likeliest, most = (factor * value for value in self.triple)
        return Estimate(least, likeliest, most, self.widest)


def ranges_of(settings: Forecast) -> dict[str, Triple]:
    """The ranges that the section states, by the names of `Assumptions`."""
    parts = (settings, settings.efficiency, settings.lengths, settings.yields)
    return {
        name: next(getattr(part, name) for part in parts if hasattr(part, name)) for name in WORDS
    }


def likely_of(ranges: Mapping[str, Triple]) -> Assumptions:
    """The likeliest value of each."""
    middle: Any = {name: triple[1] for name, triple in ranges.items()}
    return Assumptions(**middle)


def estimated(amount: Callable[[Assumptions], float], ranges: Mapping[str, Triple]) -> Estimate:
    """What an amount comes to. Each assumption is varied by itself, and their effects, which are
    taken for independent, add up in squares of logarithms.
    """
    likely = likely_of(ranges)
    found = amount(likely)
    if not found:
        return Estimate(0.0, 0.0, 0.0, "")
    down = up = 0.0
    widths = dict[str, float]()
    for name, (least, _, most) in ranges.items():
        ends: list[Any] = [{name: least}, {name: most}]
        steps = [math.log(amount(replace(likely, **end)) / found) for end in ends]
        low, high = min(0.0, *steps), max(0.0, *steps)
        down, up = down + low**2, up + high**2
        widths[name] = high - low
    widest = max(widths, key=lambda name: widths[name])
    return Estimate(
        found * math.exp(-math.sqrt(down)),
        found,
        found * math.exp(math.sqrt(up)),
        WORDS[widest] if widths[widest] else "",
    )
