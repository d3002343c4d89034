"""Stage 2: PPO of the instance generator from automated feedback (paper II-C, Eq. 1 and 2)."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from refine_af.jobs.progress import Progress
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.ppo.advantages import next_kl_coefficient
from refine_af.ppo.alarm import text_figures
from refine_af.ppo.checkpoint import Checkpoint, copied
from refine_af.ppo.floor import Moments, floor_of
from refine_af.ppo.learner import Learner
from refine_af.ppo.packing import Tokens
from refine_af.ppo.policy import Policy
from refine_af.ppo.rollouts import Environment, Rollout
from refine_af.randomness import derived_seed
from refine_af.records.instructions import Instruction
from refine_af.rewards.equation_1 import weighed
from refine_af.settings.ppo import Ppo
from refine_af.settings.reward import Weights

FIGURES = (
    "kl",
    "kl_coefficient",
    "entropy",
    "clip_fraction",
    "value_loss",
    "policy_loss",
    "explained_variance",
    "response_length",
    "parse_rate",
    "reward_parsed",
    "floor_share",
    "floor",
    "distinct_1",
    "distinct_2",
)
PHASES = ("generation", "reward", "log_probs", "update")


@dataclass(frozen=True)
class Step:
    """What one step did: its line of metrics.csv, each phase's seconds, and its rollouts."""

    number: int
    metrics: dict[str, Any]
    seconds: dict[str, float]
    rollouts: list[Rollout]


class PpoTrainer:
    """All that changes in training: the steps done, the KL coefficient, and the learner."""

    def __init__(self, policy: Policy, environment: Environment, settings: Ppo) -> None:
        self.done = 0
        self.kl_coefficient = settings.kl.coefficient
        self.parsed = Moments()
        self.learner = _learner(policy, environment, settings)
        self._environment = environment
        self.settings = settings

    def train(self, instructions: Sequence[Instruction]) -> Iterator[Step]:
        """The steps that are left; a step's random numbers depend on its number alone."""
        while self.done < self.settings.steps:
            yield self.step(instructions)

    def step(self, instructions: Sequence[Instruction]) -> Step:
        """Draw rollouts, judge them, and improve the policy on them."""
        number, settings, stopwatch = self.done + 1, self.settings, Stopwatch()
        weights = self._environment.weights
        with stopwatch.phase("generation"):
            begun = self.learner.prefixes.own().cut().cache(1)
        rollouts = self._environment.rollouts(
            self.learner.policy.model,
            step_instructions(instructions, number, settings),
            seeds=[
                derived_seed(settings.seed, "rollout", number, index)
                for index in range(settings.rollouts)
            ],
            stopwatch=stopwatch,
            begun=begun,
        )
        floor, scores = self._scores(rollouts)
        experience, losses = self.learner.learn(
            [self._row(rollout) for rollout in rollouts],
            scores,
            step=number,
            kl_coefficient=self.kl_coefficient,
            stopwatch=stopwatch,
        )
        metrics = {
            **dict.fromkeys(metric_columns(weights), ""),  # for figures that an algorithm lacks
            "step": number,
            "kl_coefficient": self.kl_coefficient,
            **score_figures(rollouts, weights),
            "floor": floor,
            **text_figures([rollout.pair.output for rollout in rollouts if rollout.pair]),
            **experience.figures(),
            **losses,
        }
        self.done = number
        self.kl_coefficient = next_kl_coefficient(
            self.kl_coefficient, metrics["kl"], len(rollouts), settings.kl
        )
        return Step(number, metrics, stopwatch.seconds, rollouts)

    def evaluation_rows(self, when: str, fixed: Sequence[Instruction]) -> list[dict[str, Any]]:
        """Lines of evaluation.jsonl: fixed instructions, answered with the same random numbers."""
        seed, count = self.settings.seed, len(fixed)
        rollouts = self._environment.rollouts(
            self.learner.policy.model,
            fixed,
            seeds=[derived_seed(seed, "evaluation", index) for index in range(count)],
            stopwatch=Stopwatch(),
            progress=Progress(count, f"fixed prompts, {when} training"),
        )
        return [{"when": when, **rollout.row()} for rollout in rollouts]

    def checkpoint(self) -> Checkpoint:
        """A copy of all that has changed since training began."""
        learner = self.learner
        tensors = copied(learner.policy, learner.optimizer)
        return Checkpoint(self.done, self.kl_coefficient, learner.micro_batch, self.parsed, tensors)

    def go_on_from(self, checkpoint: Checkpoint) -> None:
        """Stand where training stood when the checkpoint was taken."""
        self.learner.put_back(checkpoint.tensors)
        self.learner.micro_batch = checkpoint.micro_batch
        self.kl_coefficient = checkpoint.kl_coefficient
        self.parsed = checkpoint.parsed
        self.done = checkpoint.step

    def _scores(self, rollouts: Sequence[Rollout]) -> tuple[float, list[float]]:
        """What a step learns from: the rewards, but the floor, given first, where none parsed."""
        parsed = [rollout.reward for rollout in rollouts if rollout.components]
        self.parsed = self.parsed.after(parsed)
        fixed = self._environment.weights.unparseable
        floor = floor_of(self.parsed, self.settings.floor_deviations, fixed)
        return floor, [entry.reward if entry.components else floor for entry in rollouts]

    def _row(self, rollout: Rollout) -> Tokens:
        tokens = self._environment.tail_tokens(rollout.instruction)
        response = rollout.completion.tokens
        # Where the model's context has no room for a reply nothing is learnt: one token stands
        # for the instruction, which may be of any length.
        return Tokens(tail=tokens if response else tokens[:1], response=response)


