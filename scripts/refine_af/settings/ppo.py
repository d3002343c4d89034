"""The section of config.yaml on stage 2."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator, model_validator

from refine_af.settings.fields import Count, NotNegative, Positive, Section, Seed, Share
from refine_af.settings.lora import Lora
from refine_af.settings.reward import Reward
from refine_af.settings.sampling import Sampling


class Kl(Section):
    coefficient: NotNegative
    adaptive: bool
    target: Positive
    horizon: Positive


class Ppo(Section):
    algorithm: Literal["ppo", "rloo", "grpo"]
    seed: Seed
    steps: Count
    rollouts: Count
    generations: Count
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

    @model_validator(mode="after")
    def groups_fill_a_step(self) -> Ppo:
        if self.rollouts % self.generations:
            raise ValueError(
                f"rollouts {self.rollouts} is no multiple of generations {self.generations}"
            )
        if self.algorithm != "ppo" and self.generations == 1:
            raise ValueError(
                f"generations 1: {self.algorithm} compares two or more answers to an instruction"
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
