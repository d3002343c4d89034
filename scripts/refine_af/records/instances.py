"""Stage 3's rows: instances, and what was refused."""

from __future__ import annotations

from dataclasses import dataclass


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
