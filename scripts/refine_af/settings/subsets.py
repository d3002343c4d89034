"""The section of config.yaml on which instructions a size has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from refine_af.settings.fields import Count, Section, Seed


class Subsets(Section):
    order: Literal["prefix", "random"] = Field(
        description="prefix: a size has the pool's first instructions; random: it draws them from "
        "the pool's first `pool`, so that each size has all of a smaller one's (ours; SI: drawn, "
        "--num_instructions)."
    )
    pool: Count = Field(
        description="Instructions that random subsets are drawn from; of prefix without effect "
        "(ours)."
    )
    seed: Seed = Field(description="Seed of random subsets; of prefix without effect (ours).")
