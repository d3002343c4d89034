"""The section of config.yaml on stage 2."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from refine_af.settings.fields import Count, NotNegative, Positive, Section, Seed, Share
from refine_af.settings.lora import Lora
from refine_af.settings.sampling import Sampling

LossMean = Literal["minibatch", "update"]


class Kl(Section):
    coefficient: NotNegative = Field(
        description="Weight β of the KL to the reference in the reward, of Eq. 2 (ours; TRL "
        "init_kl_coef)."
    )
    adaptive: bool = Field(
        description="Whether the coefficient follows the KL to its target (TRL adap_kl_ctrl)."
    )
    target: Positive = Field(
        description="KL that an adaptive coefficient aims at, in nats a reply (TRL)."
    )
    horizon: Positive = Field(
        description="Replies over which an adaptive coefficient makes up its error (TRL)."
    )


class Ppo(Section):
    algorithm: Literal["ppo", "rloo", "grpo"] = Field(
        description="What updates the policy: PPO, or as an ablation TRL 1.16's RLOO or GRPO "
        "(paper II-C)."
    )
    seed: Seed = Field(description="Seed of adapter, prompts, replies and minibatches (TRL).")
    steps: Count = Field(description="Number of PPO steps (paper III-A).")
    rollouts: Count = Field(
        description="Replies of a step (ours: batch 4 × accumulation 4; TRL's classic API: 4)."
    )
    generations: Count = Field(
        description="Replies to one instruction in a step; rloo and grpo need 2 or more (ours)."
    )
    batch_size: Count = Field(description="Replies of a minibatch (paper III-A).")
    gradient_accumulation_steps: Count = Field(
        description="Minibatches whose gradients make one optimizer step (paper III-A)."
    )
    loss_mean: LossMean = Field(
        description="Over whose tokens a loss is a mean: each minibatch's, of which an update then "
        "takes the mean, or all of the update's (TRL: minibatch)."
    )
    epochs: Count = Field(description="Passes over a step's replies (TRL ppo_epochs).")
    floor_deviations: Positive | None = Field(
        default=None,
        description="What the policy learns that a reply without an instance is worth: so many "
        "standard deviations below the mean of all rewards of replies with one, so far; null: "
        "reward.weights.unparseable, which is what files and figures state (ours).",
    )
    learning_rate: Positive = Field(description="Learning rate of the adapter (paper III-A).")
    value_learning_rate: Positive = Field(
        description="Learning rate of the value head (TRL: one rate for both)."
    )
    max_grad_norm: Positive = Field(
        description="Norm to which a gradient is clipped (ours; TRL: none)."
    )
    gamma: Share = Field(description="Discount of later rewards, a token (TRL).")
    lam: Share = Field(description="λ of generalised advantage estimation (TRL).")
    clip: Positive = Field(
        description="How far from 1 the probability ratio may move (TRL cliprange)."
    )
    value_clip: Positive = Field(
        description="How far a value may move from the old one (TRL cliprange_value)."
    )
    value_coefficient: NotNegative = Field(
        description="Weight of the loss of the values (TRL vf_coef)."
    )
    kl: Kl = Field(description="How the KL to the reference is weighed (paper Eq. 2).")
    lora: Lora = Field(
        description="The adapter that is trained. Its dropout is void: the model that replies is "
        "the one that learns, in eval mode (ours: StackLLaMA)."
    )
    quantization: Literal["nf4", "none"] = Field(
        description="Rounding of the backbone's weights: nf4 is 4 bits (paper III-A)."
    )
    sampling: Sampling = Field(
        description="How the tokens of a reply are drawn: from the model as it is (ours: "
        "StackLLaMA)."
    )
    evaluation_prompts: Count = Field(
        description="Fixed prompts that are answered before and after training (ours)."
    )
    samples_every: Count = Field(description="Steps between kept samples of the rollouts (ours).")

    @model_validator(mode="after")
    def batches_fill_a_step(self) -> Ppo:
        batch = self.batch_size * self.gradient_accumulation_steps
        if self.rollouts % batch:
            raise ValueError(
                f"rollouts {self.rollouts} is no multiple of batch_size × "
                f"gradient_accumulation_steps = {batch}"
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
                f"generations 1: {self.algorithm} compares two or more replies to an instruction"
            )
        return self

    @field_validator("sampling")
    @classmethod
    def draws_from_the_policy(cls, value: Sampling) -> Sampling:
        off = {
            "temperature": not value.temperature,
            "top_p": value.top_p < 1,
            "min_p": bool(value.min_p),
            "presence_penalty": bool(value.presence_penalty),
        }
        for name in filter(off.__getitem__, off):
            raise ValueError(
                f"{name} {getattr(value, name)}: PPO must draw from the distribution that it "
                "improves: temperature above 0, top_p 1, min_p 0, presence_penalty 0"
            )
        return value
