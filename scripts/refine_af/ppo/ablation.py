"""RLOO and GRPO in place of PPO's update: TRL's own trainers, as an ablation.

All but the update is PPO's: the instructions and their order, how answers are drawn and where they
stop, their rewards, the adapter with its first values, AdamW, and the reference, which is the model
with the adapter off. TRL's own sampling is left out: it raises ValueError at stop strings, and it
would draw a step's answers from one generator, so that a stage could not go on after a kill.

rloo (arXiv 2402.14740) subtracts from a reward the mean reward of the other answers to its
instruction, and clips one ratio for a whole answer. Its β is that of Eq. 2, as in PPO: the reward
loses β times the log-ratio to the reference, summed over the answer.

grpo (arXiv 2402.03300), in the variant that is TRL's default (loss `dapo`, rewards scaled by
group, KL corrected as in arXiv 2512.02556), divides a reward's distance from the group's mean by
the group's standard deviation, and adds to each token's loss β times its ratio times
exp(r) − r − 1, r being the reference's log-probability less the policy's. So the same β weighs the
KL against the reward as β times that deviation does in PPO, and a token pays for its own divergence
alone, not for that of the tokens after it.

In both the value head stays zero and is not written, PPO's settings gamma, lam and value_* do
nothing, clip is TRL's epsilon, epochs its num_iterations, and a step's minibatches are the same in
every epoch. TRL rounds a quantised model's adapter to bfloat16; here it stays in float32, as in
PPO.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from transformers import PrinterCallback
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from refine_af.errors import InputError
from refine_af.models.upstream import (
    GrpoOnAnswers,
    RlooOnAnswers,
    drop_reference,
    use_one_gpu,
    without_hint_at_scores,
)
from refine_af.ppo.experience import Experience
from refine_af.ppo.learner import Learner
from refine_af.ppo.packing import Tokens
from refine_af.ppo.policy import Policy
from refine_af.randomness import derived_seed
from refine_af.settings.ppo import Ppo


@dataclass(frozen=True)
class ScoredExperience(Experience):
    """An experience with the rewards and the KL coefficient that TRL makes advantages of."""

    scores: Sequence[float]
    kl_coefficient: float

    def figures(self) -> dict[str, float]:
        """An experience's figures, without those of the value head."""
        figures = super().figures()
        del figures["explained_variance"]  # nothing learns the values
        return figures


