"""The section of config.yaml on the user-oriented instructions."""

from __future__ import annotations

from pydantic import Field

from refine_af.settings.fields import Count, Texts
from refine_af.settings.servers import Generating


class Users(Generating):
    prompts_per_round: Count = Field(description="Prompts of a round, asked side by side (ours).")
    max_new_tokens: Count = Field(description="Most tokens of a reply (SI).")
    stop: Texts = Field(description="Strings that end a reply, beside the end of text (SI: none).")
