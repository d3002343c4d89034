"""Stage 1: a model's own instructions, bootstrapped from human-written ones round by round.

Source: the paper, section II-B and appendix IX-C; yizhongw/self-instruct@0b26ccaa,
self_instruct/bootstrap_instructions.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from refine_af.engines.replies import Group, Reply
from refine_af.errors import InputError, shown
from refine_af.instructions.ending import CutReply, cut
from refine_af.instructions.pool import Pool, Request
from refine_af.instructions.rounds import Round, RoundLog
from refine_af.prompts.task_lists import demonstrations, items, refusal
from refine_af.prompts.templates import Prompt
from refine_af.randomness import derived_seed
from refine_af.records.human_tasks import Seed
from refine_af.records.instructions import Instruction, RejectedInstruction
from refine_af.records.segments import instruction_id
from refine_af.settings.instructions import Instructions
from refine_af.settings.watch import YieldWatch

ADVICE = {
    "no room": "the prompts fill the model's context: shorten the prompt file or the seeds, or "
    "lower instructions.sampling.max_new_tokens",
    "truncated": "raise instructions.sampling.max_new_tokens, or look whether the model ends items "
    "at all",
    "similar": "raise instructions.sampling.temperature or top_p, give more seeds, or look at "
    "instructions.novelty.threshold",
    "loop": "raise instructions.sampling.temperature or top_p: the model says the same again",
    "no tokens": "instructions.novelty.tokens: unicode knows the words of every script",
    "not ascii": "instructions.filter.non_ascii: true lets in other scripts than Latin",
}


@dataclass(frozen=True)
class Carry:
    """What a segment hands to the next: the next round, and instructions accepted past its end."""

    next_round: int
    surplus: list[Instruction]


@dataclass(frozen=True)
class Segment:
    """A segment of the pool, with what was refused in its rounds and what goes to the next."""

    instructions: list[Instruction]
    rejected: list[RejectedInstruction]
    rounds: list[Round]
    carry: Carry


def bootstrap(
    settings: Instructions,
    watch: YieldWatch,
    *,
    seeds: Sequence[Seed],
    prompt: Prompt,
    earlier: Sequence[Instruction],
    carry: Carry,
    log: RoundLog,
) -> Segment:
    """The pool's next segment: the `settings.segment_size` instructions that follow `earlier`.

    Where segments end changes nothing in the pool: rounds are numbered on through all segments, and
    what one yields past an end is carried over. InputError where the last rounds yield too little.
    """
    pool = Pool(settings, seeds, [*earlier, *carry.surplus])
    start, end = len(earlier), len(earlier) + settings.segment_size
    number, rounds, rejected = carry.next_round, list[Round](), list[RejectedInstruction]()
    while len(pool.machine) < end:
        made, refused = bootstrap_round(settings, pool, number, prompt, log)
        rounds.append(made)
        rejected += refused
        number += 1
        log.ended(made, len(pool.machine))
        if len(pool.machine) < end:
            check_yield(watch, rounds, rejected, len(pool.machine))
    surplus = pool.machine[end:]
    return Segment(pool.machine[start:end], rejected, rounds, Carry(number, surplus))


def bootstrap_round(
    settings: Instructions, pool: Pool, number: int, prompt: Prompt, log: RoundLog
) -> tuple[Round, list[RejectedInstruction]]:
    """One round: all prompts from the pool as it stands, then all items in order into it."""
    requests = [pool.request(number, place) for place in range(settings.prompts_per_round)]
    replies = _replies(settings, pool, requests, prompt, log)
    before, rejected, unwritten = len(pool.machine), list[RejectedInstruction](), 0
    for request, row in zip(requests, replies, strict=True):
        truncated = row.reply.finish == "length"
        found = items(row.reply.text, settings, truncated=truncated)
        unwritten += _unwritten(row.reply, len(found), settings)
        judged = (_judged(item, request, row.reply, settings, pool) for item in found)
        rejected += [refused for refused in judged if refused]
    made = Round(
        number=number,
        requested=settings.prompts_per_round,
        accepted=len(pool.machine) - before,
        reasons=Counter(row.reason for row in rejected),
        tokens=sum(row.reply.tokens for row in replies),
        cut=sum(row.reply.finish == "cut" for row in replies),
        unwritten=unwritten,
        dropped=sum(row.dropped for row in replies),
    )
    return made, rejected


def _replies(
    settings: Instructions, pool: Pool, requests: Sequence[Request], prompt: Prompt, log: RoundLog
) -> list[CutReply]:
    """The replies to a round's requests, each ended where the pool as it stands ends it."""
    number, ending = requests[0].round, pool.ending()
    # An editor ends a file with a newline; the model is to continue the last line.
    tails = [prompt.tail(tasks=request.tasks(settings.numbering)).rstrip() for request in requests]
    seeds = [
        derived_seed(settings.seed, "sampling", number, request.number) for request in requests
    ]
    replies = log.replies(number, [Group(prompt.prefix, tails, ending)], seeds)
    return [cut(reply, ending) for reply in replies]


