"""The nearest seed and the nearest reference of each instruction, by ROUGE-L."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from refine_af.metrics.novelty import NoveltyPool
from refine_af.records.instructions import Instruction
from refine_af.records.neighbours import Neighbours


def neighbours(
    instructions: Sequence[Instruction],
    references: Sequence[str] | None,
    tokens: Literal["rouge", "unicode"],
) -> Iterator[Neighbours]:
    """The neighbours of each instruction, in order; without `references` its seed alone.

    The seed is the one that the pool noted when the instruction entered. The ROUGE-L F1 with the
    references is of the same `tokens`, and exact: `NoveltyPool` scores every text that the words
    which it shares leave as a candidate.
    """
    pool = None if references is None else NoveltyPool(references, tokens=tokens)
    for row in instructions:
        nearest, rouge_l = None, None
        if pool is not None and references is not None:
            verdict = pool.nearest(row.instruction)
            rouge_l = verdict.rouge_l
            if rouge_l > 0 and verdict.nearest is not None:
                nearest = references[verdict.nearest]
        yield Neighbours(row.id, row.nearest_seed, row.seed_rouge_l, nearest, rouge_l)
