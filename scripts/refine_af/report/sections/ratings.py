"""Ratings by people on the page: figure 6, table IV, and how far raters agree."""

from __future__ import annotations

import math

from refine_af.report.data_tables import PAPERS, table_4_sentence
from refine_af.report.differences import Change
from refine_af.report.drawing import Drawing, shown
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, below, join, paragraph, section, table
from refine_af.report.published import Paper
from refine_af.report.rated import GRADES, MEANS, QUESTIONS, Ratings, Value
from refine_af.report.wording import change_sentence, confident, counted, number, share
from refine_af.settings.ratings import Summary

MEANING = {
    "A": "valid and satisfactory",
    "B": "acceptable, with minor errors",
    "C": "relevant, with significant errors",
    "D": "irrelevant or invalid",
}
IN_WORDS = {
    "rating": "the rating of a reply",
    "task": "the instruction describes a valid task",
    "input": "the input is appropriate for the instruction",
    "output": "the output is correct and acceptable",
}
NAMES = {
    "mean rating": "mean rating, from 4 for A to 1 for D",
    "share A or B": "rated A or B",
    **{f"share {question} yes": IN_WORDS[question] for question in QUESTIONS},
}


def ratings_section(
    run: ModelRun, settings: Summary, drawing: Drawing | None, paper: Paper
) -> Html:
    """What people said of the replies and instances; where none did, how they can."""
    parts = [_none_yet(run.name)]
    if run.ratings:
        parts = [
            _replies(run.ratings, settings, drawing) if drawing else Html(""),
            _instances(run, run.ratings, settings, paper)
            if run.ratings.methods("reviews")
            else Html(""),
            _agreement(run.ratings),
        ]
    return section(f"{run.name}_ratings", "Ratings by people", *parts, level=3)


def _none_yet(model: str) -> Html:
    return paragraph(
        f"None came back yet: the page to rate on is results/ratings_{model}.html; name the files "
        f"that raters export there under ratings.files.{model} in config.yaml, and run again."
    )


def _replies(ratings: Ratings, settings: Summary, drawing: Drawing) -> Html:
    methods = ratings.methods("ratings")
    every = sum(ratings.count("ratings", method) for method in methods)
    legend = "; ".join(f"{grade} {meaning}" for grade, meaning in MEANING.items())
    return join(
        paragraph(
            f"{counted(ratings.raters('ratings'), 'rater')} gave {counted(every, 'rating')} to "
            "replies to the user-oriented instructions, without being told whose they are.",
            _missing(ratings, "ratings"),
            _sentence(ratings, "mean rating", "the mean rating", settings),
        ),
        shown(
            drawing,
            "Stacked bars, a bar a method, from A to D; the numbers follow",
            f"How replies were rated: {legend}.",
        ),
        table(
            "Ratings of the replies, of all raters together",
            ["", *GRADES, "all"],
            [
                (
                    method,
                    *(_part(ratings, f"rating {grade}", "ratings", method) for grade in GRADES),
                    f"{ratings.count('ratings', method):,}",
                )
                for method in methods
            ],
        ),
        _means(ratings, "ratings", settings),
    )


def _instances(run: ModelRun, ratings: Ratings, settings: Summary, paper: Paper) -> Html:
    methods = ratings.methods("reviews")
    printed = {each: paper.reviews.get((run.name, each)) for each in QUESTIONS}
    known = all(value is not None for value in printed.values())
    every = sum(ratings.count("reviews", method) for method in methods)
    return join(
        paragraph(
            f"{counted(ratings.raters('reviews'), 'rater')} gave {counted(every, 'review')} of "
            "drawn instances of the data sets, and answered three questions on each.",
            _missing(ratings, "reviews"),
            table_4_sentence(paper),
        ),
        table(
            "Instances of which people said yes, of all raters together",
            ["", *methods, *([f"{PAPERS} in table IV"] if known else ())],
            [
                (
                    IN_WORDS[question],
                    *(_part(ratings, f"{question} yes", "reviews", method) for method in methods),
                    *([f"{printed[question]:g}%"] if known else ()),
                )
                for question in QUESTIONS
            ],
        ),
        _means(ratings, "reviews", settings),
    )


def _missing(ratings: Ratings, part: str) -> str:
    """What is said of files that are not complete; nothing where all are."""
    missing = ratings.missing(part)
    if not missing:
        return ""
    told = ", ".join(f"{rater} ({count:,} left out)" for rater, count in missing.items())
    return f"Not complete, and counted as far as they go, are the files of: {told}."


def _part(ratings: Ratings, measure: str, whole: str, method: str) -> str:
    """How many answers of a measure a method got, and which share of the whole that is."""
    count = ratings.count(measure, method)
    return f"{count:,} ({share(count, ratings.count(whole, method))})"


def _means(ratings: Ratings, part: str, settings: Summary) -> Html:
    rows: list[tuple[str, str, str]] = []
    for measure in MEANS[part]:
        percent = measure.startswith("share")
        rows.append((NAMES[measure], "", ""))
        for method in ratings.methods(part):
            rows.append(_row(method, ratings.mean(measure, method), percent=percent))
        for (before, after), value in ratings.differences(measure).items():
            rows.append(_row(f"{after} less {before}", value, percent=percent, signed=True))
    return table(
        "Means, and their differences on the same instructions, with "
        f"{confident(settings.confidence)} intervals over instructions; an instruction counts with "
        "its mean over the raters",
        ["", "value", "interval"],
        rows,
    )


def _row(name: str, found: Value, *, percent: bool, signed: bool = False) -> tuple[str, str, str]:
    """A value and its interval; the difference of two shares is in percentage points."""
    scale, digits = (100, 1) if percent else (1, 2)
    unit = "" if not percent else " points" if signed else "%"
    value, low, high = (scale * each for each in found)
    if math.isnan(low):
        return below(name), f"{number(value, digits, signed=signed)}{unit}", "–"
    ends = f"{number(low, digits)} to {number(high, digits)}{unit}"
    return below(name), f"{number(value, digits, signed=signed)}{unit}", ends


def _sentence(ratings: Ratings, measure: str, name: str, settings: Summary) -> str:
    """What may be said of the first pair of methods, as far as the interval permits."""
    pairs = ratings.differences(measure)
    if not pairs:
        return ""
    (before, after), value = next(iter(pairs.items()))
    one, other = (ratings.mean(measure, method).value for method in (before, after))
    change = Change(ratings.count("ratings", after), one, other, value.value, value.low, value.high)
    what = f"From {before} to {after}, {name}"
    return change_sentence(change, what=what, confidence=settings.confidence)


def _agreement(ratings: Ratings) -> Html:
    questions = [*(["rating"] if ratings.methods("ratings") else [])]
    questions += QUESTIONS if ratings.methods("reviews") else []
    found = {question: ratings.agreement(question) for question in questions}
    if not any(found.values()):
        several = any(ratings.raters(part) > 1 for part in MEANS)
        why = "No item was done by all raters" if several else "There was one rater"
        return paragraph(f"{why}: how far raters agree is not known.")
    return table(
        "How far raters agree: the share of pairs of answers to the same item that are the same, "
        "and κ, which is 0 where they agree as often as by chance, and 1 where always",
        ["", "same answer", "κ", "after"],
        [
            # `Cohen's kappa` is after Cohen
            (IN_WORDS[question], share(each[0], 1), number(each[2], 2), each[1].split("'")[0])
            for question, each in found.items()
            if each
        ],
    )
