"""The section of config.yaml on fine-tuning."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from refine_af.settings.fields import Count, NotNegative, Positive, Real, Section, Seed, Share
from refine_af.settings.lora import Lora

Rows = Annotated[int, Field(ge=1, le=10**6)]


class Sft(Section):
    seed: Seed
    tuning: Literal["lora", "full"]
    epochs: Count
    learning_rate: Positive
    schedule: Literal["cosine", "linear", "constant"]
    warmup_ratio: Annotated[Real, Field(ge=0, lt=1)]
    weight_decay: NotNegative
    max_grad_norm: Positive
    batch_size: Rows
    gradient_accumulation_steps: Rows
    max_length: Count
    packing: bool
    strip_label_share: Share
    remove_overlap: bool
    quantization: Literal["nf4", "none"]
    lora: Lora
    merge: bool

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
