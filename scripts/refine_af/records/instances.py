"""Stage 3's rows: which instructions are classification tasks, instances, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# How an instruction is asked: the input before the output, or, a classification task, after it.
Template = Literal["input first", "output first"]


@dataclass(frozen=True)
class Identified:
    """What a model said of an instruction, and whether that makes it a classification task."""

    id: str
    classification: bool
    reply: str


@dataclass(frozen=True)
class Rejected:
    """A text that stage 3 refused, and why; `source` is the instruction's id."""

    source: str
    reason: str
    text: str


@dataclass(frozen=True)
class Instance:
    """An (instruction, input, output) triplet; `instruction_id` names its line of the pool.

    `adapter_sha256` is the digest of the weights of the adapter that wrote it, "" for the backbone
    by itself; `reward` is Eq. 1 of `components`, which have the names that the scorer gives them.
    `template` is the prompt that it answers, "" where a person wrote it.
    """

    id: str
    instruction_id: str
    method: str
    instruction: str
    input: str
    output: str
    adapter_sha256: str
    reward: float
    components: dict[str, float]
    template: str = ""
