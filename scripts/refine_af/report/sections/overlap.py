"""Overlap on the page: what instances share with the evaluation sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from refine_af.records.instances import Instance
from refine_af.records.overlap import Overlap
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, card, details, paragraph, section, table
from refine_af.report.spread import of_the_first
from refine_af.report.summaries import evenly_spaced
from refine_af.report.wording import counted, number, share
from refine_af.settings.overlap import OverlapBounds
from refine_af.settings.report import Report
from refine_af.words import unicode_tokens

QUANTILES = {"median": 0.5, "9 in 10 at most": 0.9, "99 in 100 at most": 0.99, "highest": 1.0}

Pair = tuple[Instance, Overlap]


def overlap_section(run: ModelRun, bounds: OverlapBounds, settings: Report, remark: str) -> Html:
    """How many instances of each method overlap, how near the nearest texts are, examples.

    `remark` is what else a reader must know of the inputs; empty where there is nothing.
    """
    pairs = {
        method: list(zip(rows, run.overlaps[method], strict=True))
        for method, rows in run.instances.items()
    }
    return section(
        f"{run.name}_overlap",
        "Overlap with the evaluation sets",
        paragraph(
            "Instructions and inputs are compared with the definitions, instructions and inputs "
            "of Super-NI and of the user-oriented instructions.",
            *(_sentence(method, rows) for method, rows in pairs.items()),
            _short_sentence([row for rows in run.instances.values() for row in rows], bounds),
            remark,
            of_the_first(run, "The instances of refine-af are those"),
        ),
        table(
            f"Instances that share {bounds.ngram} words in a row with a text of the evaluation, "
            f"or have a ROUGE-L F1 of {bounds.rouge_l} or more with one; how near the nearest is",
            ["", *pairs],
            _shown_rows(overlap_numbers(run, bounds), bounds),
        ),
        *_examples(pairs, bounds, settings.examples),
        level=3,
    )


def overlap_numbers(run: ModelRun, bounds: OverlapBounds) -> pd.DataFrame:
    """A column a method: how many instances overlap and how, and quantiles of the ROUGE-L."""
    columns = {}
    for method, instances in run.instances.items():
        rows = run.overlaps[method]
        nearest: dict[str, list[float]] = {"instruction": [], "input": []}
        for row, own in zip(rows, instances, strict=True):
            if _compared(own.instruction, bounds):
                nearest["instruction"].append(row.instruction_rouge_l)
            if _compared(own.input, bounds):
                nearest["input"].append(row.input_rouge_l)
        column: dict[str, float] = {"instances": len(rows)}
        column |= {name: sum(map(holds, rows)) for name, holds in _kinds(bounds).items()}
        for what, values in nearest.items():
            column |= _quantiles(f"nearest {what}", values)
        columns[method] = column
    return pd.DataFrame(columns).rename_axis("figure").reset_index().round(6)


def _kinds(bounds: OverlapBounds) -> dict[str, Callable[[Overlap], bool]]:
    """The ways to overlap, by name."""
    return {
        f"share {bounds.ngram} words in a row": lambda row: row.ngrams > 0,
        f"instruction at {bounds.rouge_l} or more": lambda row: _near(
            row.instruction_rouge_l, bounds
        ),
        f"input at {bounds.rouge_l} or more": lambda row: _near(row.input_rouge_l, bounds),
        "any of these": lambda row: row.overlaps,
    }


def _quantiles(what: str, values: Sequence[float]) -> dict[str, float]:
    found = np.quantile(values, list(QUANTILES.values())) if values else [math.nan] * len(QUANTILES)
    names = (f"{what}: {name}" for name in QUANTILES)
    return dict(zip(names, map(float, found), strict=True))


def _shown_rows(numbers: pd.DataFrame, bounds: OverlapBounds) -> list[list[str]]:
    """`overlap_numbers` as the page prints them: counts with their shares of all instances."""
    methods = [str(name) for name in numbers if name != "figure"]
    wholes = {method: numbers[method].iloc[0] for method in methods}  # the row of instances
    kinds = _kinds(bounds)
    rows = []
    for _, row in numbers.iterrows():
        shown = [str(row["figure"])]
        for method in methods:
            value = row[method]
            if shown[0] in kinds:
                shown.append(f"{int(value):,} ({share(value, wholes[method])})")
            else:
                shown.append(f"{int(value):,}" if shown[0] == "instances" else number(value, 2))
        rows.append(shown)
    return rows


def _compared(text: str, bounds: OverlapBounds) -> bool:
    """Whether a text has the words that it takes for its ROUGE-L to say something."""
    return len(unicode_tokens(text)) >= bounds.min_words


def _near(rouge_l: float, bounds: OverlapBounds) -> bool:
    """Whether a ROUGE-L reaches the bound, which the settings keep as it was written."""
    return rouge_l >= float(bounds.rouge_l)


def _sentence(method: str, rows: Sequence[Pair]) -> str:
    found = sum(row.overlaps for _, row in rows)
    of = f"Of {counted(len(rows), 'instance')} of {method}"
    return f"{of}, {found:,} ({share(found, len(rows))}) overlap."


def _short_sentence(rows: Sequence[Instance], bounds: OverlapBounds) -> str:
    """How many inputs are too short for ROUGE-L to say something of them."""
    inputs = [row.input for row in rows if row.input.strip()]
    short = sum(not _compared(text, bounds) for text in inputs)
    if not short:
        return ""
    return (
        f"ROUGE-L compares no text of fewer than {counted(bounds.min_words, 'word')}, since short "
        f"texts are soon alike by chance; such are {short:,} of {counted(len(inputs), 'input')}."
    )


def _examples(pairs: dict[str, list[Pair]], bounds: OverlapBounds, wanted: int) -> list[Html]:
    cards = [
        card(own.instruction, [(f"{method}: input", own.input), ("shares", _shared(row, bounds))])
        for method, rows in pairs.items()
        for own, row in evenly_spaced([pair for pair in rows if pair[1].overlaps], wanted)
    ]
    if not cards:
        return []
    return [details("Examples: instances that overlap, evenly spaced", *cards)]


def _shared(row: Overlap, bounds: OverlapBounds) -> str:
    """What an instance shares with which texts of the evaluation, as an example tells it."""
    parts = []
    if row.ngrams:
        parts.append(
            f"{counted(row.ngrams, 'sequence')} of {bounds.ngram} words, most with "
            f"{row.ngram_source}"
        )
    for what, value, source in (
        ("instruction", row.instruction_rouge_l, row.instruction_source),
        ("input", row.input_rouge_l, row.input_source),
    ):
        if _near(value, bounds):
            parts.append(f"{what} with {source}, ROUGE-L {number(value, 2)}")
    return "; ".join(parts)
