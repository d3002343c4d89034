"""Numbers and differences as the page says them, and sentences that several sections share."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from refine_af.report.differences import BY_THE_PAPER, Change, Compared
from refine_af.report.finished_run import ModelRun
from refine_af.report.published import EQUATION_1
from refine_af.report.summaries import cell_means, sizes
from refine_af.rewards.equation_1 import weighed
from refine_af.settings.report import Report
from refine_af.settings.reward import Weights
from refine_af.settings.superni import COPIES

CHANGE_COLUMNS = ("", "before", "after", "difference", "interval", "change", "prompts")


def counted(value: int, one: str, many: str | None = None) -> str:
    """`1 round`, `1,024 rounds`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def sized(size: int | str, by: str) -> str:
    """A size with what it counts: `1 instruction`, `5,000 instances`."""
    return counted(int(size), by.removesuffix("s"))


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """A number with a true minus sign; a dash for one that is not known."""
    if math.isnan(value):
        return "–"
    rounded = round(value, digits) + 0.0  # what rounds to −0 is 0
    text = f"{rounded:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", "−")


def rounded(value: float) -> str:
    """A number above zero to three digits that count, or as a whole: `0.00417`, `1,234`."""
    return number(value, max(0, 2 - math.floor(math.log10(value))) if value > 0 else 3)


def share(part: float, whole: float) -> str:
    """`35.8%`; a dash for a share of nothing."""
    return f"{100 * part / whole:.1f}%" if whole else "–"


def confident(confidence: float) -> str:
    """`95%`, of the confidence of an interval."""
    return f"{100 * confidence:g}%"


def digits_of(change: Change) -> int:
    """Three decimals, or as many, up to 6, as show that no number of a change is zero."""
    sizes = [abs(value) for value in (change.difference, change.low, change.high) if value]
    least = min((size for size in sizes if not math.isnan(size)), default=1.0)
    return min(6, max(3, math.ceil(-math.log10(2 * least))))


def interval(change: Change) -> str:
    """The ends of a change's interval, as `span` writes them."""
    return span(change.low, change.high, digits_of(change))


def span(low: float, high: float, digits: int = 2) -> str:
    """`−0.12 to 0.34`; a dash where the ends are not known."""
    return "–" if math.isnan(low) else f"{number(low, digits)} to {number(high, digits)}"


def probability(p: float) -> str:
    """A p value to three decimals; one that would read 0 is told as what it is below."""
    return "under 0.001" if p < 0.001 else f"{p:.3f}"


def p_value(p: float) -> str:
    """`p = 0.042`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def verdict(change: Change) -> str:
    """`rose` or `fell` where the interval excludes zero, else `none shown`."""
    if change.low > 0:
        return "rose"
    return "fell" if change.high < 0 else "none shown"


def change_sentence(change: Change, *, what: str, confidence: float) -> str:
    """What the interval of a difference permits to say of `what`, such as `The reward`."""
    size = number(abs(change.difference), digits_of(change))
    if math.isnan(change.low):
        return f"{what} changed by {size}; a single prompt says nothing of how sure that is."
    around = f"{confident(confidence)} interval {interval(change)}"
    if change.low <= 0 <= change.high:
        signed = number(change.difference, digits_of(change), signed=True)
        return f"No difference was shown. {what} changed by {signed} ({around}, which holds zero)."
    return f"{what} {verdict(change)} by {size} ({around})."


def change_row(name: str, change: Change | None) -> list[str]:
    """A row under `CHANGE_COLUMNS`."""
    if change is None:
        return [name, "–", "–", "–", "–", "–", "0"]
    return [
        name,
        number(change.before),
        number(change.after),
        number(change.difference, digits_of(change), signed=True),
        interval(change),
        verdict(change),
        f"{change.prompts:,}",
    ]


def reward_sentence(changes: Mapping[str, Change | None], settings: Report) -> str:
    """What PPO did to the reward, as far as the interval permits to say it."""
    reward = changes["reward"]
    if reward is None:
        return ""
    own = ", by the run's own weights," if BY_THE_PAPER in changes else ""
    what = f"The reward{own} on {counted(reward.prompts, 'fixed prompt')}"
    return change_sentence(reward, what=what, confidence=settings.confidence)


def weights_sentence(
    changes: Mapping[str, Change | None], weights: Weights, settings: Report
) -> str:
    """That a run's weights are its own, and what Eq. 1 of the paper says of the same answers."""
    if BY_THE_PAPER not in changes:
        return ""
    own, theirs = ({**weighed(each), **each.model_dump()} for each in (weights, EQUATION_1))
    named = [
        f"{words(name)} {_weight(own[name])} ({_weight(theirs[name])})"
        for name in theirs
        if own[name] != theirs[name]
    ]
    paper = changes[BY_THE_PAPER]
    said = f"The reward's weights are this run's own, in brackets those of Eq. 1: {listed(named)}."
    if paper is None:
        return said
    what = f"By Eq. 1 the same answers, {number(paper.before)} before: their reward"
    return f"{said} {change_sentence(paper, what=what, confidence=settings.confidence)}"


def _weight(value: float) -> str:
    return f"{value:+g}".replace("-", "−")


def scores_sentence(run: ModelRun) -> str:
    """The scores of all models at every size; what takes no model is told elsewhere."""
    means = cell_means(run.scores)

    def said(size: str) -> str:
        models = [cell for cell in means if cell[1] == size and cell[0] not in COPIES]
        return listed([f"{number(means[cell]['rouge_l'], 2)} for {cell[0]}" for cell in models])

    by_size = [f"with {sized(size, run.sized_by)}, {said(size)}" for size in sizes(run.scores)]
    return f"Zero-shot ROUGE-L is {'; '.join([said(''), *by_size])}."


def standing(row: Compared, settings: Report) -> str:
    """`higher` or `lower`, of refine-af, where the test of this size shows it; else empty.

    It does where the interval for other tasks excludes zero and p is as small as the confidence
    asks: of a few tasks one of the two alone may say so.
    """
    if row.low <= 0 <= row.high or not row.p <= 1 - settings.confidence:
        return ""
    return "higher" if row.low > 0 else "lower" if row.high < 0 else ""


def methods_sentence(compared: Sequence[Compared], settings: Report) -> str:
    """What the tests show of refine-af against self-instruct, size by size."""
    said = []
    for row in compared:
        size, apart = f"{int(row.size):,}", number(row.rouge_l.difference, 2, signed=True)
        shown = standing(row, settings) or "not shown to differ"
        said.append(f"{shown} with {size} ({apart}, {p_value(row.p)})")
    if not said:
        return ""
    sized_by = compared[0].sized_by
    return f"Tested at each number of {sized_by}, refine-af's ROUGE-L is {listed(said)}."


def listed(entries: Sequence[str]) -> str:
    """`a, b and c`."""
    *others, last = entries
    return f"{', '.join(others)} and {last}" if others else last


def words(name: str) -> str:
    """A column's name as a person reads it."""
    return name.replace("_", " ")
