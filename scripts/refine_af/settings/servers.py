"""The section of config.yaml on servers that complete prompts, one a model."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, StringConstraints, field_validator

from refine_af.settings.fields import Count, Positive, Section, Text


class Server(Section):
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")]
    model: Text
    key_variable: str | None
    concurrency: Annotated[int, Field(ge=1, le=1024)]
    timeout_s: Positive
    attempts: Count

    @field_validator("key_variable")
    @classmethod
    def names_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[A-Z_][A-Z0-9_]*", value):
            raise ValueError(
                "is to be the name of an environment variable, in capitals; the key itself "
                "stands nowhere in config.yaml"
            )
        return value
