"""Stage 3: input and output for every instruction of the pool, read from a model's replies."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af import completions
from refine_af.errors import InputError, shown
from refine_af.prompts import Prompt
from refine_af.randomness import derived_seed
from refine_af.records import Instance, Instruction, Rejected
from refine_af.replies import Reply
from refine_af.settings import Instances

REASONS = ("no output", *completions.REASONS, "surplus")

# Replies to the ends of prompts, each with the seed of its random numbers.
Generate = Callable[[Sequence[str], Sequence[int]], Sequence[Reply]]


@dataclass(frozen=True)
class Written:
    """What the replies to a segment of the pool hold; `parsed` counts those with a pair in them."""

    instances: list[Instance]
    rejected: list[Rejected]
    instructions: int
    parsed: int

    def counts(self) -> dict[str, int]:
        """How many instructions, parsed replies and kept instances, and rejections by reason."""
        reasons = Counter(rejected.reason for rejected in self.rejected)
        return {
            "instructions": self.instructions,
            "parsed": self.parsed,
            "kept": len(self.instances),
            **{reason: reasons[reason] for reason in REASONS},
        }


def write_instances(
    settings: Instances,
    *,
    method: str,
    instructions: Sequence[Instruction],
    prompt: Prompt,
    generate: Generate,
) -> Written:
    """Instances of every instruction, in the pool's order (paper, section II-D).

    What an instruction gets depends on the model, the settings and its own id and text alone.
    """
    tails = [prompt.tail(instruction=row.instruction.strip()) for row in instructions]
    seeds = [derived_seed(settings.seed, "sampling", row.id) for row in instructions]
    instances: list[Instance] = []
    rejected: list[Rejected] = []
    parsed = 0
    for row, reply in zip(instructions, generate(tails, seeds), strict=True):
        pairs = completions.judged(reply.text, truncated=reply.finish == "length")
        parsed += bool(pairs)
        if not pairs:
            rejected.append(Rejected(source=row.id, reason="no output", text=reply.text))
        kept = _picked([index for index, (_, why) in enumerate(pairs) if not why], row, settings)
        for index, (pair, why) in enumerate(pairs):
            if index in kept:
                number = kept.index(index)
                instances.append(_instance(row, number, method, pair))
            else:
                text = f"Input: {pair.input}\nOutput: {pair.output}"
                rejected.append(Rejected(source=row.id, reason=why or "surplus", text=text))
    return Written(instances, rejected, len(instructions), parsed)


def check_parsed(written: Written, settings: Instances, source: Path) -> None:
    """InputError where no instance came out, or too small a share of replies held a pair."""
    share = written.parsed / max(1, written.instructions)
    if written.instances and share >= settings.least_parsed:
        return
    counts = written.counts()
    reasons = ", ".join(
        f"{counts[reason]} {reason}"
        for reason in sorted(REASONS, key=lambda reason: -counts[reason])
        if counts[reason]
    )
    raise InputError(
        f"{source}: of {written.instructions} replies {written.parsed} ({share:.1%}) held an "
        f"output and {len(written.instances)} instances remain; instances.least_parsed asks for "
        f"{settings.least_parsed:.1%} and at least one. Rejected: {reasons or 'nothing'}. The "
        f"first: {shown(written.rejected[0].text, 300) if written.rejected else 'none'}. Look at "
        "the prompt file, instances.sampling (stop, max_new_tokens) and the model. This segment "
        "is not written; finished ones stay."
    )


def run_on(parts: Iterable[tuple[Path, Sequence[Instance]]]) -> list[Instance]:
    """The rows of all files, in order.

    Raises InputError naming file, line and id where an instruction stands out of order or twice,
    or its instances do not count 0, 1, ...
    """
    rows: list[Instance] = []
    for path, part in parts:
        for line, row in enumerate(part, 1):
            before = rows[-1] if rows else None
            same = before is not None and before.instruction_id == row.instruction_id
            number = int(before.id.rpartition("-")[2]) + 1 if before and same else 0
            if row.id != f"{row.instruction_id}-{number}":
                wanted = f"{row.instruction_id}-{number}"
                raise InputError(f"{path}, line {line}: id {shown(row.id)}, where {wanted} follows")
            if before and not same and _place(row) <= _place(before):
                raise InputError(
                    f"{path}, line {line}: instruction {shown(row.instruction_id)} stands after "
                    f"{shown(before.instruction_id)}"
                )
            rows.append(row)
    return rows


def _picked(valid: list[int], row: Instruction, settings: Instances) -> list[int]:
    """Which of the valid pairs are kept: the first, or a sample of those that are too many."""
    if settings.per_instruction == 1 or len(valid) <= settings.per_instruction:
        return valid[: settings.per_instruction]
    drawn = random.Random(derived_seed(settings.seed, "pick", row.id))
    return sorted(drawn.sample(valid, settings.per_instruction))


def _instance(row: Instruction, number: int, method: str, pair: completions.Pair) -> Instance:
    return Instance(
        id=f"{row.id}-{number}",
        instruction_id=row.id,
        method=method,
        instruction=row.instruction,
        input=pair.input,
        output=pair.output,
    )


def _place(row: Instance) -> tuple[int, str]:
    return len(row.instruction_id), row.instruction_id
