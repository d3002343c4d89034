"""The section of config.yaml on the reward: the scorer, its judges, and the weights of Eq. 1."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from refine_af.errors import shown
from refine_af.settings.fields import Count, FilePath, Real, Section, Text

TAKEN = ("junk", "parse_rate", "reward", "true")  # columns and rows beside the components'
COMPONENT = rf"^(?!({'|'.join(TAKEN)})$)[a-z][a-z0-9_]{{0,99}}$"
# Scorers by name, each a module of refine_af/rewards/, and those with settings of their own.
BUILT_IN = ("likelihood", "sequence_classifier", "llm_judge")
OWN_SECTIONS = ("likelihood", "llm_judge")
JUDGE_SLOTS = {"instruction", "input", "output"}  # of the prompt of llm_judge
Scorer = Annotated[
    str,
    StringConstraints(
        pattern=rf"^({'|'.join(BUILT_IN)}|[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+)$"
    ),
]


Digit = Annotated[int, Field(ge=0, le=9)]


class Likelihood(Section):
    """What the scorer `likelihood` needs beside the keys that all scorers share."""

    quantization: Literal["none", "nf4"] = Field(
        description="How the scoring model's linear weights are held on the device: in 16 bits (32 "
        "on a CPU), or in 4 (ours; as ppo.quantization, the backbone scores as PPO starts from it)."
    )
    pmi_ceiling: Real | None = Field(
        default=None,
        description="The most that `pmi` counts, in nats a token, or null for no bound, by which "
        "the best output is one that nobody would write and that stands in the input (ours).",
    )


class LlmJudge(Section):
    """What the scorer `llm_judge` asks, of which server, and how its answers count."""

    prompt: FilePath = Field(
        description="File with the rubric, whose slots instruction, input and output are each "
        "filled with a JSON string (ours)."
    )
    server: Text = Field(
        description="Which of `servers` judges; only the model's name there decides the scores "
        "(ours)."
    )
    least: Digit = Field(description="The lowest number of the rubric's scale (ours).")
    most: Digit = Field(
        description="The highest, of one digit, so that the answer's first token tells all (ours)."
    )
    unreadable: Real = Field(
        description="The score where an answer holds no number of the scale (ours)."
    )
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = Field(
        description="How many likely tokens are asked for beside an answer's first, to weigh the "
        "scale's numbers by; 0 asks for none and takes the number written (ours; OpenAI's most)."
    )
    max_new_tokens: Count = Field(description="Most tokens of an answer (ours).")
    characters: Count = Field(
        description="Most characters of each of a triplet's three texts; the rest is cut (ours)."
    )

    @model_validator(mode="after")
    def has_a_scale(self) -> LlmJudge:
        if self.least >= self.most:
            raise ValueError(f"least {self.least} is not below most {self.most}")
        return self


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
    scorer: Scorer = Field(
        description="What scores a triplet: the dotted path of the judges of table I or of a "
        "scorer of your own, or the name of one that is built in (paper table I)."
    )
    model: FilePath | None = Field(
        description="Checkpoint of the reward model, or null; for likelihood null is the backbone "
        "itself (ours; paper table I names oasst-rm-pythia-1.4b)."
    )
    evaluator: FilePath | None = Field(
        description="Checkpoint of the evaluator UniEval, or null (paper table I)."
    )
    max_length: Count = Field(
        description="Most tokens of a text that a judge reads (UniEval@d33e7b6c, scorer.py)."
    )
    likelihood: Likelihood | None = Field(
        default=None,
        description="Of the scorer likelihood alone; null, or left out, for any other (ours).",
    )
    llm_judge: LlmJudge | None = Field(
        default=None,
        description="Of the scorer llm_judge alone; null, or left out, for any other (ours).",
    )
    weights: Weights = Field(
        description="The weight of each component of the scorer, by its name (paper Eq. 1, "
        "restored from arXiv 2307.06290)."
    )

    @model_validator(mode="after")
    def has_what_the_scorer_reads(self) -> Reward:
        for name in OWN_SECTIONS:
            wanted, given = self.scorer == name, getattr(self, name) is not None
            if wanted and not given:
                raise ValueError(f"the scorer {name} needs the section {name}")
            if given and not wanted:
                raise ValueError(f"{name}: of the scorer {name} alone, and scorer is {self.scorer}")
        if self.scorer == "sequence_classifier" and self.model is None:
            raise ValueError("model: the scorer sequence_classifier needs a checkpoint")
        if self.scorer == "llm_judge" and self.model is not None:
            raise ValueError("model: the scorer llm_judge asks a server: say null")
        if self.scorer in BUILT_IN and self.evaluator is not None:
            raise ValueError(f"evaluator: the scorer {self.scorer} reads none: say null")
        return self
