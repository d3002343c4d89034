"""Which instructions of the pool a size has."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence

from refine_af.errors import InputError
from refine_af.randomness import derived_seed
from refine_af.settings.subsets import Subsets


def needed(sizes: Sequence[int], subsets: Subsets) -> int:
    """How many instructions the sizes need: the largest one, or all that are drawn from."""
    return subsets.pool if subsets.order == "random" else max(sizes)


def chosen(size: int, subsets: Subsets) -> Container[int]:
    """The numbers of a size's instructions in the pool.

    Random ones are the first of one order of the pool's first `subsets.pool`, which no size
    changes: so a size has all of a smaller one's. InputError where it exceeds that number.
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


def in_words(subsets: Subsets) -> str:
    """Which instructions a size has, in a sentence."""
    if subsets.order == "prefix":
        return "A size has the first instructions of the pool."
    return (
        f"A size's instructions are drawn at random from the first {subsets.pool:,} of the pool "
        f"(seed {subsets.seed}), and each size has all of a smaller one's."
    )
