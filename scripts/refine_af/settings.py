"""The sections of config.yaml, one class a stage; experiment.py puts them together."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from refine_af.fields import (
    Count,
    Name,
    NotNegative,
    Positive,
    Real,
    Section,
    Seed,
    Share,
    Text,
    Texts,
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
    key_variable: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None
    concurrency: Annotated[int, Field(ge=1, le=1024)]
    timeout_s: Positive
    attempts: Count


class Novelty(Section):
    threshold: Annotated[str, StringConstraints(pattern=r"^(0(\.[0-9]+)?|1(\.0+)?)$")]
    tie: Literal["reject", "accept"]
    tokens: Literal["rouge", "unicode"]

    @field_validator("threshold")
    @classmethod
    def is_above_zero(cls, value: str) -> str:
        if not Decimal(value) > 0:
            raise ValueError("a threshold of 0 rejects every instruction")
        return value


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

    @property
    def decoding(self) -> Sampling:
        """The sampling, with the end of the list among its stop strings: `Task 16`, for one."""
        before, _, after = self.numbering.partition("{number}")
        number = f"{before}{self.last_item + 1}"
        end = number if before.strip() else f"\n{number}{after}"
        return self.sampling.model_copy(update={"stop": (*self.sampling.stop, end)})

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


class Watch(Section):
    instructions: YieldWatch
    ppo: PpoWatch
    instances: ParsedWatch


class Lora(Section):
    r: Count
    alpha: Count
    dropout: Annotated[Real, Field(ge=0, lt=1)]
    targets: Text | Texts


class Instances(Section):
    seed: Seed
    requests: Count
    per_instruction: Annotated[int, Field(ge=1, le=5)]
    quantization: Literal["nf4", "none"]
    sampling: Sampling


class Sft(Section):
    seed: Seed
    epochs: Count
    learning_rate: Positive
    schedule: Literal["cosine", "linear", "constant"]
    warmup_ratio: Annotated[Real, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    max_grad_norm: Positive
    batch_size: Count
    gradient_accumulation_steps: Count
    max_length: Count
    strip_label_share: Share
    quantization: Literal["nf4", "none"]
    lora: Lora


class Baseline(Section):
    prompt: Text
    stop: Texts


class Superni(Section):
    instances_per_task: Count
    prompt: Text
    full_stop: bool
    max_source_tokens: Count
    max_new_tokens: Count
    quantization: Literal["nf4", "none"]
    baselines: Annotated[dict[Name, Baseline], Field(min_length=1)]

    @field_validator("baselines")
    @classmethod
    def has_base(cls, value: dict[str, Baseline]) -> dict[str, Baseline]:
        if "base" not in value:
            raise ValueError("the untuned model is evaluated as `base`, which is missing")
        if taken := {"self-instruct", "refine-af"} & value.keys():
            raise ValueError(f"{sorted(taken)[0]!r} is a method, and so no baseline's name")
        return value
