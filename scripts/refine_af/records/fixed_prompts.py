"""What stage 2 keeps of the prompts that are answered before and after training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    """An answer to one of PPO's fixed prompts: a line of evaluation.jsonl.

    `when` is "before" or "after" training. `input`, `output` and `components` are None where the
    answer holds no instance.
    """

    when: str
    instruction_id: str
    instruction: str
    completion: str
    input: str | None
    output: str | None
    reward: float
    components: dict[str, float] | None
