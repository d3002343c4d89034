"""The section of config.yaml on what instances share with the evaluation sets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from refine_af.settings.fields import Count, Section, Threshold


class OverlapBounds(Section):
    """The bounds from which on an instance overlaps with an evaluation set."""

    ngram: Annotated[int, Field(ge=1, le=1000)] = Field(
        description="Words in a row that make an overlap; in a script without spaces each letter "
        "is one (ours; Brown et al. 2020, appendix C)."
    )
    rouge_l: Threshold = Field(
        description="ROUGE-L from which two texts overlap, an exact decimal in quotes (ours: as "
        "instructions.novelty.threshold)."
    )
    min_words: Count = Field(
        description="Fewest words of a text that ROUGE-L compares, on either side (ours)."
    )
