"""What an instance shares with the evaluation sets, as a row."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Overlap:
    """What an instance, `id`, shares with the texts that models are evaluated on.

    `ngrams` counts the different n-grams of its instruction and input that stand in one of them;
    `ngram_source` is the evaluation instance with most of these. The `rouge_l` are F1 with the
    nearest of the instructions and of the inputs there, whose instance is the source; a source is
    None where nothing is shared.
    """

    id: str
    ngrams: int
    ngram_source: str | None
    instruction_rouge_l: float
    instruction_source: str | None
    input_rouge_l: float
    input_source: str | None
    overlaps: bool
