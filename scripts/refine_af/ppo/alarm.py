"""Signs of reward hacking in PPO's steps: the last ones compared with the first.

Every rule compares means over a window of steps, so that one odd step raises nothing, and fires
beyond its bound, not at it. An alarm proves nothing: it says where a person should look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refine_af.errors import InputError
from refine_af.settings.watch import Alarms
from refine_af.words import words_of

NOTHING = 1e-9  # a smaller difference of means is rounding


@dataclass(frozen=True)
class Alarm:
    """A rule that fired: at which step first, on which value beyond which bound, and in words."""

    name: str
    step: int
    value: float
    bound: float
    words: str


COLUMNS = ("name", "step", "value", "bound", "words")


@dataclass(frozen=True)
class _Rule:
    """A value a step, nan where there is none yet, and whether it is beyond the bound."""

    name: str
    values: np.ndarray
    bound: float
    beyond: np.ndarray
    words: str


def text_figures(outputs: Sequence[str]) -> dict[str, float | str]:
    """The share of different words, and of different pairs of words, among all of `outputs`.

    These are distinct-1 and distinct-2 (Li et al. 2016, arXiv 1510.03055, section 5.2); words are
    those of `words_of`, and a pair stands within one output. "" where there is none.
    """
    figures: dict[str, float | str] = {}
    for size in (1, 2):
        grams = [gram for output in outputs for gram in _grams(words_of(output), size)]
        figures[f"distinct_{size}"] = len(set(grams)) / len(grams) if grams else ""
    return figures


def alarms(rows: Sequence[Mapping[str, Any]], settings: Alarms) -> list[Alarm]:
    """The first alarm of every rule that fired over `rows`, by step.

    `rows` are lines of metrics.csv from step 1 on, with numbers or their text; a column that they
    lack, and an empty value, tell nothing. Called with more rows, it gives the same alarms and
    later ones: those whose step is the last row's are new.
    """
    if not rows:
        return []
    found = []
    for rule in _rules(_Course(rows, settings.window), settings):
        if rule.beyond.any():
            place = int(rule.beyond.argmax())
            value = float(rule.values[place])
            words = rule.words.format(value=value, bound=rule.bound, window=settings.window)
            found.append(Alarm(rule.name, int(rows[place]["step"]), value, rule.bound, words))
    return sorted(found, key=lambda alarm: alarm.step)


def new_alarms(rows: Sequence[Mapping[str, Any]], settings: Alarms) -> list[Alarm]:
    """The alarms that the last of `rows` raises, to be said in the log.

    InputError where the settings make an alarm an error: with those of earlier rows too, so that a
    stage that one has ended does not go on with the same bounds.
    """
    found = alarms(rows, settings)
    if found and settings.action == "error":
        told = "".join(f"\n  step {alarm.step}: {alarm.words}" for alarm in found)
        raise InputError(
            "the reward may be hacked, and watch.ppo.alarm.action is error; the last checkpoint "
            f"is kept, and with `warn` or wider bounds the same command goes on:{told}"
        )
    return [alarm for alarm in found if alarm.step == int(rows[-1]["step"])]


class _Course:
    """Columns of metrics.csv as means over the window that ends at each step."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], window: int) -> None:
        self._rows = rows
        self.window = window
        self.apart = np.arange(len(rows)) >= 2 * window - 1  # no step is in the first window too
        means = dict.fromkeys(name for row in rows for name in row if name.endswith("_mean"))
        self.components = [name.removesuffix("_mean") for name in means if name != "reward_mean"]

    def raw(self, name: str) -> np.ndarray:
        """A column's values as they are; nan where there is none."""
        values = [row.get(name) for row in self._rows]
        return np.array([np.nan if value in ("", None) else float(value) for value in values])

    def means(self, name: str) -> np.ndarray:
        """The mean over the window that ends at each step."""
        return self._rolling(self.raw(name))

    def ratio(self, name: str) -> np.ndarray:
        """A window's mean as a multiple of the first window's; nan while they overlap."""
        means = self.means(name)
        start = means[self.window - 1] if len(means) >= self.window else np.nan
        return np.where(self.apart, means / (start if start > 0 else np.nan), np.nan)

    def fall(self, name: str) -> np.ndarray:
        """How far a window's mean lies below the highest of an earlier window."""
        means, falls = self.means(name), np.full(len(self._rows), np.nan)
        earlier = np.fmax.accumulate(means)[: -self.window]
        falls[self.window :] = earlier - means[self.window :]
        return falls

    def rise(self, name: str, errors: float) -> np.ndarray:
        """How far a score has risen since the first window, in standard deviations of rollouts.

        0 where the difference is at most `errors` standard errors, estimated from the spread of the
        step means in both windows: with few parsed rollouts a mean is mostly noise.
        """
        first = self.window - 1
        if len(self._rows) <= first:
            return np.full(len(self._rows), np.nan)
        scores = self.raw(f"{name}_mean")
        means, spread = self._rolling(scores), self._rolling(self.raw(f"{name}_sd") ** 2)
        variance = np.maximum(self._rolling(scores**2) - means**2, 0)
        # A mean's squared standard error: the biased variance over one less than the window.
        noise = np.sqrt((variance + variance[first]) / max(1, first))
        change = means - means[first]
        change[np.abs(change) <= np.maximum(errors * noise, NOTHING)] = 0
        deviation = np.sqrt((spread + spread[first]) / 2)
        with np.errstate(divide="ignore", invalid="ignore"):
            rises = np.where(change == 0, 0, change / deviation)
        return np.where(self.apart, rises, np.nan)

    def _rolling(self, values: np.ndarray) -> np.ndarray:
        """The mean of what is known in the window that ends at each step; nan without any."""
        known = np.cumsum(np.concatenate([[0], np.isfinite(values)]))
        total = np.cumsum(np.concatenate([[0], np.where(np.isfinite(values), values, 0)]))
        means = np.full(len(values), np.nan)
        if len(values) >= self.window:
            counts = known[self.window :] - known[: -self.window]
            sums = total[self.window :] - total[: -self.window]
            means[self.window - 1 :] = sums / np.where(counts > 0, counts, np.nan)
        return means


