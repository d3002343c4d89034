"""The section of config.yaml on the reward: the scorer, its judges, and the weights of Eq. 1."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import ConfigDict, StringConstraints, model_validator

from refine_af.errors import shown
from refine_af.settings.fields import Count, Real, Section, Text

JUDGES = "refine_af.rewards.scorer.Scorer"


COMPONENTS = ("reward_model", "naturalness", "coherence", "understandability")  # that they give


LEAST_LENGTH = 32  # tokens: the longest of the judges' questions has some 20


COMPONENT = re.compile("[a-z][a-z0-9_]*")


TAKEN = {"reward", "parse_rate", "junk", "true"}  # columns and rows beside the components'


DottedPath = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class Weights(Section):
    """Of a reward's constant parts, and of each component of the scorer, by its name."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Real]

    constant: Real
    unparseable: Real

    @property
    def components(self) -> dict[str, float]:
        """The scorer's components with their weights, in the order of the alphabet."""
        return dict(self.__pydantic_extra__)

    @model_validator(mode="before")
    @classmethod
    def in_one_order(cls, value: Any) -> Any:
        """The same section, however it is written, makes the same files."""
        return dict(sorted(value.items(), key=str)) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def name_components(self) -> Weights:
        if not self.components:
            raise ValueError("no component is weighed")
        for name in self.components:
            if not COMPONENT.fullmatch(name) or name in TAKEN:
                raise ValueError(
                    f"{shown(name)} is no name for a component: small letters, digits and _, "
                    f"none of {', '.join(sorted(TAKEN))}"
                )
        return self


class Reward(Section):
    scorer: DottedPath
    model: Text | None
    evaluator: Text | None
    weights: Weights
    max_length: Count

    @model_validator(mode="after")
    def has_what_the_judges_need(self) -> Reward:
        if self.scorer == JUDGES:
            if len(self.judges) < 2:
                raise ValueError(f"{JUDGES} needs both judges, model and evaluator")
            self.check_components(COMPONENTS)
            if self.max_length < LEAST_LENGTH:
                raise ValueError(
                    f"max_length {self.max_length}: the judges would read of a text little but "
                    f"their own question; at least {LEAST_LENGTH}"
                )
        return self

    @property
    def judges(self) -> dict[str, str]:
        """The checkpoints that the scorer is given, by key."""
        named = {"model": self.model, "evaluator": self.evaluator}
        return {key: checkpoint for key, checkpoint in named.items() if checkpoint is not None}

    def check_components(self, given: Collection[str]) -> None:
        """ValueError unless each component that the scorer gives has a weight, and no other has."""
        weighed = self.weights.components
        if set(given) != set(weighed):
            raise ValueError(
                f"weights are for {', '.join(weighed)}, "
                f"and {self.scorer} gives {', '.join(sorted(given)) or 'nothing'}"
            )
