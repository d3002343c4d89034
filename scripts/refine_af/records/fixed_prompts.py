"""What stage 2 keeps of the prompts that are answered before and after training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """A line of evaluation.jsonl, `when` before or after training; no output where none parsed."""

    when: str
    instruction_id: str
    instruction: str
    completion: str
    input: str | None
    output: str | None
    reward: float
    components: dict[str, float] | None
