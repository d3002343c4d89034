"""Method against method in words and a table: how far apart, and what the tests permit to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from refine_af.report.differences import METHODS, Compared
from refine_af.report.pages import Html, join, paragraph, table, tag
from refine_af.report.wording import (
    change_sentence,
    confident,
    digits_of,
    interval,
    number,
    p_value,
    probability,
    sized,
    span,
    standing,
)
from refine_af.settings.report import Report

PERMUTED = (
    "p, of the paired permutation test,",
    "p is the share of random exchanges of the two methods, whole tasks at a time, that set them "
    "at least as far apart.",
)
SEEDED = (
    "p, of Student's t,",
    "Interval and p are of a model in which the task, the training, and the task in a training "
    "have random effects: its variance has a part of the tasks and one of each method's trainings, "
    "and t has Satterthwaite's degrees of freedom, so that a few trainings make it wide.",
)


def difference_by_size(compared: Sequence[Compared], settings: Report, seeds: str) -> Html:
    """How far the methods are apart over all instances, and how sure that is.

    `seeds` says what the tests know of the seeds of training.
    """
    if not compared:
        return Html("")
    sized_by = compared[0].sized_by
    seeded = any(row.seeded for row in compared)
    others = "for other tasks and seeds" if seeded else "for other tasks"
    test, told = SEEDED if seeded else PERMUTED
    sure = confident(settings.confidence)
    of = "p" if seeded else "the p of the permutation test over tasks"
    return join(
        tag("ul", *(tag("li", _size_sentence(row, settings)) for row in compared)),
        paragraph(
            f"A difference counts as shown where its {sure} interval {others} excludes zero and "
            f"{test} is at most {1 - settings.confidence:.2g}, at each number of {sized_by} by "
            f"itself. {told}",
            seeds,
            f"Two intervals: {others} of the kind, and the narrower one, a bootstrap over "
            "instances, for other instances of these tasks alone.",
        ),
        table(
            "ROUGE-L of refine-af less that of self-instruct, paired on instances, with the "
            f"{sure} intervals and {of}",
            [sized_by, *METHODS, "difference", others, "for these tasks", "p"],
            [_difference_row(row) for row in compared],
        ),
    )


def _size_sentence(row: Compared, settings: Report) -> str:
    """What the tests at a size permit to say: where p and the interval do not agree, nothing."""
    change = row.rouge_l
    if not math.isnan(row.low):
        change = replace(change, low=row.low, high=row.high)
    what = f"From self-instruct to refine-af, with {sized(row.size, row.sized_by)}, ROUGE-L"
    test = "t test over tasks and seeds" if row.seeded else "permutation test"
    if change.low <= 0 <= change.high or standing(row, settings):
        said = change_sentence(change, what=what, confidence=settings.confidence)
        return f"{said} The {test} gives {p_value(row.p)}."
    signed = number(change.difference, digits_of(change), signed=True)
    around = f"{confident(settings.confidence)} interval {interval(change)}"
    return (
        f"No difference was shown. {what} changed by {signed} ({around}), but the {test} gives "
        f"{p_value(row.p)}."
    )


def _difference_row(row: Compared) -> list[str]:
    return [
        f"{int(row.size):,}",
        number(row.rouge_l.before, 2),
        number(row.rouge_l.after, 2),
        number(row.rouge_l.difference, 2, signed=True),
        span(row.low, row.high),
        span(row.rouge_l.low, row.rouge_l.high),
        probability(row.p),
    ]
