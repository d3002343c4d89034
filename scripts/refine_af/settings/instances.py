"""The section of config.yaml on stage 3."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refine_af.settings.fields import Count, Distinct, Method, Section, Seed
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Generating


class Classification(Section):
    methods: Annotated[tuple[Method, ...], Field(strict=False), Distinct] = Field(
        description="The methods that ask for classification tasks output first; none: one prompt "
        "for all (paper II-D; SI: self-instruct)."
    )
    max_new_tokens: Count = Field(
        description="Most tokens of a reply to the output-first prompt (SI)."
    )
    shortens: Literal["task", "round"] = Field(
        description="Which replies that limit holds for: those of classification tasks, or all of "
        "a round that has one (ours; SI: round, of prompts_per_round 5)."
    )
    identification: Sampling = Field(
        description="How the untouched backbone says which instructions are classification tasks "
        "(SI: identify_clf_or_not.py)."
    )


class Instances(Generating):
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
    sampling: Sampling = Field(description="How the tokens of a reply are drawn (SI).")
    classification: Classification | None = Field(
        description="Self-Instruct's branch for classification tasks; off where it names no "
        "method, or is null (SI)."
    )


class Identification(Generating):
    """What decides which instructions are classification tasks: parts of the section above."""

    seed: Seed = Field(description="Seed of the replies (SI).")
    prompts_per_round: Count = Field(description="Prompts of a round (ours; SI: 5).")
    sampling: Sampling = Field(description="How the tokens of a reply are drawn (SI).")
