"""The section of config.yaml on the verbs and nouns of the instructions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from refine_af.settings.fields import Count, FilePath, Section


class Diversity(Section):
    backend: Literal["benepar", "spacy"] = Field(
        description="What parses an instruction: benepar, in constituents (paper IV-A), or spacy, "
        "in dependencies, of which Self-Instruct's notebook takes the root verb and its dobj (SI)."
    )
    parser: FilePath = Field(
        description="Folder of the parser: a local one, or results/fetch/parsers/ with a name of "
        "fetch.parsers (paper IV-A: the Berkeley Neural Parser; SI: benepar_en3)."
    )
    batch_size: Count = Field(description="Instructions that are parsed, and kept, at once (ours).")
    batch_subwords: Count = Field(
        description="Subwords at once in the parser's memory, of benepar alone: sentences of a "
        "like length together (benepar's own in training: 2,000)."
    )
