"""The section of config.yaml on the evaluation on Super-NI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from refine_af.settings.fields import Count, Name, Section, Text, Texts


class Baseline(Section):
    prompt: Text
    stop: Texts


class Superni(Section):
    instances_per_task: Count
    requests: Count
    prompt: Text
    full_stop: bool
    max_source_tokens: Count
    max_new_tokens: Count
    end_of_text: bool
    quantization: Literal["nf4", "none"]
    baselines: Annotated[dict[Name, Baseline], Field(min_length=1)]

    @field_validator("baselines")
    @classmethod
    def has_base(cls, value: dict[str, Baseline]) -> dict[str, Baseline]:
        if "base" not in value:
            raise ValueError("the untuned model is evaluated as `base`, which is missing")
        if taken := {"self-instruct", "refine-af"} & value.keys():
            raise ValueError(f"{sorted(taken)[0]!r} is a method, and so no baseline's name")
        if "table" in value:
            raise ValueError("'table' is the name of the table's own log")
        return value
