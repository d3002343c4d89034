"""Examples for a page, picked by place and never by hand, as cards."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import TypeVar

from refine_af.records.fixed_prompts import Answer
from refine_af.records.instructions import RejectedInstruction
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, card, safe
from refine_af.report.wording import number, words

Row = TypeVar("Row")


def accepted_texts(run: ModelRun, wanted: int) -> list[Html]:
    """Instructions of the pool, each with the text that was nearest to it; a seed by its id."""
    texts = {row.id: row.instruction for row in run.pool}
    return [
        card(
            row.instruction,
            [
                ("nearest", texts.get(row.nearest, row.nearest)),
                ("ROUGE-L to it", safe(number(row.rouge_l, 2))),
            ],
        )
        for row in spread(run.pool, wanted)
    ]


def rejected_texts(run: ModelRun, wanted: int) -> list[Html]:
    return [
        card(row.text, [("reason", words(row.reason))]) for row in in_turn(run.rejected, wanted)
    ]


def answers(run: ModelRun, wanted: int) -> list[Html]:
    """Prompts with their answers before and after PPO."""
    return [
        card(before.instruction, [*_fields("before", before), *_fields("after", after)])
        for before, after in spread(run.answers, wanted)
    ]


def instances(run: ModelRun, wanted: int) -> list[Html]:
    """Instructions that every method has an instance of, with the first of each method."""
    first = [{row.instruction_id: row for row in reversed(rows)} for rows in run.instances.values()]
    shared = sorted(set.intersection(*map(set, first)))
    return [
        card(
            first[0][name].instruction,
            [
                (f"{rows[name].method}: {part}", getattr(rows[name], part))
                for rows in first
                for part in ("input", "output")
            ],
        )
        for name in spread(shared, wanted)
    ]


def spread(rows: Sequence[Row], wanted: int) -> list[Row]:
    """At most `wanted` rows, evenly spaced from the first."""
    kept = min(wanted, len(rows))
    return [rows[index * len(rows) // kept] for index in range(kept)]


def in_turn(rejected: Sequence[RejectedInstruction], wanted: int) -> list[RejectedInstruction]:
    """The first text of each reason, then the second of each, up to `wanted`."""
    groups: dict[str, list[RejectedInstruction]] = {}
    for row in rejected:
        groups.setdefault(row.reason, []).append(row)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return [row for row in turns if row is not None][:wanted]


def _fields(when: str, answer: Answer) -> list[tuple[str, str | None]]:
    reward = (f"{when}: reward", safe(number(answer.reward)))
    if answer.output is None:
        return [(f"{when}: not parsed", answer.completion), reward]
    return [(f"{when}: input", answer.input), (f"{when}: output", answer.output), reward]
