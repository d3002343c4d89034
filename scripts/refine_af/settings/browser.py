"""The section of config.yaml on the page to browse the data on."""

from __future__ import annotations

from pydantic import Field

from refine_af.settings.fields import Count, Section, Seed


class Browser(Section):
    seed: Seed = Field(description="Seed of the sample, where a page holds one (ours).")
    megabytes: Count = Field(
        description="Most that a page's file may have, in 10^6 bytes; what would be more is "
        "sampled, and the page says so (ours: 15,000 instructions with both methods' pairs take 7 "
        "to 23)."
    )