def _learner(policy: Policy, environment: Environment, settings: Ppo) -> Learner:
    prefix = environment.prefix_tokens()
    if settings.algorithm == "ppo":
        return Learner(policy, prefix, settings)
    from refine_af.ppo.ablation import GroupLearner  # TRL takes seconds to import

    return GroupLearner(policy, prefix, settings, environment.tokenizer)


def evaluation_instructions(
    instructions: Sequence[Instruction], settings: Ppo
) -> list[Instruction]:
    """The instructions of the fixed prompts, which are answered before training and after it."""
    drawn = random.Random(derived_seed(settings.seed, "evaluation"))
    count = min(settings.evaluation_prompts, len(instructions))
    return drawn.sample(list(instructions), count)


def step_instructions(
    instructions: Sequence[Instruction], step: int, settings: Ppo
) -> list[Instruction]:
    """The instructions of step 1, 2, …, each as often as it is answered.

    Every epoch is a new permutation of all of them.
    """
    size, per_step = len(instructions), settings.rollouts // settings.generations
    first = (step - 1) * per_step
    orders: dict[int, list[int]] = {}
    chosen = []
    for place in range(first, first + per_step):
        epoch, index = divmod(place, size)
        if epoch not in orders:
            seed = derived_seed(settings.seed, "order", epoch)
            orders[epoch] = random.Random(seed).sample(range(size), size)
        chosen += [instructions[orders[epoch][index]]] * settings.generations
    return chosen


def metric_columns(weights: Weights) -> list[str]:
    """The columns of metrics.csv: the step, two for each score, and FIGURES."""
    scores = ("reward", *weighed(weights))
    return ["step", *(f"{score}_{kind}" for score in scores for kind in ("mean", "sd")), *FIGURES]


def score_figures(rollouts: Sequence[Rollout], weights: Weights) -> dict[str, Any]:
    """Mean and standard deviation of rewards and components, and shares of the rollouts.

    Components are those of the rollouts that parse, and empty where none does, as is
    `reward_parsed`, their mean reward; `floor_share` is the share of rewards at or below the floor
    that unparseable rollouts get in files. `floor`, the step's own, is what they get in learning.
    """
    columns: dict[str, list[float]] = {"reward": [rollout.reward for rollout in rollouts]}
    parsed = [rollout.components for rollout in rollouts if rollout.components]
    for name in weighed(weights):
        columns[name] = [components[name] for components in parsed]
    figures: dict[str, Any] = {}
    for name, column in columns.items():
        figures[f"{name}_mean"] = statistics.fmean(column) if column else ""
        figures[f"{name}_sd"] = statistics.stdev(column) if len(column) > 1 else ""
    figures["parse_rate"] = len(parsed) / len(rollouts)
    rewards = [rollout.reward for rollout in rollouts if rollout.components]
    figures["reward_parsed"] = statistics.fmean(rewards) if rewards else ""
    figures["floor_share"] = sum(
        reward <= weights.unparseable for reward in columns["reward"]
    ) / len(rollouts)
    return figures
