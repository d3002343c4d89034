"""The section of config.yaml on ratings by people."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field, field_validator

from refine_af.settings.fields import Confidence, Count, Draws, Name, Section, Seed, Text


class Page(Section):
    seed: Seed
    methods: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    size: Count | None
    instances: Annotated[int, Field(ge=0)]

    @field_validator("methods")
    @classmethod
    def is_a_set(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if doubled := {name for name in value if value.count(name) > 1}:
            raise ValueError(f"listed twice: {', '.join(sorted(doubled))}")
        return value


class Summary(Section):
    seed: Seed
    confidence: Confidence
    resamples: Draws


class Ratings(Section):
    page: Page
    summary: Summary
    files: dict[Name, Annotated[tuple[Text, ...], Field(min_length=1, strict=False)]]

    @field_validator("files")
    @classmethod
    def are_distinct(cls, value: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for model, paths in value.items():
            plain = [os.path.normpath(path) for path in paths]
            if doubled := {path for path in plain if plain.count(path) > 1}:
                raise ValueError(f"{model} lists twice: {', '.join(sorted(doubled))}")
        return value
