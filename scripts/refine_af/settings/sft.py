"""The section of config.yaml on fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from refine_af.settings.fields import Count, NotNegative, Positive, Real, Section, Seed, Share
from refine_af.settings.lora import Lora

Rows = Annotated[int, Field(ge=1, le=10**6)]


class Sft(Section):
    seed: Seed = Field(description="Seed of adapter, order of rows, dropout and encodings (ours).")
    tuning: Literal["lora", "full"] = Field(
        description="What is trained: an adapter (QLoRA where nf4), or every weight in 32 bits "
        "(ours)."
    )
    epochs: Count = Field(description="Passes over the rows (paper III-A).")
    learning_rate: Positive = Field(description="Highest learning rate (paper III-A).")
    schedule: Literal["cosine", "linear", "constant"] = Field(
        description="Course of the learning rate after the warm-up (paper III-A)."
    )
    warmup_ratio: Annotated[Real, Field(ge=0, lt=1)] = Field(
        description="Share of the updates in which the learning rate rises (paper III-A)."
    )
    weight_decay: NotNegative = Field(description="Weight decay of AdamW (transformers' default).")
    max_grad_norm: Positive = Field(
        description="Norm to which a gradient is clipped (transformers' default)."
    )
    batch_size: Rows = Field(description="Rows of a minibatch (paper III-A).")
    gradient_accumulation_steps: Rows = Field(
        description="Minibatches whose gradients make one update (paper III-A)."
    )
    max_length: Count = Field(
        description="Most tokens of prompt and completion; longer rows are left out (ours)."
    )
    packing: bool = Field(
        description="Whether several rows are put in one, which makes fewer updates (ours)."
    )
    strip_label_share: Share = Field(
        description="Share of the inputs with a single label that lose it "
        "(SI: prepare_for_finetuning.py)."
    )
    include_seeds: bool = Field(
        description="Whether the seeds' own instances are trained on too, by both methods (ours; "
        "SI: --include_seed_tasks)."
    )
    remove_overlap: bool = Field(
        description="Whether instances that overlap with an evaluation set are left out (ours)."
    )
    quantization: Literal["nf4", "none"] = Field(
        description="Rounding of the backbone's weights: nf4 is 4 bits, QLoRA (ours)."
    )
    lora: Lora = Field(description="The adapter that is trained where tuning is lora (ours).")
    merge: bool = Field(
        description="Whether a whole model is written beside the adapter, in merged/ (ours)."
    )

    @model_validator(mode="after")
    def can_train_all_weights(self) -> Sft:
        if self.tuning == "full" and self.quantization != "none":
            raise ValueError(
                f"tuning: full trains every weight, which {self.quantization} has rounded to "
                "4 bits; say quantization: none, or tuning: lora"
            )
        if self.tuning == "full" and self.merge:
            raise ValueError("merge: tuning: full writes a whole model already; say merge: false")
        return self
