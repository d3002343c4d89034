"""The section of config.yaml on stage 3."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refine_af.settings.fields import Count, Section, Seed
from refine_af.settings.sampling import Sampling


class Instances(Section):
    seed: Seed
    requests: Count
    per_instruction: Annotated[int, Field(ge=1, le=5)]
    quantization: Literal["nf4", "none"]
    sampling: Sampling
