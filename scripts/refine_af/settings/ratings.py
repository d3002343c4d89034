"""The section of config.yaml on ratings by people."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field, field_validator

from refine_af.errors import doubled
from refine_af.settings.fields import (
    Confidence,
    Count,
    Distinct,
    Draws,
    FilePath,
    Name,
    Section,
    Seed,
)


class Page(Section):
    seed: Seed = Field(
        description="Seed of the names that hide the methods, and of the drawn instances (ours)."
    )
    methods: Annotated[tuple[Name, ...], Field(min_length=1, strict=False), Distinct] = Field(
        description="Methods whose replies are rated; base is the untuned model (paper figure 6)."
    )
    size: Count | None = Field(
        description="Which of `sizes` the rated cells have; null is the largest (ours; the "
        "figure does not say)."
    )
    instances: Annotated[int, Field(ge=0)] = Field(
        description="Random instances of each method's data set that people review; 0 for none "
        "(paper table IV)."
    )


class Summary(Section):
    seed: Seed = Field(description="Seed of the bootstrap (ours).")
    confidence: Confidence = Field(description="Confidence of intervals, as a share (ours).")
    resamples: Draws = Field(description="Resamples of the bootstrap (ours).")


class Ratings(Section):
    page: Page = Field(description="What raters are shown (paper figure 6, table IV).")
    summary: Summary = Field(description="How ratings are summed up (ours).")
    files: dict[Name, Annotated[tuple[FilePath, ...], Field(min_length=1, strict=False)]] = Field(
        description="By model, the files that raters exported and sent back (ours)."
    )

    @field_validator("files")
    @classmethod
    def are_distinct(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for model, paths in value.items():
            if twice := doubled(map(os.path.normpath, paths)):
                raise ValueError(f"{model} lists twice: {', '.join(twice)}")
        return value
