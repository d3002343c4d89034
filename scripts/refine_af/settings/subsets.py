"""The section of config.yaml on what a size counts, and which of them it has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from refine_af.settings.fields import Count, Section, Seed


class Subsets(Section):
    count: Literal["instructions", "instances"] = Field(
        description="What a size counts: instructions that are asked for (paper table II), some of "
        "which get no instance; or instances that a method keeps, the rows of its data set, for "
        "which stages 1 and 3 go on, segment by segment, until there are so many (ours)."
    )
    order: Literal["prefix", "random"] = Field(
        description="Which ones a size has: with prefix the first; with random some drawn from the "
        "first `pool`, and all of a smaller size's (ours; SI: drawn, by --num_instructions)."
    )
    pool: Count = Field(
        description="How many random subsets are drawn from; of prefix without effect (ours)."
    )
    seed: Seed = Field(description="Seed of random subsets; of prefix without effect (ours).")
