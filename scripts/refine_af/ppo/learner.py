"""PPO's learner: from scored responses to a better policy."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import torch
from torch import Tensor

from refine_af.errors import InputError
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.models.device_faults import first_line, free_cached, out_of_memory
from refine_af.models.prefix import Prefix
from refine_af.ppo.advantages import (
    clipped_tokens,
    generalized_advantages,
    loss_weights,
    policy_losses,
    token_rewards,
    value_losses,
    whitened,
)
from refine_af.ppo.checkpoint import copied, put_back
from refine_af.ppo.experience import Experience
from refine_af.ppo.packing import Tokens
from refine_af.ppo.policy import Policy, Predictions
from refine_af.ppo.prefixes import Prefixes
from refine_af.randomness import derived_seed
from refine_af.settings.ppo import Ppo


class Learner:
    """A policy with its optimizer: AdamW with a rate for the adapter and one for the value head.

    `micro_batch` responses pass through the model at once: batch_size, or fewer where memory does
    not hold that many. It only bounds the memory: results differ by the rounding of sums.
    """

    def __init__(self, policy: Policy, prefix: Sequence[int], settings: Ppo) -> None:
        """`prefix` holds the tokens that begin every prompt."""
        self.policy = policy
        self._settings = settings
        self.micro_batch = settings.batch_size
        self.prefixes = Prefixes(policy, prefix)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": policy.adapter_parameters(), "lr": settings.learning_rate},
                {"params": policy.value_head.parameters(), "lr": settings.value_learning_rate},
            ],
            weight_decay=0.0,
        )

    def learn(
        self,
        rows: Sequence[Tokens],
        scores: Sequence[float],
        *,
        step: int,
        kl_coefficient: float,
        stopwatch: Stopwatch,
    ) -> tuple[Experience, dict[str, float]]:
        """A step's `experience`, and what its `update` gives.

        Old and new log-probabilities must come from forward passes of the same shapes: otherwise
        their ratio would not begin at 1 in bfloat16. So a step has one size of micro-batch. Where
        memory does not hold it, all is put back as before the step, and done again with half.
        """
        before = copied(self.policy, self.optimizer)
        while True:
            try:
                return self._learnt(
                    rows, scores, step=step, kl_coefficient=kl_coefficient, stopwatch=stopwatch
                )
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                self._halve(error)
            self.policy.model.eval()  # TRL's trainers set training mode
            self.put_back(before)
            free_cached(self.policy.model.device)

    def put_back(self, tensors: Mapping[str, Tensor]) -> None:
        """Make weights and optimizer what they were when `copied`."""
        put_back(self.policy, self.optimizer, tensors)
        self.prefixes.forget()

    def _learnt(
        self,
        rows: Sequence[Tokens],
        scores: Sequence[float],
        *,
        step: int,
        kl_coefficient: float,
        stopwatch: Stopwatch,
    ) -> tuple[Experience, dict[str, float]]:
        with stopwatch.phase("log_probs"):
            experience = self.experience(rows, scores, step=step, kl_coefficient=kl_coefficient)
        with stopwatch.phase("update"):
            return experience, self.update(experience, step=step)

    def _halve(self, error: Exception) -> None:
        if self.micro_batch == 1:
            raise InputError(
                f"out of memory with one response at a time: {first_line(error)}; a lower "
                f"ppo.sampling.max_new_tokens than {self._settings.sampling.max_new_tokens}, a "
                "shorter prompt, or compute.ppo.gradient_checkpointing: true, needs less"
            ) from None
        half = self.micro_batch // 2
        print(
            f"out of memory with {self.micro_batch} responses at a time: going on with {half}",
            flush=True,
        )
        self.micro_batch = half

    def save(self, folder: Path) -> None:
        """Write what was learnt into an existing folder. OSError where the disk is full."""
        self.policy.save(folder)

    @torch.no_grad()
    def experience(
        self,
        rows: Sequence[Tokens],
        scores: Sequence[float],
        *,
        step: int,
        kl_coefficient: float,
    ) -> Experience:
        """The rows with rewards by Eq. 2, advantages and returns, before the step's updates."""
        settings = self._settings
        width = max(len(row.response) for row in rows)
        blank = torch.zeros(len(rows), width, device=self.policy.model.device)
        log_probs, log_ratios, values, mask = (blank.clone() for _ in range(4))
        entropies = []
        prefix, reference = self.prefixes.own(), self.prefixes.reference()
        # The forward passes of the first epoch, so that its ratio of new to old begins at 1.
        order = epoch_order(len(rows), settings.seed, step=step, epoch=0)
        for batch in chain.from_iterable(map(self._micro_batches, self._updates(order))):
            chosen = [rows[index] for index in batch]
            own = self._predict(prefix, chosen, width)
            with self.policy.as_reference():
                other = self._predict(reference, chosen, width)
            log_probs[batch], values[batch], mask[batch] = own.log_probs, own.values, own.mask
            log_ratios[batch] = own.log_probs - other.log_probs
            entropies.append(own.entropies())
        rewards = token_rewards(torch.tensor(scores).to(mask), log_ratios, mask, kl_coefficient)
        advantages, returns = generalized_advantages(
            rewards, values, mask, gamma=settings.gamma, lam=settings.lam
        )
        return Experience(
            rows,
            log_probs,
            log_ratios,
            values,
            whitened(advantages, mask),
            returns,
            mask,
            float(torch.cat(entropies).sum() / mask.sum().clamp(min=1)),
        )

    def update(self, experience: Experience, *, step: int) -> dict[str, float]:
        """All epochs' optimizer steps; the losses and the clipped share, a mean over them."""
        found = []
        count, seed = len(experience.rows), self._settings.seed
        for epoch in range(self._settings.epochs):
            for rows in self._updates(epoch_order(count, seed, step=step, epoch=epoch)):
                found.append(self.gradient(experience, rows))
                self._descend(step)
        return {name: sum(entry[name] for entry in found) / len(found) for name in found[0]}

    def gradient(self, experience: Experience, rows: Sequence[int]) -> dict[str, float]:
        """Add the gradient of an update's loss, a mean over tokens as set; gives its figures.

        Micro-batches only bound the memory: their size decides no more than the rounding of sums.
        All go on from one reading of the prefix, which their gradients pass together.
        """
        settings = self._settings
        lengths = experience.mask[list(rows)].sum(1)
        weights = loss_weights(lengths, settings.batch_size, settings.loss_mean)
        figures = {"policy_loss": 0.0, "value_loss": 0.0, "clip_fraction": 0.0}
        prefix = self.prefixes.own(graph=True)
        self.prefixes.forget()  # its graph serves once, and then the weights change
        cut = prefix.cut()
        for batch, weight in zip(
            self._micro_batches(rows), torch.split(weights, self.micro_batch), strict=True
        ):
            chosen = [experience.rows[index] for index in batch]
            new = self._predict(cut, chosen, experience.mask.shape[1])
            log_ratios = new.log_probs - experience.log_probs[batch]
            advantages = experience.advantages[batch]
            old, returns = experience.values[batch], experience.returns[batch]
            policy = policy_losses(log_ratios, advantages, settings.clip)
            value = value_losses(new.values, old, returns, settings.value_clip)
            loss = policy + settings.value_coefficient * value
            weighed = new.mask * weight[:, None]
            torch.autograd.backward((loss * weighed).sum())
            clipped = clipped_tokens(log_ratios, advantages, settings.clip)
            for name, tensor in zip(figures, (policy, value, clipped), strict=True):
                figures[name] += float((tensor.detach() * weighed).sum())
        prefix.pull(cut)
        return figures

    def _descend(self, step: int) -> None:
        parameters = [entry for group in self.optimizer.param_groups for entry in group["params"]]
        norm = torch.nn.utils.clip_grad_norm_(parameters, self._settings.max_grad_norm)
        if not norm.isfinite():
            raise InputError(
                f"PPO step {step}: the gradient is {float(norm)}; a lower ppo.learning_rate "
                f"than {self._settings.learning_rate} may help"
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def _predict(self, prefix: Prefix, rows: Sequence[Tokens], width: int) -> Predictions:
        predictions: Predictions = self.policy(
            prefix, rows, temperature=self._settings.sampling.temperature, width=width
        )
        return predictions

    def _updates(self, order: Sequence[int]) -> Iterator[list[int]]:
        return _parts(order, self._settings.batch_size * self._settings.gradient_accumulation_steps)

    def _micro_batches(self, rows: Sequence[int]) -> Iterator[list[int]]:
        return _parts(rows, self.micro_batch)


def epoch_order(rows: int, seed: int, *, step: int, epoch: int) -> list[int]:
    """The order in which an epoch of a step takes its rows: part by part they make minibatches."""
    return random.Random(derived_seed(seed, "minibatches", step, epoch)).sample(range(rows), rows)


def _parts(order: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(order), size):
        yield list(order[start : start + size])
