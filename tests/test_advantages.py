"""PPO's arithmetic, against numbers worked out by hand and against definitions."""

from __future__ import annotations

import math
import statistics

import pytest
import torch

from refine_af.ppo.advantages import (
    clipped_tokens,
    explained_variance,
    generalized_advantages,
    loss_weights,
    next_kl_coefficient,
    policy_losses,
    token_rewards,
    value_losses,
    whitened,
)
from refine_af.settings.ppo import Kl


def test_reward_is_the_kl_penalty_and_the_score_on_the_last_token() -> None:
    mask = torch.tensor([[1.0, 1, 0], [1, 1, 1], [0, 1, 0], [0, 0, 0]])
    log_ratios = torch.tensor([[0.5, -1.0, 9.0], [0, 0, 2.0], [9.0, 1.0, 9.0], [9.0, 9, 9]])
    scores = torch.tensor([10.0, 20.0, 30.0, 40.0])
    assert token_rewards(scores, log_ratios, mask, 0.5).tolist() == [
        [-0.25, 10.5, 0.0],
        [0.0, 0.0, 19.0],
        [0.0, 29.5, 0.0],
        [0.0, 0.0, 0.0],
    ]


def test_advantages_by_hand() -> None:
    # One rollout of three tokens, reward 1 at the end, every value 1/2, γ 1, λ 1/2:
    # δ = (0, 0, 1/2), so A = (1/8, 1/4, 1/2). What stands outside the mask changes nothing.
    rewards = torch.tensor([[0.0, 0.0, 1.0, 7.0]])
    values = torch.tensor([[0.5, 0.5, 0.5, 7.0]])
    mask = torch.tensor([[1.0, 1.0, 1.0, 0.0]])
    advantages, returns = generalized_advantages(rewards, values, mask, gamma=1.0, lam=0.5)
    assert advantages.tolist() == [[0.125, 0.25, 0.5, 0.0]]
    assert returns.tolist() == [[0.625, 0.75, 1.0, 0.0]]


def test_advantages_equal_their_definition() -> None:
    generator = torch.Generator().manual_seed(0)
    gamma, lam = 0.97, 0.9
    lengths = [5, 1, 3, 0]
    rewards, values = (torch.randn(4, 5, generator=generator) for _ in range(2))
    mask = torch.tensor([[float(place < length) for place in range(5)] for length in lengths])
    found, _ = generalized_advantages(rewards, values, mask, gamma=gamma, lam=lam)
    for row, length in enumerate(lengths):
        for place in range(5):
            expected = 0.0
            for later in range(place, length):
                after = float(values[row, later + 1]) if later + 1 < length else 0.0
                surprise = float(rewards[row, later]) + gamma * after - float(values[row, later])
                expected += (gamma * lam) ** (later - place) * surprise
            assert float(found[row, place]) == pytest.approx(expected, abs=1e-5)


def test_whitening_is_over_the_mask() -> None:
    values = torch.tensor([[1.0, 2.0, 50.0], [3.0, 50.0, 50.0]])
    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    # Mean 2, sample variance 1.
    assert torch.allclose(whitened(values, mask), torch.tensor([[-1.0, 0, 0], [1.0, 0, 0]]))
    assert whitened(values, torch.zeros(2, 3)).tolist() == [[0.0] * 3] * 2
    one = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert whitened(values, one).tolist() == [[0.0] * 3] * 2


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [(1.5, 1, -1.2, 1), (1.5, -1, 1.5, 0), (0.5, 1, -0.5, 0), (0.5, -1, 0.8, 1), (1, 2, -2, 0)],
)
def test_policy_loss_by_hand(ratio: float, advantage: float, loss: float, clipped: float) -> None:
    log_ratio, weight = torch.tensor([math.log(ratio)]), torch.tensor([float(advantage)])
    assert float(policy_losses(log_ratio, weight, 0.2)) == pytest.approx(loss)
    assert float(clipped_tokens(log_ratio, weight, 0.2)) == clipped


@pytest.mark.parametrize(
    ("value", "old", "target", "loss"),
    [(1.0, 0.0, 2.0, 1.62), (0.1, 0.0, 2.0, 1.805), (-1.0, 0.0, 2.0, 4.5), (3.0, 0.0, 0.0, 4.5)],
)
def test_value_loss_by_hand(value: float, old: float, target: float, loss: float) -> None:
    values, old_values, targets = (torch.tensor([entry]) for entry in (value, old, target))
    found = value_losses(values, old_values, targets, clip=0.2)
    assert float(found) == pytest.approx(loss)


