"""A collection by column, as the page's script reads it: each text once, rows by their numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from refine_af.browser.collection import Collection
from refine_af.records.instances import Instance
from refine_af.words import words_of

DIGITS = 6  # of a score: more than a reader compares


class Texts:
    """The different texts of a page, each with a number, in the order in which they came."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def numbers(self, texts: Iterable[str]) -> list[int]:
        """The number of each text, a new one where it is new."""
        known = self._numbers
        return [known.setdefault(text, len(known)) for text in texts]

    def columns(self) -> dict[str, list[Any]]:
        """The texts by number, and how many words each has."""
        texts = list(self._numbers)
        return {"text": texts, "words": [len(words_of(text)) for text in texts]}


def columns_of(shown: Collection, whole: Collection) -> dict[str, Any]:
    """The columns of what a page shows of the whole, which is the same where all is shown.

    A text is its number in `texts`, an instruction its place in `pool`, a method its place in
    `methods`. Scores have 6 significant digits.
    """
    texts = Texts()
    places = {row.id: place for place, row in enumerate(shown.pool)}
    columns = {
        "model": shown.model,
        "methods": [part.method for part in shown.written],
        "whole": {"pool": len(whole.pool), "rejected": len(whole.rejected)},
        "pool": {
            "id": [row.id for row in shown.pool],
            "text": texts.numbers(row.instruction for row in shown.pool),
            **_by_column(shown.pool, ("round", "request", "nearest", "nearest_seed")),
            "rouge_l": [_rounded(row.rouge_l) for row in shown.pool],
            "seed_rouge_l": [_rounded(row.seed_rouge_l) for row in shown.pool],
            **_references(shown, texts),
            **_verbs(shown),
        },
        "instances": _instances(shown, places, texts),
        "pairs": _pairs(shown, places, texts),
        "rejected": {
            **_by_column(shown.rejected, ("round", "request", "reason", "nearest")),
            "text": texts.numbers(row.text for row in shown.rejected),
            "rouge_l": [_rounded(row.rouge_l) for row in shown.rejected],
        },
    }
    columns["named"] = _named(shown, places, texts)
    columns["texts"] = texts.columns()
    return columns


def _references(shown: Collection, texts: Texts) -> dict[str, Any]:
    """The reference that each instruction is nearest to, None where there is none or no set."""
    rows = [shown.neighbours[row.id] for row in shown.pool]
    nearest = [row.nearest_reference for row in rows]
    return {
        "reference": [None if text is None else texts.numbers([text])[0] for text in nearest],
        "reference_rouge_l": [_rounded(row.reference_rouge_l) for row in rows],
    }


def _verbs(shown: Collection) -> dict[str, Any]:
    """Verb and noun of each instruction; no column where nobody looked for them."""
    if shown.verbs is None:
        return {}
    return _by_column([shown.verbs[row.id] for row in shown.pool], ("verb", "noun"))


def _instances(shown: Collection, places: dict[str, int], texts: Texts) -> dict[str, Any]:
    """The instances of all methods; the components by name, None where a row has it not."""
    rows = [(number, row) for number, part in enumerate(shown.written) for row in part.instances]
    names = dict.fromkeys(name for _, row in rows for name in row.components)

    def component(row: Instance, name: str) -> float | None:
        return _rounded(row.components.get(name))

    return {
        "id": [row.id for _, row in rows],
        "method": [method for method, _ in rows],
        "pool": [places[row.instruction_id] for _, row in rows],
        "input": texts.numbers(row.input for _, row in rows),
        "output": texts.numbers(row.output for _, row in rows),
        "reward": [_rounded(row.reward) for _, row in rows],
        "components": [[name, [component(row, name) for _, row in rows]] for name in names],
    }


def _pairs(shown: Collection, places: dict[str, int], texts: Texts) -> dict[str, Any]:
    """The refused pairs of all methods."""
    rows = [(number, row) for number, part in enumerate(shown.written) for row in part.rejected]
    return {
        "method": [method for method, _ in rows],
        "pool": [places[row.source] for _, row in rows],
        "reason": [row.reason for _, row in rows],
        "text": texts.numbers(row.text for _, row in rows),
    }


def _named(shown: Collection, places: dict[str, int], texts: Texts) -> dict[str, Any]:
    """The texts that rows name as nearest and that the page's pool does not hold, by id."""
    ids = [name for row in shown.pool for name in (row.nearest, row.nearest_seed)]
    ids += [row.nearest for row in shown.rejected if row.nearest is not None]
    found = [name for name in dict.fromkeys(ids) if name not in places and name in shown.known]
    return {"id": found, "text": texts.numbers(shown.known[name] for name in found)}


def _by_column(rows: Sequence[Any], names: Sequence[str]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in names}


def _rounded(score: float | None) -> float | None:
    return None if score is None else float(f"{score:.{DIGITS}g}")
