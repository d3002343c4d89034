"""The learner follows PPO's loss exactly, and raises what can be raised."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from policies import (
    EASY,
    LEAST_RAISED,
    PREFIX,
    Learning,
    easy_rewards,
    full_rows,
    gradients,
    moved_policy,
    ppo_settings,
)
from refine_af.errors import InputError
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.ppo.advantages import generalized_advantages, token_rewards, whitened
from refine_af.ppo.checkpoint import copied
from refine_af.ppo.learner import Learner
from refine_af.ppo.packing import Tokens
from refine_af.ppo.policy import Policy, Predictions


@pytest.fixture
def policy(tiny_llama: Path) -> Policy:
    return moved_policy(tiny_llama)


def many_rows() -> tuple[list[Tokens], list[float]]:
    numbers = random.Random(0)

    def draw(least: int, most: int) -> tuple[int, ...]:
        return tuple(numbers.randrange(3, 250) for _ in range(numbers.randint(least, most)))

    rows = [Tokens(tail=draw(1, 6), response=draw(1, 9)) for _ in range(8)]
    return rows, [numbers.uniform(-1, 1) for _ in rows]


def learner_of(policy: Policy, **changes: Any) -> Learner:
    return Learner(policy, PREFIX, ppo_settings(**{"rollouts": 8} | changes))


@pytest.mark.parametrize("loss_mean", ["minibatch", "update"])
def test_gradient_does_not_depend_on_micro_batches(policy: Policy, loss_mean: str) -> None:
    rows, scores = many_rows()
    found, figures = [], []
    for size in (4, 3, 1):  # 3 lets a micro-batch hold rows of two minibatches
        learner = learner_of(policy, batch_size=4, loss_mean=loss_mean)
        learner.micro_batch = size
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


@pytest.mark.parametrize("loss_mean", ["minibatch", "update"])
def test_gradient_is_of_the_losses_mean_over_tokens(policy: Policy, loss_mean: str) -> None:
    """Of minibatches of 2, as TRL's classic trainer accumulates them: each mean counts a half."""
    rows, scores = many_rows()
    learner = learner_of(policy, batch_size=2, loss_mean=loss_mean)
    experience = learner.experience(rows, scores, step=1, kl_coefficient=0.2)
    chosen = [5, 2, 7, 0]
    learner.gradient(experience, chosen)
    found = gradients(policy)
    losses, tokens = torch.zeros(4), torch.zeros(4)
    plain = full_rows(policy, PREFIX, [rows[index] for index in chosen], 1.0)
    for place, (index, (log_probs, values)) in enumerate(zip(chosen, plain, strict=True)):
        count = len(log_probs)
        ratio = (log_probs - experience.log_probs[index, :count]).exp()
        advantage = experience.advantages[index, :count]
        policy_loss = -torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).sum()
        # Nothing has moved, so no value is clipped.
        value_loss = 0.5 * (values - experience.returns[index, :count]).square().sum()
        losses[place], tokens[place] = policy_loss + 0.1 * value_loss, count
    means = losses.view(2, 2).sum(1) / tokens.view(2, 2).sum(1)
    whole = losses.sum() / tokens.sum()
    assert (means.mean() - whole).abs() > 1e-3 * whole.abs(), "the two are to be told apart"
    torch.autograd.backward(means.mean() if loss_mean == "minibatch" else whole)
    expected = gradients(policy)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_experience_is_equation_2(policy: Policy) -> None:
    rows, scores = many_rows()
    experience = learner_of(policy).experience(rows, scores, step=1, kl_coefficient=0.2)
    with torch.no_grad():
        own = policy(policy.read(PREFIX), rows, temperature=1.0, width=9)
        with policy.as_reference():
            reference = policy(policy.read(PREFIX), rows, temperature=1.0, width=9)
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


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("size", "micro_batch"), [(3, 3), (5, 2), (4, 1)])
def test_ratio_is_exactly_1_before_the_first_update(
    size: int,
    micro_batch: int,
    precision: torch.dtype,
    tiny_llama: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refine_af.models.backbones.precision", lambda: precision)
    policy = moved_policy(tiny_llama)
    assert policy.model.dtype == precision
    round_by_batch(policy, monkeypatch)
    rows, scores = many_rows()
    learner = learner_of(policy, batch_size=size, gradient_accumulation_steps=1, rollouts=size)
    learner.micro_batch = micro_batch
    experience = learner.experience(rows, scores, step=1, kl_coefficient=0.2)
    seen = watched(policy, monkeypatch)
    moved = 0
    monkeypatch.setattr(learner, "_descend", lambda step: None)
    learner.update(experience, step=1)
    first_epoch = len(seen) // 2
    assert first_epoch == sum(-(-part // micro_batch) for part in parts(8, size))
    for chosen, predictions in seen[:first_epoch]:
        places = [rows.index(row) for row in chosen]
        assert torch.equal(predictions.log_probs, experience.log_probs[places])
        moved += len(chosen)
    assert moved == 8
    # Alone, a row differs by the rounding that is made up here, and the machine's own.
    with torch.no_grad():
        alone = [
            policy(policy.read(PREFIX), [row], temperature=1.0, width=9).log_probs[0]
            for row in rows
        ]
    apart = (torch.stack(alone) - experience.log_probs).abs().max()
    assert apart <= (5e-5 if precision == torch.float32 else 0.1)
    assert apart > 0 or micro_batch == 1


def test_dropout_changes_nothing(tiny_llama: Path) -> None:
    """The model learns in eval mode: the ratio of the first epoch is 1, and so is all the rest."""
    rows, scores = many_rows()
    found = []
    for dropout in (0.0, 0.05):
        policy = moved_policy(tiny_llama, dropout=dropout)
        learner = learner_of(policy, batch_size=4)
        learner.learn(rows, scores, step=1, kl_coefficient=0.2, stopwatch=Stopwatch())
        experience = learner.experience(rows, scores, step=2, kl_coefficient=0.2)
        with torch.no_grad():
            again = policy(policy.read(PREFIX), rows, temperature=1.0, width=9).log_probs
        assert torch.allclose(again, experience.log_probs, atol=1e-5)
        found.append(experience.log_probs)
    assert torch.equal(*found)


def round_by_batch(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let log-probabilities differ with a row's place and the rows beside it, on any machine."""
    forward = policy.forward

    def call(prefix: Any, chosen: list[Tokens], **options: Any) -> Predictions:
        found = forward(prefix, chosen, **options)
        moved = 1e-6 * (len(chosen) + 8 * torch.arange(len(chosen), dtype=torch.float32))
        return replace(found, log_probs=found.log_probs + moved[:, None] * found.mask)

    monkeypatch.setattr(policy, "forward", call)


def parts(whole: int, size: int) -> list[int]:
    return [min(size, whole - start) for start in range(0, whole, size)]


def watched(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> list[tuple[list[Tokens], Predictions]]:
    """The rows and predictions of every forward pass from now on."""
    seen: list[tuple[list[Tokens], Predictions]] = []
    forward = policy.forward

    def call(prefix: Any, chosen: list[Tokens], **options: Any) -> Predictions:
        seen.append((chosen, forward(prefix, chosen, **options)))
        return seen[-1][1]

    monkeypatch.setattr(policy, "forward", call)
    return seen


def scarce(
    monkeypatch: pytest.MonkeyPatch, policy: Policy, *, rows: int, spare: int, training: bool
) -> None:
    """Let passes of more than `rows` responses fail, each time once `spare` have gone well.

    Where `training`, those with a gradient alone, in the backward pass.
    """
    forward, backward, passes = policy.forward, torch.autograd.backward, [0, 0]

    def counted(prefix: Any, chosen: list[Tokens], **options: Any) -> Predictions:
        passes[1] = len(chosen)
        if not training:
            exhaust()
        return forward(prefix, chosen, **options)

    def exhaust() -> None:
        passes[0] += 1
        if passes[0] > spare and passes[1] > rows:
            passes[0] = 0
            raise torch.OutOfMemoryError("CUDA out of memory. Tried\nadvice")

    def halfway(*tensors: Any) -> None:
        backward(*tensors)
        exhaust()

    monkeypatch.setattr(policy, "forward", counted)
    if training:
        monkeypatch.setattr(torch.autograd, "backward", halfway)


# An update's responses pass back, then its prefix does.
CASES = [(0, 2), (1, 2), (2, 2), (4, 2), (4, 1)]
SIZES = {"batch_size": 4, "gradient_accumulation_steps": 1, "rollouts": 8}


@pytest.mark.parametrize(
    ("training", "spare", "size"),
    [*((False, spare, 2) for spare in (0, 3)), *((True, *case) for case in CASES)],
    ids=["first", "reference", "first backward", "prefix", "descended", "second epoch", "twice"],
)
def test_a_step_beyond_memory_is_done_with_half_the_micro_batch(
    training: bool,
    spare: int,
    size: int,
    tiny_llama: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is the very step that this size gives from the start: nothing half done stays."""
    rows, scores = many_rows()
    found = []
    for exhausted in (True, False):
        learner = learner_of(moved_policy(tiny_llama), **SIZES)
        given: dict[str, Any] = {"kl_coefficient": 0.2, "stopwatch": Stopwatch()}
        learner.learn(rows, scores, step=1, **given)
        assert learner.micro_batch == 4
        with monkeypatch.context() as patched:
            if exhausted:
                scarce(patched, learner.policy, rows=size, spare=spare, training=training)
            else:
                learner.micro_batch = size
            seen = watched(learner.policy, patched)
            experience, figures = learner.learn(rows, scores, step=2, **given)
        chosen, first = seen[-2 * 8 // size]  # of two epochs' passes, after which there are none
        places = [rows.index(row) for row in chosen]
        assert torch.equal(first.log_probs, experience.log_probs[places])
        found.append((copied(learner.policy, learner.optimizer), experience.log_probs, figures))
        assert learner.micro_batch == size
    (tensors, log_probs, figures), (wanted, other, others) = found
    assert figures == others
    assert torch.equal(log_probs, other)
    assert tensors.keys() == wanted.keys()
    assert all(torch.equal(tensors[name], wanted[name]) for name in wanted)
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("out of memory")] == [
        f"out of memory with {2 * half} responses at a time: going on with {half}"
        for half in (2, 1)
        if half >= size
    ]


def test_a_single_response_beyond_memory_is_said(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, scores = many_rows()
    learner = learner_of(policy, **SIZES)
    scarce(monkeypatch, policy, rows=0, spare=0, training=True)
    with pytest.raises(
        InputError,
        match=r"^out of memory with one response at a time: CUDA out of memory\. Tried; a lower "
        r"ppo\.sampling\.max_new_tokens than 24, a shorter prompt, or "
        r"compute\.ppo\.gradient_checkpointing: true, needs less$",
    ):
        learner.learn(rows, scores, step=1, kl_coefficient=0.2, stopwatch=Stopwatch())


def test_another_fault_is_no_lack_of_memory(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("shape")

    rows, scores = many_rows()
    learner = learner_of(policy)
    monkeypatch.setattr(policy, "forward", fail)
    with pytest.raises(RuntimeError, match="shape"):
        learner.learn(rows, scores, step=1, kl_coefficient=0.2, stopwatch=Stopwatch())


def test_empty_responses_alone_change_nothing(policy: Policy) -> None:
    rows = [Tokens(tail=(5, 6), response=()), Tokens(tail=(7,), response=())]
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
    settings = ppo_settings(**EASY)

    def learning(policy: Policy, _: Any) -> Learning:
        learner = Learner(policy, [1, 70], settings)

        def learn(rows: list[Tokens], scores: list[float], step: int) -> None:
            learner.update(
                learner.experience(rows, scores, step=step, kl_coefficient=0.01), step=step
            )

        return learn

    means = easy_rewards(tiny_llama, settings, learning)
    assert means[0] < 0.6
    assert sum(means[-3:]) / 3 > LEAST_RAISED
