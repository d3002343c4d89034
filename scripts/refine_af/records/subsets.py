"""What a size has: which instructions of the pool, or which instances of a data set."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence

from refine_af.errors import InputError
from refine_af.randomness import derived_seed
from refine_af.settings.subsets import Subsets
from refine_af.settings.watch import SubsetsWatch


def needed(size: int, subsets: Subsets) -> int:
    """How many of what it counts a size needs: as many as it says, or all that are drawn from."""
    return subsets.pool if subsets.order == "random" else size


def chosen(size: int, subsets: Subsets) -> Container[int]:
    """The numbers of what a size has: in the pool, or where it counts instances in the data set.

    Random ones are the first of one order of the first `subsets.pool`, which no size changes: so a
    size has all of a smaller one's. InputError where it exceeds that number.
    """
    if subsets.order == "prefix":
        return range(size)
    if size > subsets.pool:
        raise InputError(f"--size {size}: more than subsets.pool {subsets.pool}, which it is of")
    order = list(range(subsets.pool))
    random.Random(derived_seed(subsets.seed, "subsets")).shuffle(order)
    return frozenset(order[:size])


def counting(subsets: Subsets) -> Subsets:
    """What of the section counts: of prefixes neither pool nor seed."""
    prefix = subsets.order == "prefix"
    return subsets.model_copy(update={"pool": 1, "seed": 0}) if prefix else subsets


def spent(instructions: int, wanted: int, watch: SubsetsWatch) -> bool:
    """Whether so many instructions should have given `wanted` instances."""
    return instructions * watch.least_kept >= wanted


def held(kept: Sequence[int], wanted: int) -> list[str] | None:
    """The segments that hold the first `wanted` instances, where each keeps as many as `kept` says.

    A segment is named by its number, one of which only the first are needed by their count too:
    `2-57`. None where all together hold fewer.
    """
    names = list[str]()
    for number, own in enumerate(kept):
        if own >= wanted:
            return [*names, f"{number}" if own == wanted else f"{number}-{wanted}"]
        names.append(f"{number}")
        wanted -= own
    return None


def in_words(subsets: Subsets) -> str:
    """What a size has, in a sentence."""
    of_pool = subsets.count == "instructions"
    if subsets.order == "prefix":
        if of_pool:
            return "A size has the first instructions of the pool."
        return (
            "A size counts instances: it has the first that a method kept, in the order of the "
            "pool, and as many instructions as they took."
        )
    whose = f"{subsets.pool:,} of the pool" if of_pool else f"{subsets.pool:,} that a method kept"
    return (
        f"A size's {subsets.count} are drawn at random from the first {whose} (seed "
        f"{subsets.seed}), and each size has all of a smaller one's."
    )
