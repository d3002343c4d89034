"""What a model's page shows: its pool, what each method made of it, and all that was refused."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from refine_af.errors import InputError, doubled, shown
from refine_af.randomness import derived_seed
from refine_af.records.diversity import VerbNoun
from refine_af.records.human_tasks import Seed
from refine_af.records.instances import Instance, Rejected
from refine_af.records.instructions import Instruction, RejectedInstruction
from refine_af.records.neighbours import Neighbours

Row = TypeVar("Row")
Of = TypeVar("Of", Neighbours, VerbNoun)


@dataclass(frozen=True)
class Written:
    """What a method made of the pool: its instances, and the pairs that were refused."""

    method: str
    instances: list[Instance]
    rejected: list[Rejected]


@dataclass(frozen=True)
class Collection:
    """A model's data, in the order of its files.

    `known` gives the texts of ids that the pool's rows name as nearest: seeds, and all of the pool
    even where `pool` is a sample of it. `neighbours` and `verbs` are those of the whole pool, by
    id; `verbs` is None where nobody looked for them.
    """

    model: str
    known: dict[str, str]
    pool: list[Instruction]
    rejected: list[RejectedInstruction]
    written: list[Written]
    neighbours: dict[str, Neighbours]
    verbs: dict[str, VerbNoun] | None


def collected(
    model: str,
    seeds: Sequence[Seed],
    pool: list[Instruction],
    rejected: list[RejectedInstruction],
    written: list[Written],
    neighbours: Sequence[Neighbours],
    verbs: Sequence[VerbNoun] | None,
) -> Collection:
    """The collection of these rows.

    InputError where an instruction or an instance stands there twice, a row names an instruction
    that the pool does not hold or another method, a score is no number, or the pool has an
    instruction without neighbours or, where they were looked for, verb and noun.
    """
    in_pool = {row.id: row.instruction for row in pool}
    if len(in_pool) < len(pool):
        twice = doubled(row.id for row in pool)
        raise InputError(f"--pools: instruction {twice[0]} stands there twice")
    for part in written:
        _check(part, set(in_pool))
    near = _by_id(neighbours, pool, "--neighbours")
    parsed = None if verbs is None else _by_id(verbs, pool, "--diversity")
    known = {row.id: row.instruction for row in seeds} | in_pool
    return Collection(model, known, pool, rejected, written, near, parsed)


def _by_id(rows: Sequence[Of], pool: Sequence[Instruction], flag: str) -> dict[str, Of]:
    """The rows by id. InputError where an instruction of the pool has none."""
    found = {row.id: row for row in rows}
    if lacking := next((row.id for row in pool if row.id not in found), None):
        raise InputError(f"{flag}: none of instruction {shown(lacking)}")
    return found


def _check(part: Written, pool: set[str]) -> None:
    """InputError naming the method and the id at the first row that does not belong there."""
    seen: set[str] = set()
    for row in part.instances:
        where = f"--instances: {part.method}, {shown(row.id)}"
        if row.method != part.method:
            raise InputError(f"{where}: is of method {shown(row.method)}")
        if not re.fullmatch(rf"{re.escape(row.instruction_id)}-[0-9]{{1,9}}", row.id):
            raise InputError(f"{where}: no number of {shown(row.instruction_id)}")
        if row.id in seen:
            raise InputError(f"{where}: stands there twice")
        seen.add(row.id)
        scores = {"reward": row.reward, **row.components}
        if odd := {name: score for name, score in scores.items() if not _finite(score)}:
            raise InputError(f"{where}: has the scores {shown(odd)}")
    named = [row.instruction_id for row in part.instances]
    named += [row.source for row in part.rejected]
    if unknown := next((name for name in named if name not in pool), None):
        raise InputError(
            f"--instances: {part.method} names instruction {shown(unknown)}, which --pools do not "
            "hold"
        )


def _finite(score: float) -> bool:
    try:
        return math.isfinite(score)
    except OverflowError:  # a whole number that no float holds
        return False


def drawn(whole: Collection, share: float, seed: int) -> Collection:
    """A random sample of a share of the pool, with all that was made of it, and of the refused.

    The sample of a smaller share is part of that of a larger one.
    """
    pool = _sample(whole.pool, share, lambda place: derived_seed(seed, "instructions", place))
    kept = {row.id for row in pool}
    return replace(
        whole,
        pool=pool,
        rejected=_sample(
            whole.rejected, share, lambda place: derived_seed(seed, "rejected", place)
        ),
        written=[
            Written(
                part.method,
                [row for row in part.instances if row.instruction_id in kept],
                [row for row in part.rejected if row.source in kept],
            )
            for part in whole.written
        ],
    )


def _sample(rows: list[Row], share: float, rank: Callable[[int], int]) -> list[Row]:
    """As many rows as the share makes in whole numbers: those of the lowest ranks, in order."""
    places = sorted(range(len(rows)), key=rank)[: int(share * len(rows))]
    return [rows[place] for place in sorted(places)]
