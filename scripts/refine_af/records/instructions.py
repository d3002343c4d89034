"""The pool's rows: machine-made instructions, and what did not enter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Instruction:
    """A machine-made instruction of the pool, with where it came from.

    `round` and `request` name the reply that held it, the tokens are that request's; `rouge_l` is
    the ROUGE-L F1 with the `nearest` text of the pool that it entered, `seed_rouge_l` with the
    nearest seed.
    """

    id: str
    instruction: str
    round: int
    request: int
    demonstrations: list[str]
    nearest: str
    rouge_l: float
    nearest_seed: str
    seed_rouge_l: float
    prompt_tokens: int
    reply_tokens: int


@dataclass(frozen=True)
class RejectedInstruction:
    """An item of a reply that did not enter the pool.

    `nearest` is the text of the pool that is nearest to it, `rouge_l` their ROUGE-L F1; both None
    where the item was compared with none.
    """

    round: int
    request: int
    reason: str
    text: str
    nearest: str | None
    rouge_l: float | None