class GroupLearner(Learner):
    """A learner that improves the adapter by comparing answers to the same instruction."""

    def __init__(
        self, policy: Policy, prefix: Sequence[int], settings: Ppo, tokenizer: Any
    ) -> None:
        """Each `settings.generations` rows, in order, are answers to one prompt."""
        super().__init__(policy, prefix, settings)
        for trainer in (RLOOTrainer, GRPOTrainer):
            without_hint_at_scores(trainer)
        self._tokenizer = tokenizer
        self._answers = _Answers(prefix, tokenizer.eos_token_id)
        self._trainer: Any = None
        self._made_for = 0

    def experience(
        self,
        rows: Sequence[Tokens],
        scores: Sequence[float],
        *,
        step: int,
        kl_coefficient: float,
    ) -> ScoredExperience:
        """What the policy makes of the rows before the step's updates, with their scores.

        ValueError unless each group of rows shares its prompt.
        """
        size = self._settings.generations
        for start in range(0, len(rows), size):
            group = rows[start : start + size]
            if len(group) != size or len({row.tail for row in group}) > 1:
                raise ValueError(f"rows from {start} on are no {size} of one prompt")
        found = super().experience(rows, scores, step=step, kl_coefficient=kl_coefficient)
        self.prefixes.forget()  # TRL's trainers read every prompt whole
        return ScoredExperience(**vars(found), scores=scores, kl_coefficient=kl_coefficient)

    def update(  # type: ignore[override]  # what its own `experience` gives
        self, experience: ScoredExperience, *, step: int
    ) -> dict[str, float]:
        """All epochs' optimizer steps; TRL's loss and clipped share, a mean over them.

        GRPO's KL term is in the loss; the share is one of whole answers in RLOO, of tokens in GRPO.
        """
        if self._made_for != self.micro_batch:  # a trainer that ran out of memory is not reused
            self._trainer, self._made_for = self._new_trainer(), self.micro_batch
        trainer = self._trainer
        self._answers.rows, self._answers.scores = experience.rows, experience.scores
        trainer.beta = experience.kl_coefficient
        with torch.random.fork_rng():
            torch.manual_seed(derived_seed(self._settings.seed, "minibatches", step))
            trainer.train()
        self.policy.model.eval()
        updates = [log for log in trainer.state.log_history if "loss" in log]
        for log in updates:
            if not math.isfinite(log["grad_norm"]):
                raise InputError(
                    f"PPO step {step}: the gradient is {log['grad_norm']}; a lower "
                    f"ppo.learning_rate than {self._settings.learning_rate} may help"
                )
        return {
            "policy_loss": sum(log["loss"] for log in updates) / len(updates),
            "clip_fraction": sum(log["clip_ratio/region_mean"] for log in updates) / len(updates),
        }

    def save(self, folder: Path) -> None:
        """Write the adapter alone, since no value was learnt. OSError where the disk is full."""
        self.policy.save_adapter(folder)

    def _new_trainer(self) -> Any:
        model, settings = self.policy.model, self._settings
        kept = [(entry, entry.data) for entry in self.policy.adapter_parameters()]
        config, kind = KINDS[settings.algorithm]
        groups = [str(group) for group in range(settings.rollouts // settings.generations)]
        with TemporaryDirectory() as scratch, torch.random.fork_rng():
            arguments = config(output_dir=scratch, **self._arguments())
            use_one_gpu(arguments)
            trainer = kind(
                model=model,
                reward_funcs=self._answers.rewards,
                args=arguments,
                train_dataset=Dataset.from_dict({"prompt": groups}),
                processing_class=self._tokenizer,
                optimizers=(self.optimizer, None),
            )
        trainer.remove_callback(PrinterCallback)
        trainer.answers = self._answers
        drop_reference(model)
        for entry, data in kept:
            entry.data = data  # in float32 again
        return trainer

    def _arguments(self) -> dict[str, Any]:
        settings, gpu = self._settings, torch.cuda.is_available()
        minibatch = settings.batch_size * settings.gradient_accumulation_steps
        size = max(n for n in range(1, self.micro_batch + 1) if minibatch % n == 0)
        return {
            "seed": settings.seed,
            "num_train_epochs": 1,  # of a call, which is a step
            "per_device_train_batch_size": size,
            "gradient_accumulation_steps": minibatch // size,
            "steps_per_generation": settings.rollouts // size,
            "num_generations": settings.generations,
            "num_iterations": settings.epochs,
            "shuffle_dataset": False,
            "temperature": settings.sampling.temperature,
            "max_completion_length": settings.sampling.max_new_tokens,
            "beta": settings.kl.coefficient,
            "epsilon": settings.clip,
            "lr_scheduler_type": "constant",
            "max_grad_norm": settings.max_grad_norm,
            "disable_dropout": True,
            "use_cpu": not gpu,
            "bf16": False,  # the backbone is in bfloat16 by itself, the adapter never
            "activation_checkpointing": False,  # the policy has its own
            "save_strategy": "no",
            "report_to": "none",
            "logging_steps": 1,
            "logging_nan_inf_filter": False,
            "disable_tqdm": True,
            "dataloader_pin_memory": gpu,
        }


class _Answers:
    """The answers of the step under way, in the terms of TRL's trainers."""

    def __init__(self, prefix: Sequence[int], end: int) -> None:
        self._prefix = list(prefix)
        self._end = end
        self.rows: Sequence[Tokens] = ()
        self.scores: Sequence[float] = ()

    def prompts(self) -> list[list[int]]:
        """The tokens of each answer's prompt."""
        return [[*self._prefix, *row.tail] for row in self.rows]

    def completions(self) -> list[list[int]]:
        """Tokens, with the stop string's; an end of text for none, since TRL needs at least one."""
        return [list(row.response) or [self._end] for row in self.rows]

    def rewards(self, **_: Any) -> list[float | None]:
        """The scores; None, which gives an answer no advantage, where it has no tokens."""
        scored = zip(self.rows, self.scores, strict=True)
        return [score if row.response else None for row, score in scored]


class _Rloo(RlooOnAnswers, RLOOTrainer):  # type: ignore[misc]
    """RLOO on the answers that PPO's rollouts drew."""


class _Grpo(GrpoOnAnswers, GRPOTrainer):  # type: ignore[misc]
    """GRPO on the answers that PPO's rollouts drew."""


KINDS: dict[str, tuple[Any, Any]] = {"rloo": (RLOOConfig, _Rloo), "grpo": (GRPOConfig, _Grpo)}
