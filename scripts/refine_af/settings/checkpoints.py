"""A checkpoint as config.yaml names it: a local folder, or a commit of the hub."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from refine_af.settings.fields import FilePath, Section

HUB = re.compile(r"(?P<repository>(?!\.)[\w.-]+/[\w.-]+)@(?P<revision>[0-9a-f]{7,40})", re.ASCII)

LOCAL = ("/", ".", "~")


class Model(Section):
    checkpoint: FilePath = Field(
        description="The backbone: a local folder, or organisation/name@commit on the hub "
        "(paper III-A)."
    )
    chat: bool = Field(
        default=False,
        description="Whether every prompt is put through the tokenizer's chat template as one user "
        "turn, in every stage, fine-tuning among them; false where it is left out (ours).",
    )

    @field_validator("checkpoint")
    @classmethod
    def is_pinned(cls, value: str) -> str:
        # A path says that it is one, and then its folders may have any name.
        if "@" in value and not value.startswith(LOCAL) and not HUB.fullmatch(value):
            raise ValueError(
                "a hub checkpoint is organisation/name@revision, a commit of 7-40 hex; a local "
                "folder with @ in its path begins with /, . or ~"
            )
        return value
