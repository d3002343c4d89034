"""The sections of config.yaml, one class a stage; experiment.py puts them together."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from refine_af.fields import (
    Count,
    Digest,
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


class RemoteFile(Section):
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/\S*[^/\s]$")]
    sha256: Digest


class Fetch(Section):
    mirror: Text | None
    seed_tasks: RemoteFile
    user_oriented_instructions: RemoteFile
    instance_prompt: RemoteFile
    instance_prompt_constant: Annotated[str, StringConstraints(pattern=r"^\w+$")]
    instance_prompt_sha256: Digest
    superni_task_url: Annotated[str, StringConstraints(pattern=r"^https?://.*\{task\}")]
    superni_digests: Text
    superni_tasks: Annotated[Texts, Field(min_length=1)] | None
    weights_sha256: dict[Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")], Digest]
    timeout_s: Positive
    attempts: Count


class Sampling(Section):
    temperature: NotNegative
    top_p: Annotated[Real, Field(gt=0, le=1)]
    presence_penalty: Real
    max_new_tokens: Count
    stop: Texts


class Novelty(Section):
    threshold: Annotated[str, StringConstraints(pattern=r"^(0(\.\d+)?|1(\.0+)?)$")]
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
    segment: Count
    requests: Count
    human_demonstrations: Count
    machine_demonstrations: Annotated[int, Field(ge=0)]
    last_item: Count
    quantization: Literal["nf4", "none"]
    sampling: Sampling
    filter: InstructionFilter
    novelty: Novelty
    least_yield: Share
    patience: Count

    @property
    def demonstrations(self) -> int:
        return self.human_demonstrations + self.machine_demonstrations

    @model_validator(mode="after")
    def asks_for_an_item(self) -> Instructions:
        if self.last_item <= self.demonstrations:
            raise ValueError(
                f"last_item {self.last_item} leaves nothing to write after the "
                f"{self.demonstrations} demonstrations of a prompt"
            )
        return self


class Weights(Section):
    reward_model: Real
    naturalness: Real
    coherence: Real
    understandability: Real
    constant: Real
    unparseable: Real


class Reward(Section):
    model: Text
    evaluator: Text
    weights: Weights
    max_length: Count


class Kl(Section):
    coefficient: NotNegative
    adaptive: bool
    target: Positive
    horizon: Positive


class Lora(Section):
    r: Count
    alpha: Count
    dropout: Annotated[Real, Field(ge=0, lt=1)]
    targets: Text | Texts


class Ppo(Section):
    seed: Seed
    steps: Count
    rollouts: Count
    batch_size: Count
    gradient_accumulation_steps: Count
    epochs: Count
    learning_rate: Positive
    value_learning_rate: Positive
    max_grad_norm: Positive
    gamma: Share
    lam: Share
    clip: Positive
    value_clip: Positive
    value_coefficient: NotNegative
    kl: Kl
    lora: Lora
    quantization: Literal["nf4", "none"]
    sampling: Sampling
    reward: Reward
    evaluation_prompts: Count
    least_parsed: Share
    samples_every: Count

    @model_validator(mode="after")
    def batches_fill_a_step(self) -> Ppo:
        batch = self.batch_size * self.gradient_accumulation_steps
        if self.rollouts % batch:
            raise ValueError(
                f"rollouts {self.rollouts} is no multiple of batch_size × "
                f"gradient_accumulation_steps = {batch}"
            )
        if self.lora.dropout:
            raise ValueError(
                f"lora.dropout {self.lora.dropout}: in PPO it must be 0, or the "
                "probability ratio differs from 1 before any update"
            )
        return self

    @field_validator("sampling")
    @classmethod
    def draws_from_the_policy(cls, value: Sampling) -> Sampling:
        if not value.temperature or value.top_p < 1 or value.presence_penalty:
            raise ValueError(
                "PPO must draw from the very distribution that it improves: "
                "temperature above 0, top_p 1, presence_penalty 0"
            )
        return value


class Instances(Section):
    seed: Seed
    per_instruction: Annotated[int, Field(ge=1, le=5)]
    quantization: Literal["nf4", "none"]
    sampling: Sampling
    least_parsed: Share


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


class Report(Section):
    seed: Seed
    confidence: Annotated[Real, Field(gt=0, lt=1)]
    resamples: Count
    span: Count
    examples: Count
