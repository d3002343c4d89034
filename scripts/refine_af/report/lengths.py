"""How long the texts of a data set are, in words, and table V's statistics of it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from refine_af.report.finished_run import ModelRun
from refine_af.words import words_of

PARTS = ("instruction", "input", "output")


def lengths(run: ModelRun, method: str) -> dict[str, list[int]]:
    """The words of each instruction of the pool, and of each input, where there is one, and
    output of a method's instances: by part, in order, as `words_of` counts."""
    instances = run.instances[method]
    return {
        "instruction": _counts([row.instruction for row in run.pool]),
        "input": _counts([row.input for row in instances if row.input.strip()]),
        "output": _counts([row.output for row in instances]),
    }


def statistics(run: ModelRun, method: str) -> dict[str, float]:
    """Table V of a method, under the names of `published.STATISTICS`; nan where no text is."""
    found = lengths(run, method)
    instances = len(run.instances[method])
    return {
        "instructions": len(run.pool),
        "instances": instances,
        "empty_inputs": instances - len(found["input"]),
        **{f"{part}_words": fmean(each) if each else float("nan") for part, each in found.items()},
    }


def _counts(texts: Sequence[str]) -> list[int]:
    return [len(words_of(text)) for text in texts]
