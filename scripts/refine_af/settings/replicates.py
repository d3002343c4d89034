"""The section of config.yaml on trainings that are repeated with another seed."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from refine_af.settings.fields import Section

Number = Annotated[int, Field(ge=1, le=1000)]


class Replicates(Section):
    sft: Number = Field(
        description="How often every cell is fine-tuned, each time with another seed; 1: with "
        "sft.seed alone (paper table II: single runs)."
    )
    ppo: Number = Field(
        description="How often stage 2 trains, each time with another seed, with instances and "
        "cells of its own; 1: with ppo.seed alone (paper figure 2: single runs)."
    )
