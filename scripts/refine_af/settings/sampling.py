"""How a reply's tokens are drawn, and where it ends."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from refine_af.settings.fields import Count, Real, Section, Texts


class Sampling(Section):
    temperature: Annotated[Real, Field(ge=0, le=100)]
    top_p: Annotated[Real, Field(gt=0, le=1)]
    presence_penalty: Annotated[Real, Field(ge=-100, le=100)]
    max_new_tokens: Count
    stop: Texts

    @field_validator("temperature")
    @classmethod
    def can_divide(cls, value: float) -> float:
        if 0 < value < 1e-3:
            raise ValueError("a temperature below 0.001 is 0, greedy decoding: say 0")
        return value
