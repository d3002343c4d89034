"""What the ratings tell: figure 6, table IV, how far raters agree, and how sure a difference is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from statistics import fmean

from refine_af.metrics.intervals import bootstrap_difference, share, share_difference
from refine_af.randomness import derived_seed
from refine_af.ratings.agreement import agreement
from refine_af.ratings.items import ANSWERS, QUESTIONS, RATINGS, REVIEW, Key
from refine_af.ratings.returned import Returned
from refine_af.settings.ratings import Summary

COLUMNS = ("measure", "rater", "method", "value", "low", "high")
ITEMS = {RATINGS: "ratings", REVIEW: "reviews"}
GRADES = {"A": 4, "B": 3, "C": 2, "D": 1}

MEAN = "mean rating"  # the one measure that is no share

Row = dict[str, str | int | float]
Value = Callable[[str], float]  # of an answer

# Measures of an answer that have a mean a method, by question.
MEASURES: dict[str, dict[str, Value]] = {
    "rating": {
        MEAN: lambda answer: GRADES[answer],
        "share A or B": lambda answer: answer in ("A", "B"),
    },
    "task": {"share task yes": lambda answer: answer == "yes"},
    "input": {"share input yes": lambda answer: answer == "yes"},
    "output": {"share output yes": lambda answer: answer == "yes"},
}


def summary(raters: Sequence[Returned], key: Key, settings: Summary) -> list[Row]:
    """Rows of the table; an empty rater stands for all of them, an empty method for all methods.

    Counts: "rating A" to "rating D" out of "ratings", "task yes" and so on out of "reviews". Means
    and shares have an interval over instructions, from each instruction's mean over the raters; a
    difference is one method less another, over the instructions that both have. The mean rating's
    interval is the bootstrap's; a share's has a width even where all agree. Kappa is over the
    items that all raters of the part did. "missing ratings" and "missing reviews" of a rater are
    the items of a part that a file which is not complete lacks.
    """
    rows: list[Row] = []
    for part in (RATINGS, REVIEW):
        took_part = [each for each in raters if each.of(part, key)]
        if took_part:
            rows += _counts(took_part, part, key)
            for question in QUESTIONS[part]:
                rows += _means(took_part, part, question, key, settings)
                rows += _agreement(took_part, part, question, key)
    return rows


def _counts(raters: Sequence[Returned], part: str, key: Key) -> Iterator[Row]:
    every = [*((each.rater, [each]) for each in raters), ("", list(raters))]
    for name, among in every:
        for method in key.methods:
            items = [item for item, told in key.items[part].items() if told.method == method]
            done = [(each, item) for each in among for item in items if each.has(part, item)]
            if not done:
                continue
            yield _row(ITEMS[part], name, method, len(done))
            for question in QUESTIONS[part]:
                given = [each.answers[item, question] for each, item in done]
                for answer in ANSWERS[part] if part == RATINGS else ("yes",):
                    measure = f"rating {answer}" if part == RATINGS else f"{question} yes"
                    yield _row(measure, name, method, given.count(answer))
    for each in raters:
        if missing := sum(not each.has(part, item) for item in key.items[part]):
            yield _row(f"missing {ITEMS[part]}", each.rater, "", missing)


def _means(
    raters: Sequence[Returned], part: str, question: str, key: Key, settings: Summary
) -> Iterator[Row]:
    for measure, value in MEASURES[question].items():
        by_method = _by_source(raters, part, question, key, value)
        for method, values in by_method.items():
            yield _mean(measure, method, values, _judges(raters, part, method, key), settings)
        for before, after in combinations(by_method, 2):
            if by_method[before].keys() & by_method[after].keys():
                methods = f"{after} − {before}"
                one, other = by_method[before], by_method[after]
                yield _difference(measure, methods, one, other, settings)


def _by_source(
    raters: Sequence[Returned], part: str, question: str, key: Key, value: Value
) -> dict[str, dict[str, float]]:
    """By method and instruction, the mean over the raters."""
    found: dict[str, dict[str, float]] = {}
    for method in key.methods:
        means = {
            told.source: fmean(
                value(each.answers[item, question]) for each in raters if each.has(part, item)
            )
            for item, told in key.items[part].items()
            if told.method == method and any(each.has(part, item) for each in raters)
        }
        if means:
            found[method] = means
    return found


def _judges(raters: Sequence[Returned], part: str, method: str, key: Key) -> float:
    """How many raters did an item of a method, on average over those that anyone did."""
    items = [item for item, told in key.items[part].items() if told.method == method]
    counts = [sum(each.has(part, item) for each in raters) for item in items]
    return fmean(filter(None, counts))


def _mean(
    measure: str, method: str, values: Mapping[str, float], judges: float, settings: Summary
) -> Row:
    if measure == MEAN:
        nothing = dict.fromkeys(values, 0.0)
        return _row(measure, "", method, *_bootstrap(measure, method, nothing, values, settings))
    told = share([*values.values()], confidence=settings.confidence, judges=judges)
    return _row(measure, "", method, *told)


def _difference(
    measure: str,
    method: str,
    before: Mapping[str, float],
    after: Mapping[str, float],
    settings: Summary,
) -> Row:
    name = f"difference in {measure}"
    if measure == MEAN:
        return _row(name, "", method, *_bootstrap(name, method, before, after, settings))
    one, other = _paired(before, after)
    return _row(name, "", method, *share_difference(one, other, confidence=settings.confidence))


def _bootstrap(
    measure: str,
    method: str,
    before: Mapping[str, float],
    after: Mapping[str, float],
    settings: Summary,
) -> tuple[float, float, float]:
    return bootstrap_difference(
        *_paired(before, after),
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=derived_seed(settings.seed, "ratings", measure, method),
    )


def _paired(
    before: Mapping[str, float], after: Mapping[str, float]
) -> tuple[list[float], list[float]]:
    sources = sorted(before.keys() & after.keys())
    return [before[source] for source in sources], [after[source] for source in sources]


def _agreement(raters: Sequence[Returned], part: str, question: str, key: Key) -> Iterator[Row]:
    if len(raters) < 2:
        return
    items = [item for item in sorted(key.items[part]) if all(e.has(part, item) for e in raters)]
    if not items:
        return
    answers = [[each.answers[item, question] for item in items] for each in raters]
    share, kappa = agreement(answers)
    name = "Cohen's kappa" if len(raters) == 2 else "Fleiss' kappa"
    yield _row(f"agreement {question}", "", "", share)
    yield _row(f"{name} {question}", "", "", kappa)


def _row(
    measure: str,
    rater: str,
    method: str,
    value: float,
    low: float | None = None,
    high: float | None = None,
) -> Row:
    numbers = {"value": value, "low": low, "high": high}
    told = {name: _number(number) for name, number in numbers.items()}
    return {"measure": measure, "rater": rater, "method": method, **told}


def _number(value: float | None) -> str | int:
    """Six decimals; nothing where there is no number."""
    if value is None or value != value:
        return ""
    return value if isinstance(value, int) else f"{value:.6f}"
