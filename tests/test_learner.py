"""The learner follows PPO's loss exactly, and raises what can be raised."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from policies import PREFIX, SETTINGS, full_rows, gradients, moved_policy, ppo_settings
from refine_af.errors import InputError
from refine_af.generation import generate
from refine_af.ppo.advantages import (
    generalized_advantages,
    token_rewards,
    whitened,
)
from refine_af.ppo.learner import Learner
from refine_af.ppo.policy import Policy, Row, new_policy


@pytest.fixture
def policy(tiny_llama: Path) -> Policy:
    return moved_policy(tiny_llama)


def many_rows() -> tuple[list[Row], list[float]]:
    numbers = random.Random(0)

    def draw(least: int, most: int) -> tuple[int, ...]:
        return tuple(numbers.randrange(3, 250) for _ in range(numbers.randint(least, most)))

    rows = [Row(tail=draw(1, 6), response=draw(1, 9)) for _ in range(8)]
    return rows, [numbers.uniform(-1, 1) for _ in rows]


def learner_of(policy: Policy, **changes: Any) -> Learner:
    return Learner(policy, PREFIX, ppo_settings(**{"rollouts": 8} | changes))


def test_gradient_does_not_depend_on_micro_batches(policy: Policy) -> None:
    rows, scores = many_rows()
    found, figures = [], []
    for size in (8, 4, 1):
        learner = learner_of(policy, batch_size=size, gradient_accumulation_steps=8 // size)
        experience = learner.experience(rows, scores, step=1, kl_coefficient=0.2)
        # A second look from elsewhere, so that ratios are not 1 and some are clipped.
        experience.log_probs.add_(
            0.3
            * torch.sin(torch.arange(experience.log_probs.numel())).view(experience.log_probs.shape)
        )
        figures.append(learner.gradient(experience, range(8)))
        found.append(gradients(policy))
    assert figures[0]["clip_fraction"] > 0.1
    for gradient, figure in zip(found[1:], figures[1:], strict=True):
        assert (gradient - found[0]).abs().max() <= 1e-5 * found[0].abs().max()
        assert figure == pytest.approx(figures[0], abs=1e-5)


def test_gradient_is_of_the_losses_mean_over_tokens(policy: Policy) -> None:
    rows, scores = many_rows()
    learner = learner_of(policy, batch_size=4)
    experience = learner.experience(rows, scores, step=1, kl_coefficient=0.2)
    chosen = [5, 2, 7]
    learner.gradient(experience, chosen)
    found = gradients(policy)
    losses, tokens = torch.zeros(()), 0
    plain = full_rows(policy, PREFIX, [rows[index] for index in chosen], 1.0)
    for index, (log_probs, values) in zip(chosen, plain, strict=True):
        count = len(log_probs)
        ratio = (log_probs - experience.log_probs[index, :count]).exp()
        advantage = experience.advantages[index, :count]
        losses = losses - torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).sum()
        # Nothing has moved, so no value is clipped.
        losses = losses + 0.1 * 0.5 * (values - experience.returns[index, :count]).square().sum()
        tokens += count
    (losses / tokens).backward()
    expected = gradients(policy)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_experience_is_equation_2(policy: Policy) -> None:
    rows, scores = many_rows()
    experience = learner_of(policy).experience(rows, scores, step=1, kl_coefficient=0.2)
    with torch.no_grad():
        own = policy(PREFIX, rows, temperature=1.0, width=9)
        with policy.as_reference():
            reference = policy(PREFIX, rows, temperature=1.0, width=9)
    ratios = own.log_probs - reference.log_probs
    assert torch.allclose(experience.log_ratios, ratios, atol=1e-5)
    rewards = token_rewards(torch.tensor(scores), ratios, own.mask, 0.2)
    # γ 1: the sum of a rollout's rewards is Eq. 2 with β 0.2.
    expected = torch.tensor(scores) - 0.2 * ratios.sum(1)
    assert torch.allclose(rewards.sum(1), expected, atol=1e-5)
    advantages, returns = generalized_advantages(rewards, own.values, own.mask, gamma=1.0, lam=0.95)
    assert torch.allclose(experience.returns, returns, atol=1e-4)
    assert torch.allclose(experience.advantages, whitened(advantages, own.mask), atol=1e-4)
    figures = experience.figures()
    assert figures["kl"] == pytest.approx(float(ratios.sum(1).mean()), abs=1e-5)
    assert figures["response_length"] == sum(len(row.response) for row in rows) / 8
    assert figures["entropy"] == pytest.approx(float(own.entropies().mean()), abs=1e-5)


def test_ratio_is_exactly_1_before_the_first_update(policy: Policy) -> None:
    rows, scores = many_rows()
    learner = learner_of(policy, batch_size=3, gradient_accumulation_steps=1, rollouts=9)
    experience = learner.experience(rows, scores, step=1, kl_coefficient=0.2)
    seen: list[list[Row]] = []
    forward = policy.forward

    def watched(prefix: Any, chosen: Any, **options: Any) -> Any:
        predictions = forward(prefix, chosen, **options)
        places = [rows.index(row) for row in chosen]
        if not seen:
            assert torch.equal(predictions.log_probs, experience.log_probs[places])
        seen.append(chosen)
        return predictions

    policy.forward = watched  # type: ignore[method-assign]
    learner.update(experience, step=1)
    assert len(seen) == 6  # two epochs of three batches


def test_empty_responses_alone_change_nothing(policy: Policy) -> None:
    rows = [Row(tail=(5, 6), response=()), Row(tail=(7,), response=())]
    learner = learner_of(policy)
    experience = learner.experience(rows, [1.0, 2.0], step=1, kl_coefficient=0.2)
    before = [parameter.clone() for parameter in policy.parameters()]
    figures = learner.update(experience, step=1)
    assert figures == {"policy_loss": 0.0, "value_loss": 0.0, "clip_fraction": 0.0}
    assert all(map(torch.equal, before, policy.parameters()))
    assert experience.figures()["entropy"] == 0.0


def test_a_gradient_that_is_not_finite_is_said(policy: Policy) -> None:
    rows, scores = many_rows()
    learner = learner_of(policy)
    experience = learner.experience(rows, [*scores[:-1], math.inf], step=4, kl_coefficient=0.2)
    with pytest.raises(InputError, match=r"PPO step 4: the gradient is nan; a lower"):
        learner.update(experience, step=4)


def test_ppo_raises_a_reward_that_can_be_raised(tiny_llama: Path) -> None:
    from refine_af.models import load_tokenizer

    settings = ppo_settings(
        rollouts=32,
        batch_size=16,
        gradient_accumulation_steps=1,
        learning_rate=0.02,
        value_learning_rate=0.02,
        kl={"coefficient": 0.01, "adaptive": False, "target": 6.0, "horizon": 10000.0},
        sampling=SETTINGS["sampling"] | {"max_new_tokens": 8},
    )
    tokenizer = load_tokenizer(tiny_llama)
    policy = new_policy(tiny_llama, settings.lora, quantization="none", seed=0)
    with torch.no_grad():  # sharper than a random model, whose every token is about as likely
        policy.model.get_output_embeddings().weight.mul_(20)
    learner = Learner(policy, [1, 70], settings)
    means = []
    for step in range(1, 13):
        completions = generate(
            policy.model,
            tokenizer,
            prefix=tokenizer.decode([70]),
            tails=["a"] * 32,
            sampling=settings.sampling,
            seeds=range(32 * step, 32 * step + 32),
        )
        # The share of tokens with an even number: a half by chance.
        shares = [sum(not t % 2 for t in c.tokens) / len(c.tokens) for c in completions]
        tail = tuple(tokenizer.encode("a", add_special_tokens=False))
        rows = [Row(tail=tail, response=entry.tokens) for entry in completions]
        learner.update(learner.experience(rows, shares, step=step, kl_coefficient=0.01), step=step)
        means.append(sum(shares) / 32)
    assert means[0] < 0.6
    assert sum(means[-3:]) / 3 > 0.8
