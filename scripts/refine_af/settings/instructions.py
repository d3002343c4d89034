"""The section of config.yaml on stage 1."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from refine_af.settings.fields import Count, Section, Seed, Texts, Threshold
from refine_af.settings.sampling import Sampling


class Novelty(Section):
    threshold: Threshold
    tie: Literal["reject", "accept"]
    tokens: Literal["rouge", "unicode"]


class InstructionFilter(Section):
    min_words: Count
    max_words: Count
    keywords: Texts
    prefixes: Texts
    punctuation: bool
    non_ascii: bool
    capitalize: bool
    truncated: Literal["drop item", "drop reply"]

    @model_validator(mode="after")
    def is_a_range(self) -> InstructionFilter:
        if self.min_words > self.max_words:
            raise ValueError(
                f"min_words {self.min_words} is greater than max_words {self.max_words}"
            )
        return self


class Instructions(Section):
    seed: Seed
    engine: Literal["transformers", "server"]
    segment: Count
    requests: Count
    human_demonstrations: Count
    machine_demonstrations: Annotated[int, Field(ge=0)]
    numbering: Annotated[str, StringConstraints(pattern=r"^[^{}\n]*\{number\}[^{}\n]*$")]
    last_item: Count
    quantization: Literal["nf4", "none"]
    sampling: Sampling
    filter: InstructionFilter
    novelty: Novelty

    @field_validator("numbering")
    @classmethod
    def is_more_than_a_number(cls, value: str) -> str:
        if not value.replace("{number}", "").strip():
            raise ValueError("a number alone does not tell an item's beginning from its text")
        return value

    @model_validator(mode="after")
    def asks_for_an_item(self) -> Instructions:
        shown = self.human_demonstrations + self.machine_demonstrations
        if self.last_item <= shown:
            raise ValueError(
                f"last_item {self.last_item} leaves nothing to write after the "
                f"{shown} demonstrations of a prompt"
            )
        return self