def test_losses_equal_their_definition() -> None:
    """Schulman et al. 2017, Eq. 7, and TRL 0.11.4's clipped squared error, a token at a time."""
    generator = torch.Generator().manual_seed(2)
    drawn = [torch.randn(40, generator=generator, dtype=torch.float64) for _ in range(5)]
    log_ratios, advantages, values, old, returns = drawn
    policy = policy_losses(0.4 * log_ratios, advantages, 0.2)
    value = value_losses(values, old, returns, 0.2)
    kinds = set()
    for token in range(40):
        ratio, advantage = math.exp(0.4 * float(log_ratios[token])), float(advantages[token])
        within = min(max(ratio, 0.8), 1.2)
        surrogate = min(ratio * advantage, within * advantage)
        assert float(policy[token]) == pytest.approx(-surrogate, abs=1e-12)
        given, before, target = (float(entry[token]) for entry in (values, old, returns))
        near = min(max(given, before - 0.2), before + 0.2)
        worse = max((given - target) ** 2, (near - target) ** 2)
        assert float(value[token]) == pytest.approx(worse / 2, abs=1e-12)
        kinds.add((surrogate != ratio * advantage, worse != (given - target) ** 2))
    assert kinds == {(a, b) for a in (False, True) for b in (False, True)}


def test_a_clipped_token_moves_nothing() -> None:
    # Beyond the clip, and the advantage pulls further: no gradient. Pulling back: its own.
    log_ratios = torch.tensor([0.5, 0.5, -0.5, 0.1], requires_grad=True)
    losses = policy_losses(log_ratios, torch.tensor([1.0, -1.0, -1.0, 1.0]), 0.2)
    torch.autograd.backward(losses.sum())
    wanted = [0.0, math.exp(0.5), 0.0, -math.exp(0.1)]
    assert log_ratios.grad is not None
    assert log_ratios.grad.tolist() == pytest.approx(wanted, abs=1e-6)


def test_whitening_equals_its_definition() -> None:
    generator = torch.Generator().manual_seed(1)
    values = 5 + 3 * torch.randn(4, 6, generator=generator)
    mask = (torch.rand(4, 6, generator=generator) < 0.6).float()
    inside = [float(value) for value in values[mask > 0]]
    found = whitened(values, mask)
    assert (found * (1 - mask)).abs().max() == 0
    wanted = [(v - statistics.fmean(inside)) / statistics.stdev(inside) for v in inside]
    assert found[mask > 0].tolist() == pytest.approx(wanted, abs=1e-5)


def test_adaptive_kl_coefficient_by_hand() -> None:
    adaptive = Kl(coefficient=0.2, adaptive=True, target=6.0, horizon=10000.0)
    coefficient, path = 0.2, []
    for kl in (12.0, 5.4, 0.0, 6.0):  # errors: 1 clipped to .2, -.1, -1 clipped to -.2, 0
        coefficient = next_kl_coefficient(coefficient, kl, 16, adaptive)
        path.append(coefficient)
    first = 0.2 * 1.00032
    second = first * 0.99984
    third = second * 0.99968
    assert path == pytest.approx([first, second, third, third], abs=1e-15)
    fixed = Kl(coefficient=0.2, adaptive=False, target=6.0, horizon=10000.0)
    assert next_kl_coefficient(0.2, 12.0, 16, fixed) == 0.2


def test_explained_variance_by_hand() -> None:
    returns, mask = torch.tensor([[1.0, 2.0, 3.0, 99.0]]), torch.tensor([[1.0, 1, 1, 0]])
    assert explained_variance(returns, returns, mask) == 1.0
    assert explained_variance(torch.zeros(1, 4), returns, mask) == 0.0
    halved = torch.tensor([[0.5, 1.0, 1.5, 0.0]])
    assert explained_variance(halved, returns, mask) == pytest.approx(0.75)
    assert explained_variance(halved, torch.ones(1, 4), mask) == 0.0


def test_tokens_weigh_as_the_means_of_minibatches_or_as_one_mean() -> None:
    """Minibatches (1, 3), (6, 2) and (0, 0): 4, 8 and no tokens, a third of the loss each."""
    lengths = torch.tensor([1.0, 3.0, 6.0, 2.0, 0.0, 0.0])
    each = loss_weights(lengths, 2, "minibatch")
    assert torch.allclose(each, torch.tensor([1 / 12, 1 / 12, 1 / 24, 1 / 24, 1 / 3, 1 / 3]))
    assert torch.allclose(loss_weights(lengths, 2, "update"), torch.full((6,), 1 / 12))
    assert float(each @ lengths) == pytest.approx(2 / 3)