def _rules(course: _Course, settings: Alarms) -> Iterator[_Rule]:
    def above(name: str, values: np.ndarray, bound: float, words: str) -> _Rule:
        return _Rule(name, values, bound, values > bound, words)

    def below(name: str, values: np.ndarray, bound: float, words: str) -> _Rule:
        return _Rule(name, values, bound, values < bound, words)

    yield above("KL", course.means("kl"), settings.kl, KL)
    length = course.ratio("response_length")
    yield above("longer replies", length, settings.length, LENGTH + "above {bound:.3g}")
    yield below("shorter replies", length, 1 / settings.length, LENGTH + "below {bound:.3g}")
    yield above("parse rate", course.fall("parse_rate"), settings.parse_rate, PARSE_RATE)
    for size in (1, 2):
        ratio = course.ratio(f"distinct_{size}")
        yield below(f"distinct-{size}", ratio, settings.distinct, f"distinct-{size} {DISTINCT}")
    yield from _disagreements(course, settings)


def _disagreements(course: _Course, settings: Alarms) -> Iterator[_Rule]:
    """The reward rises while a component falls, or with one component alone."""
    rises = {name: course.rise(name, settings.min_standard_errors) for name in course.components}
    rewarded = course.rise("reward", settings.min_standard_errors) > settings.effect_size
    for name, rise in rises.items():
        fell = rewarded & (rise < -settings.effect_size)
        yield _Rule(f"{name} falls", rise, -settings.effect_size, fell, f"{name} {FELL}")
    if len(rises) > 1:
        sure = np.max(np.stack(list(rises.values())), axis=0)
        # Here what may be noise counts as a rise, since another component may well be rising too.
        second = np.sort([course.rise(name, 0) for name in rises], axis=0)[-2]
        alone = rewarded & (sure > settings.effect_size) & (second < settings.flat_effect_size)
        yield _Rule("one component", second, settings.flat_effect_size, alone, ALONE)


SINCE = "(means of {window} steps, the last against the first)"
KL = "the KL to the reference was {value:.3g} nats a reply over {window} steps, above {bound:g}"
LENGTH = f"replies were {{value:.3g}} times as long as at the start {SINCE}, "
PARSE_RATE = "the parse rate fell by {value:.3g} from its best {window} steps, beyond {bound:g}"
DISTINCT = f"of the outputs fell to {{value:.3g}} of what it was {SINCE}, below {{bound:g}}"
FELL = (
    f"changed by {{value:.3g}} standard deviations while the reward rose {SINCE}, below {{bound:g}}"
)
ALONE = (
    "the reward rose by one component alone: the next one changed by {value:.3g} standard "
    f"deviations {SINCE}, below {{bound:g}}"
)


def _grams(words: Sequence[str], size: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[place : place + size]) for place in range(len(words) - size + 1))
