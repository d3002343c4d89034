"""How far raters agree, beyond what chance alone would give."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction


def agreement(ratings: Sequence[Sequence[str]]) -> tuple[float, float]:
    """The share of pairs of raters that agree on an item, and kappa; a row is a rater's answers.

    Two raters have Cohen's kappa (1960, Educational and Psychological Measurement 20:37), more
    have Fleiss' (1971, Psychological Bulletin 76:378), over the same items in the same order.
    Kappa is nan where all raters give one and the same answer to everything: chance would too.
    Raises ValueError of fewer than two raters, no item, or rows of several lengths.
    """
    if len(ratings) < 2 or not ratings[0] or len({len(row) for row in ratings}) > 1:
        raise ValueError(f"{len(ratings)} rows of {[len(row) for row in ratings]} cannot agree")
    observed = _observed(ratings)
    chance = _cohen(*ratings) if len(ratings) == 2 else _fleiss(ratings)
    kappa = math.nan if chance == 1 else float((observed - chance) / (1 - chance))
    return float(observed), kappa


def _observed(ratings: Sequence[Sequence[str]]) -> Fraction:
    raters, items = len(ratings), len(ratings[0])
    alike = sum(
        count * (count - 1)
        for answers in zip(*ratings, strict=True)
        for count in Counter(answers).values()
    )
    return Fraction(alike, items * raters * (raters - 1))


def _cohen(one: Sequence[str], other: Sequence[str]) -> Fraction:
    """Agreement by chance of two raters who each keep to their own shares of the answers."""
    first, second = Counter(one), Counter(other)
    return Fraction(sum(first[each] * second[each] for each in first), len(one) ** 2)


def _fleiss(ratings: Sequence[Sequence[str]]) -> Fraction:
    """Agreement by chance of raters who all share one share of each answer."""
    counts = Counter(answer for row in ratings for answer in row)
    return Fraction(sum(count**2 for count in counts.values()), counts.total() ** 2)