def _judged(
    item: tuple[str, bool], request: Request, reply: Reply, settings: Instructions, pool: Pool
) -> RejectedInstruction | None:
    """The rejection of an item, which enters the pool where there is none."""
    text, whole = item
    # A reply without a token had no room beside its prompt.
    cut_off = "truncated" if reply.tokens else "no room"
    if reason := refusal(text, settings.filter) if whole else cut_off:
        return RejectedInstruction(request.round, request.number, reason, text, None, None)
    return pool.enter(text, request, reply)


def _unwritten(reply: Reply, written: int, settings: Instructions) -> int:
    """How many items could have followed in a reply that was ended early."""
    if reply.finish != "cut" or settings.last_item is None:
        return 0
    return max(0, settings.last_item - demonstrations(settings) - written)


def check_yield(
    watch: YieldWatch, rounds: Sequence[Round], rejected: Sequence[RejectedInstruction], pool: int
) -> None:
    """InputError where too few of the last `patience` rounds' items, or none, entered the pool."""
    last = rounds[-watch.patience :]
    if len(last) < watch.patience:
        return
    parsed, accepted = sum(row.parsed for row in last), sum(row.accepted for row in last)
    share = accepted / parsed
    if accepted and share >= watch.least_yield:
        return
    reasons = sum((row.reasons for row in last), Counter[str]()).most_common()
    shares = ", ".join(f"{count / parsed:.1%} {reason}" for reason, count in reasons)
    advice = ADVICE.get(reasons[0][0], "look at the prompt file, instructions.filter and the model")
    raise InputError(
        f"of the {parsed} items of the last {len(last)} rounds {accepted} ({share:.1%}) entered "
        f"the pool, which holds {pool} instructions; watch.instructions.least_yield asks for "
        f"{watch.least_yield:.1%} and at least one. Rejected: {shares}. The last of them: "
        f"{shown(rejected[-1].text, 200)}. What may help: {advice}. This segment is not written; "
        "finished ones stay, and the replies of this one: a lower floor goes on from here."
    )


def carry_of(content: bytes, source: Path, pool: Sequence[Instruction]) -> Carry:
    """What a segment hands on, from the `content` of its carry.json, the file `source`.

    `pool` are the instructions up to its end. InputError names file, key and value where these do
    not go together.
    """
    try:
        carry = TypeAdapter(Carry).validate_json(content, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "JSON"
        raise InputError(f"{source}: {key}: {first['msg']}; got {shown(first['input'])}") from None
    for place, row in enumerate(carry.surplus):
        if row.id != instruction_id(len(pool) + place):
            raise InputError(
                f"{source}: surplus.{place}.id: {shown(row.id)}, where "
                f"{instruction_id(len(pool) + place)} follows"
            )
    last = max((row.round for row in [*pool, *carry.surplus]), default=-1)
    if carry.next_round <= last:
        raise InputError(
            f"{source}: next_round: {shown(carry.next_round)}, where round {last} has been"
        )
    return carry
