"""The rows that fine-tuning trains on: tokens, and which of them the loss is on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refine_af.models.chat import Chat, encoded_turn
from refine_af.models.encoding import encode, encode_after, special_names

IGNORED = -100  # the label that the loss leaves out


@dataclass(frozen=True)
class TrainingRow:
    """Token ids of prompt, completion and end of text; `labels` are IGNORED on the prompt."""

    input_ids: list[int]
    labels: list[int]

    @property
    def end(self) -> int:
        """The token that ends the completion."""
        return self.input_ids[-1]


def row(prompt: str, completion: str, tokenizer: Any, chat: Chat | None = None) -> TrainingRow:
    """The tokens of a prompt and its completion, tokenised apart, as when a model answers.

    In a `chat` they are a user's turn and the model's, which ends as the template says.
    """
    if chat:
        given, learned = encoded_turn(tokenizer, chat, prompt, completion)
    else:
        given = encode(tokenizer, prompt, start=True)
        learned = encode_after(tokenizer, prompt, completion)
        if learned[-1:] != [tokenizer.eos_token_id]:  # an encoding may write it down by its name
            learned.append(tokenizer.eos_token_id)
    return TrainingRow(given + learned, [IGNORED] * len(given) + learned)


def ends(rows: Sequence[TrainingRow], tokenizer: Any) -> dict[str, str | None]:
    """The special tokens that rows begin and end with; null for a beginning without one."""
    first = rows[0].input_ids[0]
    special = special_names(tokenizer).values()
    begin, end = tokenizer.convert_ids_to_tokens([first, rows[0].end])
    return {"begin_token": begin if first in special else None, "end_token": end}


def figures(rows: Sequence[TrainingRow]) -> dict[str, int]:
    """How many tokens the rows hold, and on how many the loss is."""
    learned = sum(label != IGNORED for entry in rows for label in entry.labels)
    tokens = sum(len(entry.input_ids) for entry in rows)
    return {"tokens": tokens, "completion_tokens": learned}
