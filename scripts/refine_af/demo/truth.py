"""A check of generated examples that no reward knows: is the output true, or is it junk?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from statistics import fmean
from typing import Any

from refine_af.demo.corpus import LAZY, draw_task
from refine_af.demo.families import FAMILIES
from refine_af.demo.phrasings import core
from refine_af.demo.solvable import Family
from refine_af.metrics.novelty import NoveltyPool

SAMPLES = 50  # phrasings of each family that an instruction is compared with
LONGEST_LOOP = 3  # words that a loop repeats at most
PERIODS = ("before", "after")
LABEL = re.compile(r"^\s*\w+:\s*")


@dataclass(frozen=True)
class PlainAnswer:
    """An answer to one of PPO's fixed prompts, "before" or "after"; None where it did not parse."""

    when: str
    instruction: str
    input: str | None
    output: str | None


class FamilyReader:
    """Recognises which family an instruction belongs to, by its nearest phrasing in ROUGE-L."""

    def __init__(self) -> None:
        random = Random(0)  # the phrasings to compare with; any sample of them serves
        self._families = [family for family in FAMILIES.values() for _ in range(SAMPLES)]
        self._pool = NoveltyPool(
            core(draw_task(random, [family]).instruction) for family in self._families
        )

    def family(self, instruction: str) -> Family | None:
        """The nearest family, or None where no phrasing shares a word with the instruction."""
        nearest = self._pool.nearest(core(instruction)).nearest
        return None if nearest is None else self._families[nearest]


def truth(rows: Sequence[PlainAnswer]) -> dict[str, dict[str, Any]]:
    """Counts and shares before and after.

    `checked` are the parsed answers to instructions of a family with a solver, `true` those of
    them whose output is the solver's for their input; `junk` are the parsed answers that are lazy,
    an echo or a loop. A share of nothing is None. `answers` says of each answer, in order, whether
    it is junk, None where it did not parse, and whether true, None where it cannot be checked.
    """
    reader = FamilyReader()
    return {when: _counts([r for r in rows if r.when == when], reader) for when in PERIODS}


def is_true(family: Family, text: str, output: str) -> bool:
    """Whether a solvable family's output is right for an input, which may name itself first."""
    assert family.solve is not None, f"{family.name} has no solver"
    right = family.solve(_bare(text))
    return right is not None and right == output.strip()


def is_junk(instruction: str, text: str, output: str) -> bool:
    """Whether an output is lazy, an echo of its instruction or input, or a loop."""
    said = output.strip()
    return (
        said in LAZY
        or said in (instruction.strip(), text.strip(), _bare(text))
        or _is_loop(said.split())
    )


def _bare(text: str) -> str:
    """An input without the word that names it, as in "List: 3, 1, 2"."""
    return LABEL.sub("", text, count=1).strip()


def _is_loop(spoken: list[str]) -> bool:
    return any(
        len(spoken) >= 3 * period
        and all(word == spoken[place % period] for place, word in enumerate(spoken))
        for period in range(1, LONGEST_LOOP + 1)
    )


def _counts(rows: Sequence[PlainAnswer], reader: FamilyReader) -> dict[str, Any]:
    answers = [_marks(row, reader) for row in rows]
    junk, right = (
        [answer[name] for answer in answers if answer[name] is not None]
        for name in ("junk", "true")
    )
    return {
        "prompts": len(rows),
        "parsed": len(junk),
        "checked": len(right),
        "true": sum(map(bool, right)),
        "true_share": fmean(map(bool, right)) if right else None,
        "junk": sum(map(bool, junk)),
        "junk_share": fmean(map(bool, junk)) if junk else None,
        "answers": answers,
    }


def _marks(row: PlainAnswer, reader: FamilyReader) -> dict[str, bool | None]:
    if row.output is None:
        return {"junk": None, "true": None}
    text, family = row.input or "", reader.family(row.instruction)
    checked = family is not None and family.solve is not None
    return {
        "junk": is_junk(row.instruction, text, row.output),
        "true": is_true(family, text, row.output) if family and checked else None,
    }
