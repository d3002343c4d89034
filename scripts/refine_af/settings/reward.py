"""The section of config.yaml on the reward: the scorer, its judges, and the weights of Eq. 1."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from refine_af.errors import shown
from refine_af.settings.fields import Count, FilePath, Real, Section

TAKEN = ("junk", "parse_rate", "reward", "true")  # columns and rows beside the components'
COMPONENT = rf"^(?!({'|'.join(TAKEN)})$)[a-z][a-z0-9_]{{0,99}}$"
DottedPath = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$")
]


class Weights(Section):
    """The constant parts of a reward, and the weight of each component of the scorer."""

    model_config = ConfigDict(
        extra="allow", json_schema_extra={"propertyNames": {"pattern": COMPONENT}}
    )
    __pydantic_extra__: dict[str, Real]

    constant: Real = Field(description="What is added to every weighted sum (paper Eq. 1).")
    unparseable: Real = Field(
        description="The reward of a reply without an instance, below the least real value (ours)."
    )

    @model_validator(mode="before")
    @classmethod
    def in_one_order(cls, value: Any) -> Any:
        """The same section, however it is written, makes the same files."""
        return dict(sorted(value.items(), key=str)) if isinstance(value, dict) else value

    @model_validator(mode="after")
    def name_components(self) -> Weights:
        if not self.__pydantic_extra__:
            raise ValueError("no component has a weight")
        for name in self.__pydantic_extra__:
            if not re.fullmatch(COMPONENT, name):
                raise ValueError(
                    f"{shown(name)[1:-1]}: no name for a component, which has at most 100 of a-z, "
                    f"0-9 and _, and is none of {', '.join(TAKEN)}"
                )
        return self


class Reward(Section):
    scorer: DottedPath = Field(
        description="Dotted path of what scores a triplet, the judges of table I or one of your "
        "own (paper table I)."
    )
    model: FilePath | None = Field(
        description="Checkpoint of the reward model, or null (ours; paper table I names "
        "oasst-rm-pythia-1.4b)."
    )
    evaluator: FilePath | None = Field(
        description="Checkpoint of the evaluator UniEval, or null (paper table I)."
    )
    max_length: Count = Field(
        description="Most tokens of a text that a judge reads (UniEval@d33e7b6c, scorer.py)."
    )
    weights: Weights = Field(
        description="The weight of each component of the scorer, by its name (paper Eq. 1, "
        "restored from arXiv 2307.06290)."
    )
