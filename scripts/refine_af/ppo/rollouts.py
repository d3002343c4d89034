"""Instructions answered by the policy and judged: what PPO learns from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.engines.generation import Completion, generate
from refine_af.errors import InputError
from refine_af.files.rows import read_records
from refine_af.jobs.progress import Progress
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.models.chat import Chat
from refine_af.models.encoding import encode, encode_after
from refine_af.prompts.completions import Pair, first_kept
from refine_af.prompts.templates import Prompt
from refine_af.records.fixed_prompts import Answer
from refine_af.records.instructions import Instruction
from refine_af.rewards.equation_1 import composite
from refine_af.rewards.scorer import Triplet
from refine_af.rewards.scorers import Judge
from refine_af.settings.reward import Weights
from refine_af.settings.sampling import Sampling


@dataclass(frozen=True)
class Rollout:
    """A reply and its reward: `pair` is the first that stage 3 would keep, None without one.

    `components` are the scorer's for the pair, None without one; `reward` is Eq. 1.
    """

    instruction: Instruction
    completion: Completion
    pair: Pair | None
    components: Mapping[str, float] | None
    reward: float

    def row(self) -> dict[str, Any]:
        """The rollout as a line of samples.jsonl or evaluation.jsonl."""
        return {
            "instruction_id": self.instruction.id,
            "instruction": self.instruction.instruction,
            "completion": self.completion.text,
            "input": self.pair.input if self.pair else None,
            "output": self.pair.output if self.pair else None,
            "reward": self.reward,
            "components": self.components,
        }


def read_answers(path: Path, when: str, fixed: Sequence[Instruction]) -> list[Answer]:
    """The answers to the instructions `fixed`, `when` "before" or "after" training, in order.

    InputError where the file is damaged, or holds others.
    """
    rows = read_records(path, Answer)
    found = [(row.when, row.instruction_id, row.instruction) for row in rows]
    if found != [(when, entry.id, entry.instruction) for entry in fixed]:
        raise InputError(f"{path}: {len(rows)} answers, not those to the fixed prompts")
    if odd := [row.reward for row in rows if not math.isfinite(row.reward)]:
        raise InputError(f"{path}: the reward {odd[0]}")
    return rows


@dataclass(frozen=True)
class Environment:
    """What an instruction passes through on its way to a reward, as a turn of `chat` or not."""

    tokenizer: Any
    prompt: Prompt
    sampling: Sampling
    judge: Judge
    weights: Weights
    chat: Chat | None = None

    def prefix_tokens(self) -> list[int]:
        """The token ids that all prompts begin with."""
        prefix = self._parts("")[0]
        return encode(self.tokenizer, prefix, start=True) if prefix else []

    def tail_tokens(self, asked: Instruction) -> tuple[int, ...]:
        """The token ids of an instruction's prompt after those."""
        return tuple(encode_after(self.tokenizer, *self._parts(self.tail(asked))))

    def tail(self, instruction: Instruction) -> str:
        """What follows the shared prefix in an instruction's prompt, here and in stage 3."""
        return self.prompt.tail(instruction=instruction.instruction.strip())

    def rollouts(
        self,
        model: Any,
        instructions: Sequence[Instruction],
        *,
        seeds: Sequence[int],
        stopwatch: Stopwatch,
        progress: Progress | None = None,
        begun: Any = None,
    ) -> list[Rollout]:
        """One rollout an instruction, in order; reply i is drawn from `seeds[i]` alone.

        `begun` is a cache of what `prefix_tokens` gives, where the model has read them already.
        """
        with stopwatch.phase("generation"):
            completions = generate(
                model,
                self.tokenizer,
                prefix=self.prompt.prefix,
                tails=[self.tail(entry) for entry in instructions],
                sampling=self.sampling,
                seeds=seeds,
                chat=self.chat,
                progress=progress,
                begun=begun,
            )
        pairs = [
            first_kept(entry.text, truncated=entry.finish == "length") for entry in completions
        ]
        with stopwatch.phase("reward"):
            components = self._judged(instructions, pairs)
        return [
            Rollout(*parts, reward=composite(parts[-1], self.weights))
            for parts in zip(instructions, completions, pairs, components, strict=True)
        ]

    def _parts(self, tail: str) -> tuple[str, str]:
        """A prompt's parts, which are encoded apart."""
        prefix = self.prompt.prefix
        return self.chat.turn(prefix, tail) if self.chat else (prefix, tail)

    def _judged(
        self, instructions: Sequence[Instruction], pairs: Sequence[Pair | None]
    ) -> list[dict[str, float] | None]:
        triplets = [
            Triplet(entry.instruction, pair.input, pair.output)
            for entry, pair in zip(instructions, pairs, strict=True)
            if pair
        ]
        scores = iter(self.judge(triplets) if triplets else [])
        return [next(scores) if pair else None for pair in pairs]
