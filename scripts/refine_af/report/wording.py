"""Numbers and differences as the page says them, and sentences that several sections share."""

from __future__ import annotations

import math
from collections.abc import Mapping

from refine_af.records.cells import COPIES
from refine_af.report.differences import Change
from refine_af.report.finished_run import ModelRun
from refine_af.report.summaries import cell_means, largest_cells, sizes
from refine_af.settings.report import Report

CHANGE_COLUMNS = ("", "before", "after", "difference", "interval", "change", "prompts")


def counted(value: int, one: str, many: str | None = None) -> str:
    """`1 round`, `1,024 rounds`."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """A number with a true minus sign; a dash for one that is not known."""
    if math.isnan(value):
        return "–"
    rounded = round(value, digits) + 0.0  # what rounds to −0 is 0
    text = f"{rounded:{'+' if signed else ''},.{digits}f}"
    return text.replace("-", "−")


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
    what = f"The reward on {counted(reward.prompts, 'fixed prompt')}"
    return change_sentence(reward, what=what, confidence=settings.confidence)


def scores_sentence(run: ModelRun) -> str:
    """The scores of all models at the largest size; what takes no model is told elsewhere."""
    means = cell_means(run.scores)
    models = [cell for cell in largest_cells(run.scores) if cell[0] not in COPIES]
    said = [f"{number(means[cell]['rouge_l'], 2)} for {cell[0]}" for cell in models]
    size = int(sizes(run.scores)[-1])
    return (
        f"With {size:,} instructions, zero-shot ROUGE-L is {', '.join(said[:-1])} and {said[-1]}."
    )


def words(name: str) -> str:
    """A column's name as a person reads it."""
    return name.replace("_", " ")
