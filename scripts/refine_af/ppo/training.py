"""Stage 2: PPO of the instance generator from automated feedback (paper II-C, Eq. 1 and 2)."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from refine_af.models import encode
from refine_af.ppo.advantages import next_kl_coefficient
from refine_af.ppo.learner import Learner
from refine_af.ppo.policy import Policy, Row
from refine_af.ppo.rollouts import Environment, Rollout
from refine_af.ppo.settings import Ppo
from refine_af.progress import Progress
from refine_af.randomness import derived_seed
from refine_af.records import Instruction
from refine_af.rewards import COMPONENTS
from refine_af.stopwatch import Stopwatch

SCORES = ("reward", *COMPONENTS)
METRICS = (
    "step",
    *(f"{score}_{figure}" for score in SCORES for figure in ("mean", "sd")),
    "kl",
    "kl_coefficient",
    "entropy",
    "clip_fraction",
    "value_loss",
    "policy_loss",
    "explained_variance",
    "response_length",
    "parse_rate",
    "floor_share",
)
PHASES = ("generation", "reward", "log_probs", "update")


@dataclass(frozen=True)
class Step:
    """What one step did: its line of metrics.csv, each phase's seconds, and its rollouts."""

    number: int
    metrics: dict[str, Any]
    seconds: dict[str, float]
    rollouts: list[Rollout]


class Trainer:
    """All that changes in training: the steps done, the KL coefficient, and the learner."""

    def __init__(self, policy: Policy, environment: Environment, settings: Ppo) -> None:
        prefix = encode(environment.tokenizer, environment.prompt.prefix, start=True)
        self.done = 0
        self.kl_coefficient = settings.kl.coefficient
        self.learner = Learner(policy, prefix, settings)
        self._environment = environment
        self._settings = settings

    def train(self, instructions: Sequence[Instruction]) -> Iterator[Step]:
        """The steps that are left; a step's random numbers depend on its number alone."""
        while self.done < self._settings.steps:
            yield self.step(instructions)

    def step(self, instructions: Sequence[Instruction]) -> Step:
        """Draw rollouts, judge them, and improve the policy on them."""
        number, settings, stopwatch = self.done + 1, self._settings, Stopwatch()
        rollouts = self._environment.rollouts(
            self.learner.policy.model,
            step_instructions(instructions, number, settings),
            seeds=[
                derived_seed(settings.seed, "rollout", number, index)
                for index in range(settings.rollouts)
            ],
            stopwatch=stopwatch,
        )
        with stopwatch.phase("log_probs"):
            experience = self.learner.experience(
                [self._row(rollout) for rollout in rollouts],
                [rollout.reward for rollout in rollouts],
                step=number,
                kl_coefficient=self.kl_coefficient,
            )
        with stopwatch.phase("update"):
            losses = self.learner.update(experience, step=number)
        metrics = {
            "step": number,
            "kl_coefficient": self.kl_coefficient,
            **score_figures(rollouts, floor=settings.reward.weights.unparseable),
            **experience.figures(),
            **losses,
        }
        self.done = number
        self.kl_coefficient = next_kl_coefficient(
            self.kl_coefficient, metrics["kl"], len(rollouts), settings.kl
        )
        return Step(number, metrics, stopwatch.seconds, rollouts)

    def _row(self, rollout: Rollout) -> Row:
        tail = self._environment.prompt.tail(instruction=rollout.instruction.instruction)
        return Row(
            tail=tuple(encode(self._environment.tokenizer, tail, start=False)),
            response=rollout.completion.tokens,
        )


def step_instructions(
    instructions: Sequence[Instruction], step: int, settings: Ppo
) -> list[Instruction]:
    """The instructions of step 1, 2, …: every epoch is a new permutation of all of them."""
    size = len(instructions)
    first = (step - 1) * settings.rollouts
    orders: dict[int, list[int]] = {}
    chosen = []
    for place in range(first, first + settings.rollouts):
        epoch, index = divmod(place, size)
        if epoch not in orders:
            seed = derived_seed(settings.seed, "order", epoch)
            orders[epoch] = random.Random(seed).sample(range(size), size)
        chosen.append(instructions[orders[epoch][index]])
    return chosen


def evaluation_rows(
    when: str,
    model: Any,
    environment: Environment,
    instructions: Sequence[Instruction],
    settings: Ppo,
) -> list[dict[str, Any]]:
    """Lines of evaluation.jsonl: fixed instructions, answered with the same random numbers."""
    count = min(settings.evaluation_prompts, len(instructions))
    chosen = random.Random(derived_seed(settings.seed, "evaluation")).sample(
        list(instructions), count
    )
    rollouts = environment.rollouts(
        model,
        chosen,
        seeds=[derived_seed(settings.seed, "evaluation", index) for index in range(count)],
        stopwatch=Stopwatch(),
        progress=Progress(count, f"fixed prompts, {when} training"),
    )
    return [{"when": when, **rollout.row()} for rollout in rollouts]


def score_figures(rollouts: Sequence[Rollout], *, floor: float) -> dict[str, Any]:
    """Mean and standard deviation of rewards and components, and shares of the rollouts.

    Components are those of the rollouts that parse, and empty where none does; `floor_share` is
    the share of rewards at or below the floor that unparseable rollouts get.
    """
    columns: dict[str, list[float]] = {"reward": [rollout.reward for rollout in rollouts]}
    parsed = [rollout.components for rollout in rollouts if rollout.components]
    for name in COMPONENTS:
        columns[name] = [components[name] for components in parsed]
    figures: dict[str, Any] = {}
    for name, column in columns.items():
        figures[f"{name}_mean"] = statistics.fmean(column) if column else ""
        figures[f"{name}_sd"] = statistics.stdev(column) if len(column) > 1 else ""
    figures["parse_rate"] = len(parsed) / len(rollouts)
    figures["floor_share"] = sum(reward <= floor for reward in columns["reward"]) / len(rollouts)
    return figures
