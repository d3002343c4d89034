"""The section of config.yaml on stage 3."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refine_af.settings.fields import Count, Section, Seed
from refine_af.settings.sampling import Sampling


class Instances(Section):
    seed: Seed = Field(
        description="Seed of the replies, and of which of their pairs are kept (SI)."
    )
    prompts_per_round: Count = Field(
        description="Prompts of a round, asked side by side (ours; SI: 5)."
    )
    per_instruction: Annotated[int, Field(ge=1, le=5)] = Field(
        description="Most pairs of input and output that are kept for an instruction "
        "(paper II-D; SI: up to 5)."
    )
    quantization: Literal["nf4", "none"] = Field(
        description="Rounding of the backbone's weights: nf4 is 4 bits (ours: as trained)."
    )
    sampling: Sampling = Field(description="How the tokens of a reply are drawn (SI).")
