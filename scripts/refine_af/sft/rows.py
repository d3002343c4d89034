"""The rows that fine-tuning trains on: tokens, and which of them the loss is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refine_af.models.backbones import encode

IGNORED = -100  # the label that the loss leaves out


@dataclass(frozen=True)
class TrainingRow:
    """Token ids of prompt, completion and end of text; `labels` are IGNORED on the prompt."""

    input_ids: list[int]
    labels: list[int]


def row(prompt: str, completion: str, tokenizer: Any) -> TrainingRow:
    """The tokens of a prompt and its completion, tokenised apart as when a model writes."""
    given = encode(tokenizer, prompt, start=True)
    learned = [*encode(tokenizer, completion, start=False), tokenizer.eos_token_id]
    return TrainingRow(given + learned, [IGNORED] * len(given) + learned)


def figures(rows: Sequence[TrainingRow]) -> dict[str, int]:
    """How many tokens the rows hold, and on how many the loss is."""
    learned = sum(label != IGNORED for entry in rows for label in entry.labels)
    tokens = sum(len(entry.input_ids) for entry in rows)
    return {"tokens": tokens, "completion_tokens": learned}
