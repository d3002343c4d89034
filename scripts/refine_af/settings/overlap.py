"""The section of config.yaml on what instances share with the evaluation sets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from refine_af.settings.fields import Count, Section, Threshold


class OverlapBounds(Section):
    """From where an instance overlaps with an evaluation set: words in a row, ROUGE-L.

    A text of fewer than `words` words is not compared by ROUGE-L.
    """

    ngram: Annotated[int, Field(ge=1, le=1000)]
    rouge_l: Threshold
    words: Count
