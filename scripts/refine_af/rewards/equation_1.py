"""Eq. 1: which components a reward weighs, what they come to, and who gives them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from refine_af.errors import InputError
from refine_af.settings.reward import Reward, Weights

JUDGES = "refine_af.rewards.scorer.Scorer"  # the scorer of the two judges of Table I
COMPONENTS = ("reward_model", "naturalness", "coherence", "understandability")  # that they give
GIVEN = {  # by each of the project's scorers
    JUDGES: COMPONENTS,
    "likelihood": ("fluency", "pmi"),
    "sequence_classifier": ("reward_model",),
    "llm_judge": ("judge",),
}
LEAST_LENGTH = 32  # tokens: the longest of the judges' questions has some 20


def weighed(weights: Weights) -> dict[str, float]:
    """The weights by the scorer's components, in alphabetical order."""
    return dict(sorted((weights.model_extra or {}).items()))


def composite(components: Mapping[str, float] | None, weights: Weights) -> float:
    """The reward of Eq. 1: the weighted components plus a constant.

    `components` is None for a reply without an instance, which has a reward of its own.
    """
    if components is None:
        return weights.unparseable
    factors = weighed(weights)
    terms = (factors[name] * score for name, score in components.items())
    return float(sum(terms) + weights.constant)


def judges_of(reward: Reward) -> dict[str, str]:
    """The checkpoints that the scorer is given, by key."""
    named = {"model": reward.model, "evaluator": reward.evaluator}
    return {key: checkpoint for key, checkpoint in named.items() if checkpoint is not None}


def check_components(reward: Reward, given: Collection[str]) -> None:
    """InputError unless exactly the components that the scorer gives have weights."""
    factors = weighed(reward.weights)
    if set(given) != set(factors):
        raise InputError(
            f"reward.weights are for {', '.join(factors)}, "
            f"and {reward.scorer} gives {', '.join(sorted(given)) or 'nothing'}"
        )


def check_judges(reward: Reward) -> None:
    """InputError where the scorer is one of the project's and lacks what it needs."""
    if reward.scorer not in GIVEN:
        return
    if reward.scorer == JUDGES and len(judges_of(reward)) < 2:
        raise InputError(f"reward: {JUDGES} needs both judges, model and evaluator")
    check_components(reward, GIVEN[reward.scorer])
    if reward.max_length < LEAST_LENGTH:
        raise InputError(
            f"reward.max_length {reward.max_length}: the judges would read of a text little but "
            f"their own question; at least {LEAST_LENGTH}"
        )
