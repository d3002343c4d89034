"""The section of config.yaml on ratings by people."""

from __future__ import annotations

import os
from collections.abc import Container
from typing import Annotated

from pydantic import Field, field_validator

from refine_af.settings.fields import (
    Confidence,
    Count,
    Distinct,
    Draws,
    Name,
    Section,
    Seed,
    Text,
    doubled,
)

BASE = "base"  # the untuned model, rated beside the methods where a page names it


class Page(Section):
    seed: Seed
    methods: Annotated[tuple[Name, ...], Field(min_length=1, strict=False), Distinct]
    size: Count | None
    instances: Annotated[int, Field(ge=0)]


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
            if twice := doubled(map(os.path.normpath, paths)):
                raise ValueError(f"{model} lists twice: {', '.join(twice)}")
        return value

    def check(self, *, models: Container[str], methods: Container[str], sizes: list[int]) -> None:
        """ValueError, with the key, where a page would show what the experiment does not make."""
        for name in self.page.methods:
            if name != BASE and name not in methods:
                raise ValueError(f"ratings.page.methods: {name!r} is none of the methods, nor base")
        if self.page.size is not None and self.page.size not in sizes:
            raise ValueError(f"ratings.page.size: {self.page.size} is none of the sizes {sizes}")
        for model in self.files:
            if model not in models:
                raise ValueError(f"ratings.files: {model!r} is none of the models")

    def cells(self, sizes: list[int]) -> dict[str, str]:
        """The cell of each method on a page: of the largest size where none is named."""
        size = self.page.size or max(sizes)
        return {name: name if name == BASE else f"{name}_{size}" for name in self.page.methods}

    def named_files(self) -> list[tuple[str, str]]:
        """Each file that came back, with its key in config.yaml."""
        return [
            (f"ratings.files.{model}", path) for model in self.files for path in self.files[model]
        ]
