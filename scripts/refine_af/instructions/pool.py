"""The pool of stage 1: the seeds, and the machine-made instructions accepted so far."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.engines.replies import Ending, Reply
from refine_af.errors import InputError, shown
from refine_af.instructions.ending import early_ending
from refine_af.metrics.novelty import NoveltyPool
from refine_af.prompts.task_lists import demonstrations, task_list
from refine_af.randomness import derived_seed
from refine_af.records.human_tasks import Seed
from refine_af.records.instructions import Instruction, RejectedInstruction
from refine_af.records.segments import instruction_id
from refine_af.settings.instructions import Instructions
from refine_af.words import TOKENIZERS


@dataclass(frozen=True)
class Request:
    """One prompt of a round, with its demonstrations in their order."""

    round: int
    number: int
    demonstrations: list[Seed | Instruction]

    def tasks(self, numbering: str) -> str:
        """The demonstrations as a task list, for the prompt's slot `tasks`."""
        return task_list([row.instruction for row in self.demonstrations], numbering)


class Pool:
    """What demonstrations are drawn from, and what a new instruction must differ from."""

    def __init__(
        self, settings: Instructions, seeds: Sequence[Seed], machine: Iterable[Instruction]
    ) -> None:
        self.machine = list(machine)
        self._settings = settings
        self._seeds = seeds
        texts = [row.instruction for row in seeds]
        rules = settings.novelty
        self._among_seeds = NoveltyPool(texts, tokens=rules.tokens)
        texts += [row.instruction for row in self.machine]
        self._novelty = NoveltyPool(
            texts, threshold=rules.threshold, tie=rules.tie, tokens=rules.tokens
        )

    def request(self, round_number: int, number: int) -> Request:
        """A prompt's demonstrations, drawn and shuffled; seeds fill in for missing machine ones."""
        purpose = ("demonstrations", round_number, number)
        drawn = random.Random(derived_seed(self._settings.seed, *purpose))
        made = min(self._settings.machine_demonstrations, len(self.machine))
        candidates = max(made, min(self._settings.demonstration_candidates or 0, len(self.machine)))
        machine = drawn.sample(self.machine, candidates)
        human = drawn.sample(self._seeds, demonstrations(self._settings) - made)
        rows: list[Seed | Instruction] = [*self._most_unlike(machine, human, made), *human]
        drawn.shuffle(rows)
        return Request(round_number, number, rows)

    def _most_unlike(
        self, candidates: list[Instruction], human: Sequence[Seed], wanted: int
    ) -> list[Instruction]:
        """The candidates that a prompt shows, each the farthest from those before it.

        Farthest: its highest ROUGE-L with one of them is the least; the first drawn of equals.
        """
        if len(candidates) <= wanted:
            return candidates
        tokens = self._settings.novelty.tokens
        chosen: list[Instruction] = []
        for _ in range(wanted):
            texts = [row.instruction for row in human] + [row.instruction for row in chosen]
            there = NoveltyPool(texts, tokens=tokens)
            nearness = [there.nearest(row.instruction).rouge_l for row in candidates]
            chosen.append(candidates.pop(nearness.index(min(nearness))))
        return chosen

    def ending(self) -> Ending | None:
        """What ends replies early, as long as nothing enters."""
        return early_ending(self._settings, self._novelty)

    def enter(self, text: str, request: Request, reply: Reply) -> RejectedInstruction | None:
        """Add `text` to the pool and give None, or the rejection where it is not new."""
        verdict = self._novelty.offer(text)
        nearest = None if verdict.nearest is None else self._id(verdict.nearest)
        if verdict.reason:
            score = None if nearest is None else verdict.rouge_l
            return RejectedInstruction(
                request.round, request.number, verdict.reason, text, nearest, score
            )
        seed = self._among_seeds.nearest(text)
        self.machine.append(
            Instruction(
                id=instruction_id(len(self.machine)),
                instruction=text,
                round=request.round,
                request=request.number,
                demonstrations=[row.id for row in request.demonstrations],
                nearest=nearest or "",
                rouge_l=verdict.rouge_l,
                nearest_seed=self._id(seed.nearest or 0),  # there are seeds: never None
                seed_rouge_l=seed.rouge_l,
                prompt_tokens=reply.prompt_tokens,
                reply_tokens=reply.tokens,
            )
        )
        return None

    def _id(self, index: int) -> str:
        seeds = len(self._seeds)
        return self._seeds[index].id if index < seeds else self.machine[index - seeds].id


def check_script(seeds: Sequence[Seed], settings: Instructions, source: Path) -> None:
    """InputError where most seeds are in a script whose instructions the settings refuse."""
    texts, tokens = [row.instruction for row in seeds], settings.novelty.tokens
    wordless = sum(not TOKENIZERS[tokens](text) for text in texts)
    if 2 * wordless > len(texts):
        raise InputError(
            f"{source}: {wordless} of {len(texts)} instructions hold no word that "
            f"instructions.novelty.tokens: {tokens} knows, and such are refused; unicode knows "
            "those of every script"
        )
    beyond = sum(not text[:1].isascii() for text in texts)
    if 2 * beyond > len(texts) and not settings.filter.non_ascii:
        raise InputError(
            f"{source}: {beyond} of {len(texts)} instructions begin with a character beyond "
            "ASCII, and such are refused; instructions.filter.non_ascii: true lets them in"
        )


def run_on(parts: Iterable[tuple[Path, Sequence[Instruction]]]) -> list[Instruction]:
    """The rows of all files, in order. InputError, with file and line, where an id is not next."""
    rows: list[Instruction] = []
    for path, part in parts:
        for line, row in enumerate(part, 1):
            wanted = instruction_id(len(rows))
            if row.id != wanted:
                raise InputError(f"{path}, line {line}: id {shown(row.id)}, where {wanted} follows")
            rows.append(row)
    return rows
