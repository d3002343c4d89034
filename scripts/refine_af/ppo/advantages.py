"""PPO's arithmetic, as pure functions of (rollouts, tokens) tensors.

A mask is 1 on a response's tokens and 0 elsewhere. The reference of behaviour is TRL v0.11.4,
trainer/ppo_trainer.py and core.py; the algorithm is Schulman et al., arXiv 1707.06347.
"""

from __future__ import annotations

import torch
from torch import Tensor

from refine_af.settings.ppo import Kl, LossMean


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the mask; 0 where it is empty."""
    return (values * mask).sum() / mask.sum().clamp(min=1)


def masked_variance(values: Tensor, mask: Tensor) -> Tensor:
    """The sample variance over the mask; 0 where it holds fewer than two."""
    squares = (values - masked_mean(values, mask)).square() * mask
    return squares.sum() / (mask.sum() - 1).clamp(min=1)


def whitened(values: Tensor, mask: Tensor) -> Tensor:
    """`values` with mean 0 and variance 1 over the mask, and 0 outside it."""
    scale = torch.rsqrt(masked_variance(values, mask) + 1e-8)  # TRL's constant
    return (values - masked_mean(values, mask)) * scale * mask


def token_rewards(
    scores: Tensor, log_ratios: Tensor, mask: Tensor, kl_coefficient: float
) -> Tensor:
    """Each token's reward: its share of the KL penalty, and on the last one the rollout's score.

    `scores` is (rollouts,); `log_ratios` are the log-probabilities less the reference's. A rollout
    without tokens gets no reward. Summed over a rollout this is Eq. 2 of the paper.
    """
    # How many tokens are left, this one included: 1 on the last one.
    ahead = mask.flip(1).cumsum(1).flip(1)
    last = (ahead == 1) & (mask > 0)
    return -kl_coefficient * log_ratios * mask + scores[:, None] * last


def generalized_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, *, gamma: float, lam: float
) -> tuple[Tensor, Tensor]:
    """Advantages and returns by GAE (arXiv 1506.02438); 0 outside the mask.

    `values[:, t]` is the value before token t; after the last token it is 0.
    """
    rewards, values = rewards * mask, values * mask
    advantages = torch.zeros_like(rewards)
    ahead = following = rewards.new_zeros(len(rewards))
    for step in reversed(range(rewards.shape[1])):
        surprise = rewards[:, step] + gamma * following - values[:, step]
        ahead = (surprise + gamma * lam * ahead) * mask[:, step]
        advantages[:, step] = ahead
        following = values[:, step]
    return advantages, advantages + values


def policy_losses(log_ratios: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """Each token's clipped surrogate loss; `log_ratios` are new less old log-probabilities."""
    ratios = log_ratios.exp()
    clipped = ratios.clamp(1 - clip, 1 + clip)
    return torch.maximum(-advantages * ratios, -advantages * clipped)


def value_losses(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Each token's clipped squared error, halved."""
    clipped = old_values + (values - old_values).clamp(-clip, clip)
    return 0.5 * torch.maximum((values - returns).square(), (clipped - returns).square())


def clipped_tokens(log_ratios: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """1 where clipping changes the policy's loss, otherwise 0."""
    ratios = log_ratios.exp()
    return (-advantages * ratios.clamp(1 - clip, 1 + clip) > -advantages * ratios).float()


def loss_weights(lengths: Tensor, size: int, over: LossMean) -> Tensor:
    """What each token of a response weighs in an update's loss, (responses,), given their lengths.

    `over` the update, its tokens weigh alike. Over the minibatch, of `size` responses in their
    order, each minibatch's mean does: so TRL's classic trainer has it, whose accelerator divides
    every minibatch's mean by the number of those that it accumulates.
    """
    parts = torch.split(lengths, len(lengths) if over == "update" else size)
    return torch.cat(
        [1 / (part.sum().clamp(min=1) * len(parts)).expand(len(part)) for part in parts]
    )


def explained_variance(values: Tensor, returns: Tensor, mask: Tensor) -> float:
    """1 less the share of the returns' variance that the values miss; 0 where none varies."""
    variance = masked_variance(returns, mask)
    if not variance > 0:
        return 0.0
    return float(1 - masked_variance(returns - values, mask) / variance)


def next_kl_coefficient(coefficient: float, kl: float, rollouts: int, settings: Kl) -> float:
    """The coefficient after a step whose rollouts had the mean sequence KL `kl`.

    Fixed, or adaptive as in Ziegler et al., arXiv 1909.08593, section 2.2: up where the KL is
    above its target, down where it is below, by at most 0.2 · rollouts / horizon.
    """
    if not settings.adaptive:
        return coefficient
    error = min(max(kl / settings.target - 1, -0.2), 0.2)
    return coefficient * (1 + error * rollouts / settings.horizon)
