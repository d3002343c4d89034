"""Which layers of a model an adapter changes, and how much."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from refine_af.settings.fields import Count, Real, Section, Text, Texts


class Lora(Section):
    r: Count = Field(description="Rank of the adapter (ours: StackLLaMA, the paper's [19]).")
    alpha: Count = Field(
        description="Scale of the adapter, which is multiplied by alpha / r (ours: StackLLaMA)."
    )
    dropout: Annotated[Real, Field(ge=0, lt=1)] = Field(
        description="Share of the adapter's inputs that are dropped in fine-tuning; void in PPO, "
        "which learns in eval mode (ours; StackLLaMA: 0.05)."
    )
    targets: Text | Texts = Field(
        description="The layers that get an adapter: names of layers, or all-linear (ours)."
    )

    @field_validator("targets", mode="before")
    @classmethod
    def are_names(cls, value: object) -> object:
        names = value if isinstance(value, list | tuple) else [value]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError("neither a name of layers nor a list of names")
        return value
