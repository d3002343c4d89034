"""How a reply's tokens are drawn, and where it ends."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from refine_af.settings.fields import Count, Real, Section, Texts


class Sampling(Section):
    temperature: Annotated[Real, Field(ge=0, le=100)] = Field(
        description="Temperature that logits are divided by; 0 takes the likeliest token (SI; in "
        "PPO ours: StackLLaMA)."
    )
    top_p: Annotated[Real, Field(gt=0, le=1)] = Field(
        description="Share of the probability that tokens are drawn from, the likeliest first (SI; "
        "in PPO ours: StackLLaMA)."
    )
    min_p: Annotated[Real, Field(ge=0, le=1)] = Field(
        description="Share of the likeliest token's probability below which a token is not drawn; "
        "0 leaves none out (ours, off; arXiv 2407.01082)."
    )
    presence_penalty: Annotated[Real, Field(ge=-100, le=100)] = Field(
        description="What a token's logit loses once the reply holds it (ours; SI: 2 in stage 1, "
        "1.5 in stage 3)."
    )
    max_new_tokens: Count = Field(description="Most tokens of a reply (SI).")
    stop: Texts = Field(description="Strings that end a reply (SI).")

    @field_validator("temperature")
    @classmethod
    def can_divide(cls, value: float) -> float:
        if 0 < value < 1e-3:
            raise ValueError("a temperature below 0.001 amounts to greedy decoding: say 0")
        return value
