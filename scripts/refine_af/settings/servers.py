"""What completes a stage's prompts: the backbone in its job, or a server, one a model."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from refine_af.settings.fields import Count, Positive, Section, Text


class Generating(Section):
    """A stage whose prompts are completed by the backbone in its job, or by a server."""

    engine: Literal["transformers", "server"] = Field(
        description="What completes prompts: the backbone in the job, or the model's entry under "
        "`servers` (ours)."
    )
    quantization: Literal["nf4", "none"] = Field(
        description="Rounding of the backbone's weights in the job: nf4 is 4 bits, where memory is "
        "short; a server's are its own (ours: as published in stage 1, elsewhere as trained)."
    )


class Served(Section):
    """What of a server decides a reply."""

    model: Text = Field(
        description="What the server calls the model; its adapters are <model>-ppo, with _r2 and "
        "so on for replicates, and <model>-<cell>, such as <model>-refine-af_5000 (ours)."
    )


class Server(Served):
    """A server as it is reached, beside what of it decides a reply."""

    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")] = Field(
        description="Address of the API, up to /v1 (ours)."
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
