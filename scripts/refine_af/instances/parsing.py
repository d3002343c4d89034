"""Stage 3: input and output for every instruction of the pool, read from a model's replies."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.instances.replies import PARSES, AskedReply
from refine_af.prompts import completions
from refine_af.randomness import derived_seed
from refine_af.records.instances import Instance, Rejected, Template
from refine_af.records.instructions import Instruction
from refine_af.settings.instances import Instances
from refine_af.settings.watch import ParsedWatch

REASONS = ("no output", *completions.REASONS, "surplus")


@dataclass(frozen=True)
class Kept:
    """A pair that is kept: the `number`-th of its instruction, counted from 0."""

    row: Instruction
    number: int
    pair: completions.Pair
    template: Template


@dataclass(frozen=True)
class Parsed:
    """What the replies to some instructions hold; `parsed` counts those with a pair in them.

    `classification` counts the instructions that were asked output first.
    """

    kept: list[Kept]
    rejected: list[Rejected]
    instructions: int
    classification: int
    parsed: int


def parsed(
    settings: Instances, instructions: Sequence[Instruction], replies: Sequence[AskedReply]
) -> Parsed:
    """The pairs in the reply to each instruction, in the pool's order, kept or refused.

    What an instruction gets depends on the settings, its id and the reply alone.
    """
    kept: list[Kept] = []
    rejected: list[Rejected] = []
    with_pair = 0
    for row, reply in zip(instructions, replies, strict=True):
        cut, parse = reply.finish == "length", PARSES[reply.template]
        pairs = completions.judged(reply.text, truncated=cut, parse=parse)
        with_pair += bool(pairs)
        if not pairs:
            rejected.append(Rejected(source=row.id, reason="no output", text=reply.text))
        picked = _picked([index for index, (_, why) in enumerate(pairs) if not why], row, settings)
        for index, (pair, why) in enumerate(pairs):
            if index in picked:
                kept.append(Kept(row, picked.index(index), pair, reply.template))
            else:
                text = f"Input: {pair.input}\nOutput: {pair.output}"
                rejected.append(Rejected(source=row.id, reason=why or "surplus", text=text))
    output_first = sum(reply.template == "output first" for reply in replies)
    return Parsed(kept, rejected, len(instructions), output_first, with_pair)


def joined(rounds: Sequence[Parsed]) -> Parsed:
    """What a segment's rounds hold together."""
    return Parsed(
        kept=[entry for part in rounds for entry in part.kept],
        rejected=[entry for part in rounds for entry in part.rejected],
        instructions=sum(part.instructions for part in rounds),
        classification=sum(part.classification for part in rounds),
        parsed=sum(part.parsed for part in rounds),
    )


def counts(found: Parsed) -> dict[str, int]:
    """The numbers of instructions, of classification tasks among them, of parsed replies and kept
    instances, and rejections by reason."""
    reasons = Counter(rejected.reason for rejected in found.rejected)
    return {
        "instructions": found.instructions,
        "classification": found.classification,
        "parsed": found.parsed,
        "kept": len(found.kept),
        **{reason: reasons[reason] for reason in REASONS},
    }


def check_parsed(found: Parsed, watch: ParsedWatch, source: Path) -> None:
    """InputError where no instance came out, or too small a share of replies held a pair."""
    share = found.parsed / max(1, found.instructions)
    if found.kept and share >= watch.least_parsed:
        return
    made = counts(found)
    reasons = ", ".join(
        f"{made[reason]} {reason}"
        for reason in sorted(REASONS, key=lambda reason: -made[reason])
        if made[reason]
    )
    raise InputError(
        f"{source}: of {found.instructions} replies {found.parsed} ({share:.1%}) held an "
        f"output and {len(found.kept)} instances remain; watch.instances.least_parsed asks for "
        f"{watch.least_parsed:.1%} and at least one. Rejected: {reasons or 'nothing'}. The "
        f"first: {shown(found.rejected[0].text, 300) if found.rejected else 'none'}. Look at "
        "the prompt file, instances.sampling (stop, max_new_tokens) and the model. This segment "
        "is not written; finished ones stay, and the replies of this one."
    )


def run_on(parts: Iterable[tuple[Path, Sequence[Instance]]]) -> list[Instance]:
    """The rows of all files, in order.

    InputError, with file, line and id, where an instruction stands out of order or twice, or its
    instances are not numbered 0, 1, ...
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
    """Which of the valid pairs are kept: the first, or a sample of those that are too many.

    The first is what PPO is rewarded for (`completions.first_kept`).
    """
    if settings.per_instruction == 1 or len(valid) <= settings.per_instruction:
        return valid[: settings.per_instruction]
    drawn = random.Random(derived_seed(settings.seed, "pick", row.id))
    return sorted(drawn.sample(valid, settings.per_instruction))


def _place(row: Instance) -> tuple[int, str]:
    """What sorts instructions by number: i10 comes after i9, which is shorter."""
    return len(row.instruction_id), row.instruction_id
