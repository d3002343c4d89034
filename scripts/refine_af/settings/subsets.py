"""The section of config.yaml on which instructions a size has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from refine_af.settings.fields import Count, Section, Seed


class Subsets(Section):
    order: Literal["prefix", "random"] = Field(
        description="Which instructions a size has: with prefix the pool's first; with random "
        "some drawn from the pool's first `pool`, and all of a smaller size's (ours; SI: drawn, by "
        "--num_instructions)."
    )
    pool: Count = Field(
        description="Instructions that random subsets are drawn from; of prefix without effect "
        "(ours)."
    )
    seed: Seed = Field(description="Seed of random subsets; of prefix without effect (ours).")
