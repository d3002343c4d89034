"""Stage 1: a model's own instructions, bootstrapped from human-written ones round by round.

Source: the paper, section II-B and appendix IX-C; yizhongw/self-instruct@0b26ccaa,
self_instruct/bootstrap_instructions.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from refine_af.errors import InputError, shown
from refine_af.pool import Pool, instruction_id
from refine_af.progress import Progress
from refine_af.prompts import Prompt
from refine_af.randomness import derived_seed
from refine_af.records import Instruction, Rejected, Seed
from refine_af.settings import Instructions
from refine_af.task_lists import ITEM_REASONS, items, refusal

if TYPE_CHECKING:
    from refine_af.generation import Completion

REASONS = (*ITEM_REASONS, "no tokens", "similar")

ADVICE = {
    "truncated": "raise instructions.sampling.max_new_tokens",
    "similar": "raise instructions.sampling.temperature or top_p, or give more seeds",
}

# Replies to the ends of prompts, each with the seed of its random numbers.
Generate = Callable[[Sequence[str], Sequence[int]], Sequence["Completion"]]


@dataclass(frozen=True)
class Carry:
    """What a segment hands to the next: the round to go on with, and what it accepted too many."""

    next_round: int
    surplus: list[Instruction]


@dataclass(frozen=True)
class Round:
    """One round's figures: prompts, accepted items, rejections by reason, generated tokens."""

    number: int
    requested: int
    accepted: int
    reasons: Counter[str]
    tokens: int

    @property
    def parsed(self) -> int:
        return self.accepted + self.reasons.total()

    def row(self) -> dict[str, int]:
        return {
            "round": self.number,
            "requested": self.requested,
            "parsed": self.parsed,
            "accepted": self.accepted,
            "rejected": self.reasons.total(),
            **{reason: self.reasons[reason] for reason in REASONS},
            "tokens": self.tokens,
        }


COLUMNS = tuple(Round(0, 0, 0, Counter(), 0).row())


@dataclass(frozen=True)
class Segment:
    """A segment of the pool, with what was refused in its rounds and what goes to the next."""

    instructions: list[Instruction]
    rejected: list[Rejected]
    rounds: list[Round]
    carry: Carry


def bootstrap(
    settings: Instructions,
    *,
    seeds: Sequence[Seed],
    prompt: Prompt,
    earlier: Sequence[Instruction],
    carry: Carry,
    generate: Generate,
    progress: Progress,
) -> Segment:
    """The pool's next segment: the `settings.segment` instructions that follow `earlier`.

    Where segments end changes nothing in the pool: rounds are numbered through, and what one
    yields past an end is carried over. Raises InputError where the last rounds yield too little.
    """
    pool = Pool(settings, seeds, [*earlier, *carry.surplus])
    start, end = len(earlier), len(earlier) + settings.segment
    number, rounds, rejected = carry.next_round, [], list[Rejected]()
    if carry.surplus:
        progress.advance(min(len(carry.surplus), settings.segment), "carried over")
    while (before := len(pool.machine)) < end:
        made, refused = bootstrap_round(settings, pool, number, prompt, generate)
        rounds.append(made)
        rejected += refused
        number += 1
        progress.advance(
            min(len(pool.machine), end) - before,
            f"round {made.number}: {made.accepted} of {made.parsed} accepted",
        )
        if len(pool.machine) < end:
            check_yield(settings, rounds, rejected, len(pool.machine))
    surplus = pool.machine[end:]
    return Segment(pool.machine[start:end], rejected, rounds, Carry(number, surplus))


def bootstrap_round(
    settings: Instructions, pool: Pool, number: int, prompt: Prompt, generate: Generate
) -> tuple[Round, list[Rejected]]:
    """One round: all prompts from the pool as it stands, then all items in order into it."""
    requests = [pool.request(number, place) for place in range(settings.requests)]
    # An editor ends a file with a newline; the model is to continue the last line.
    tails = [prompt.tail(tasks=request.tasks()).rstrip() for request in requests]
    seeds = [
        derived_seed(settings.seed, "sampling", number, request.number) for request in requests
    ]
    before = len(pool.machine)
    rejected = []
    replies = generate(tails, seeds)
    for request, reply in zip(requests, replies, strict=True):
        for text, whole in items(reply.text, settings, truncated=reply.finish == "length"):
            reason = refusal(text, settings.filter) if whole else "truncated"
            reason = reason or pool.enter(text, request)
            if reason:
                rejected.append(Rejected(source=request.source, reason=reason, text=text))
    made = Round(
        number=number,
        requested=settings.requests,
        accepted=len(pool.machine) - before,
        reasons=Counter(row.reason for row in rejected),
        tokens=sum(len(reply.tokens) for reply in replies),
    )
    return made, rejected


def check_yield(
    settings: Instructions, rounds: Sequence[Round], rejected: Sequence[Rejected], pool: int
) -> None:
    """InputError where of the last `patience` rounds' items too small a share, or none, entered."""
    last = rounds[-settings.patience :]
    if len(last) < settings.patience:
        return
    parsed, accepted = sum(row.parsed for row in last), sum(row.accepted for row in last)
    share = accepted / parsed
    if accepted and share >= settings.least_yield:
        return
    reasons = sum((row.reasons for row in last), Counter[str]()).most_common()
    shares = ", ".join(f"{count / parsed:.1%} {reason}" for reason, count in reasons)
    advice = ADVICE.get(reasons[0][0], "look at the prompt file, instructions.filter and the model")
    raise InputError(
        f"of the {parsed} items of the last {len(last)} rounds {accepted} ({share:.1%}) entered "
        f"the pool, which holds {pool} instructions; instructions.least_yield asks for "
        f"{settings.least_yield:.1%} and at least one. Rejected: {shares}. The last of them: "
        f"{shown(rejected[-1].text, 200)}. What may help: {advice}. This segment is not written; "
        "finished ones stay."
    )


def check_seeds(seeds: Sequence[Seed], settings: Instructions, source: Path) -> None:
    """InputError where a prompt asks for more demonstrations than there are seeds."""
    if len(seeds) < settings.demonstrations:
        raise InputError(
            f"{source}: {len(seeds)} seed tasks; instructions.human_demonstrations and "
            f"machine_demonstrations ask for {settings.demonstrations} in the first prompts"
        )


def carry_of(content: bytes, source: Path, *, pool: int) -> Carry:
    """What a segment hands on, from its carry.json, after a pool of `pool` instructions.

    InputError names file, key and value where it cannot be that.
    """
    try:
        carry = TypeAdapter(Carry).validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "JSON"
        raise InputError(f"{source}: {key}: {first['msg']}; got {shown(first['input'])}") from None
    for place, row in enumerate(carry.surplus):
        if row.id != instruction_id(pool + place):
            raise InputError(
                f"{source}: surplus.{place}.id: {shown(row.id)}, where "
                f"{instruction_id(pool + place)} follows"
            )
    return carry
