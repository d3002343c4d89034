"""The sections of config.yaml, one class a stage; experiment.py puts them together."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from refine_af.fields import (
    Count,
    NotNegative,
    Positive,
    Real,
    Section,
    Seed,
    Share,
    Text,
    Texts,
    Threshold,
)


class Sampling(Section):
    temperature: Annotated[Real, Field(ge=0, le=100)]
    top_p: Annotated[Real, Field(gt=0, le=1)]
    presence_penalty: Annotated[Real, Field(ge=-100, le=100)]
    max_new_tokens: Count
    stop: Texts

    @field_validator("temperature")
    @classmethod
    def can_divide(cls, value: float) -> float:
        if 0 < value < 1e-3:
            raise ValueError("a temperature below 0.001 is 0, greedy decoding: say 0")
        return value


class Server(Section):
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s?#@]+(/[^\s?#]*)?$")]
    model: Text
    key_variable: str | None
    concurrency: Annotated[int, Field(ge=1, le=1024)]
    timeout_s: Positive
    attempts: Count

    @field_validator("key_variable")
    @classmethod
    def names_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[A-Z_][A-Z0-9_]*", value):
            raise ValueError(
                "is to be the name of an environment variable, in capitals; the key itself "
                "stands nowhere in config.yaml"
            )
        return value


class Novelty(Section):
    threshold: Threshold
    tie: Literal["reject", "accept"]
    tokens: Literal["rouge", "unicode"]


class InstructionFilter(Section):
    min_words: Count
    max_words: Count
    keywords: Texts
    prefixes: Texts
    punctuation: bool
    non_ascii: bool
    capitalize: bool
    truncated: Literal["drop item", "drop reply"]

    @model_validator(mode="after")
    def is_a_range(self) -> InstructionFilter:
        if self.min_words > self.max_words:
            raise ValueError(
                f"min_words {self.min_words} is greater than max_words {self.max_words}"
            )
        return self


class Instructions(Section):
    seed: Seed
    engine: Literal["transformers", "server"]
    segment: Count
    requests: Count
    human_demonstrations: Count
    machine_demonstrations: Annotated[int, Field(ge=0)]
    numbering: Annotated[str, StringConstraints(pattern=r"^[^{}\n]*\{number\}[^{}\n]*$")]
    last_item: Count
    quantization: Literal["nf4", "none"]
    sampling: Sampling
    filter: InstructionFilter
    novelty: Novelty

    @property
    def demonstrations(self) -> int:
        return self.human_demonstrations + self.machine_demonstrations

    @field_validator("numbering")
    @classmethod
    def is_more_than_a_number(cls, value: str) -> str:
        if not value.replace("{number}", "").strip():
            raise ValueError("a number alone does not tell an item's beginning from its text")
        return value

    @model_validator(mode="after")
    def asks_for_an_item(self) -> Instructions:
        if self.last_item <= self.demonstrations:
            raise ValueError(
                f"last_item {self.last_item} leaves nothing to write after the "
                f"{self.demonstrations} demonstrations of a prompt"
            )
        return self


class YieldWatch(Section):
    least_yield: Share
    patience: Count


class Alarms(Section):
    """Bounds of refine_af/ppo/alarm.py."""

    action: Literal["warn", "error"]
    window: Count
    kl: Positive
    length: Annotated[Real, Field(gt=1)]
    parse_rate: Annotated[Real, Field(gt=0, lt=1)]
    distinct: Annotated[Real, Field(gt=0, lt=1)]
    effect: Positive
    flat: NotNegative
    errors: NotNegative


class PpoWatch(Section):
    least_parsed: Share
    checkpoint_every: Count
    gradient_checkpointing: bool
    alarm: Alarms


class ParsedWatch(Section):
    least_parsed: Share
    patience: Count


class SftWatch(Section):
    checkpoint_every: Count
    micro_batch: Count
    gradient_checkpointing: bool


class Watch(Section):
    instructions: YieldWatch
    ppo: PpoWatch
    instances: ParsedWatch
    sft: SftWatch


class Lora(Section):
    r: Count
    alpha: Count
    dropout: Annotated[Real, Field(ge=0, lt=1)]
    targets: Text | Texts

    @field_validator("targets", mode="before")
    @classmethod
    def are_names(cls, value: object) -> object:
        names = value if isinstance(value, list | tuple) else [value]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise ValueError("neither a name of layers nor a list of names")
        return value


class Users(Section):
    requests: Count
    max_new_tokens: Count
    stop: Texts
    quantization: Literal["nf4", "none"]


class Instances(Section):
    seed: Seed
    requests: Count
    per_instruction: Annotated[int, Field(ge=1, le=5)]
    quantization: Literal["nf4", "none"]
    sampling: Sampling


class OverlapBounds(Section):
    """From where an instance overlaps with an evaluation set: words in a row, ROUGE-L.

    A text of fewer than `words` words is not compared by ROUGE-L.
    """

    ngram: Annotated[int, Field(ge=1, le=1000)]
    rouge_l: Threshold
    words: Count
