"""The score of a reply without an instance: fixed, or below the rewards so far."""

from __future__ import annotations

import math
import statistics
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import PAPER_WEIGHTS, ppo_settings
from refine_af.engines.generation import Completion
from refine_af.ppo.floor import Moments, floor_of
from refine_af.ppo.rollouts import Rollout
from refine_af.ppo.training import PpoTrainer
from refine_af.prompts.completions import Pair
from refine_af.records.instructions import Instruction

REWARDS = st.lists(st.floats(-1e3, 1e3), max_size=12)


def test_moments_by_hand() -> None:
    found = Moments().after([1.0, 2.0]).after([3.0])
    assert found == Moments(3, 2.0, 2.0)  # squares of −1, 0 and 1
    assert found.below(2.0) == 0.0  # a standard deviation of 1
    assert [Moments().after(same).below(2.0) for same in ([], [5.0], [5.0, 5.0])] == [None] * 3


@given(REWARDS, REWARDS)
def test_moments_are_those_of_all_rewards_at_once(first: list[float], second: list[float]) -> None:
    found, every = Moments().after(first).after(second), first + second
    assert found == Moments().after(every)
    assert found.count == len(every)
    if len(every) > 1:
        assert found.mean == pytest.approx(statistics.fmean(every), abs=1e-9)
        variance = found.squares / (len(every) - 1)
        assert variance == pytest.approx(statistics.variance(every), abs=1e-6)


def test_the_fixed_floor_stands_in_while_rewards_do_not_differ() -> None:
    some = Moments().after([1.0, 3.0])
    assert floor_of(Moments(1, 1.0, 0.0), 2.0, -0.6) == floor_of(some, None, -0.6) == -0.6
    assert floor_of(some, 1.5, -0.6) == pytest.approx(2 - 1.5 * math.sqrt(2))


@pytest.mark.parametrize("deviations", [None, 2.0])
def test_a_step_learns_from_its_floor(
    deviations: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rewards in files stay those of the fixed floor; the moments are of all steps."""
    monkeypatch.setattr("refine_af.ppo.training._learner", lambda *_: None)
    environment: Any = SimpleNamespace(weights=PAPER_WEIGHTS)
    policy: Any = None
    trainer = PpoTrainer(policy, environment, ppo_settings(floor_deviations=deviations))
    assert trainer._scores([rollout(1.0), rollout(None)]) == (-0.6, [1.0, -0.6])
    floor, scores = trainer._scores([rollout(None), rollout(3.0)])
    assert floor == (-0.6 if deviations is None else pytest.approx(2 - 2 * math.sqrt(2)))
    assert scores == [floor, 3.0]
    assert trainer.parsed == Moments(2, 2.0, 2.0)


def rollout(reward: float | None) -> Rollout:
    one = Instruction("i0", "Do it.", 1, 0, [], "", 0.0, "", 0.0, 9, 9)
    done = Completion("Output: x", (5,), "eos", 9)
    if reward is None:
        return Rollout(one, done, None, None, -0.6)
    return Rollout(one, done, Pair("", "x"), {"coherence": 1.0}, reward)
