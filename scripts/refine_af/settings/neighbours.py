"""The section of config.yaml on the texts that instructions are compared with."""

from __future__ import annotations

from pydantic import Field

from refine_af.settings.fields import Section, Text


class NeighbourTexts(Section):
    """What each instruction of the pool is compared with, besides the seeds."""

    references: Text | None = Field(
        description="JSON lines whose `instruction` each of the pool is compared with, for figure "
        "5, or null, which leaves that figure out (paper IV-A: the 52K that SI made with GPT-3)."
    )
