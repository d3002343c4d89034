"""The section of config.yaml on servers that complete prompts, one a model."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from refine_af.settings.fields import Count, Positive, Section, Text


class Server(Section):
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")] = Field(
        description="Address of the API, up to /v1 (ours)."
    )
    model: Text = Field(
        description="What the server calls the model, which alone decides what is made (ours)."
    )
    key_variable: str | None = Field(
        description="Environment variable that holds the server's key, or null (ours)."
    )
    concurrency: Annotated[int, Field(ge=1, le=1024)] = Field(
        description="Most requests that run at a time (ours)."
    )
    timeout_s: Positive = Field(description="Seconds that one request may take (ours).")
    attempts: Count = Field(description="Attempts at a request before the stage ends (ours).")

    @field_validator("key_variable")
    @classmethod
    def names_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[A-Z_][A-Z0-9_]*", value):
            raise ValueError(
                "must be the name of an environment variable, in capitals; the key itself does "
                "not belong in config.yaml"
            )
        return value
