"""The demo's section of a config.yaml: how large its world is, and how its models are trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refine_af.settings.fields import Count, Name, Positive, Section, Seed


class TinyBackbone(Section):
    architecture: Literal["llama", "mistral"] = Field(
        description="The family whose architecture the backbone has (ours)."
    )
    hidden_size: Count = Field(description="Width of a layer (ours).")
    intermediate_size: Count = Field(description="Width of a layer's feed-forward part (ours).")
    layers: Count = Field(description="Number of layers (ours).")
    heads: Count = Field(description="Attention heads of a layer (ours).")
    key_value_heads: Count = Field(description="Key and value heads that the heads share (ours).")
    steps: Count = Field(description="Training steps (ours).")
    batch_size: Count = Field(description="Texts of a training step (ours).")
    learning_rate: Positive = Field(description="Highest learning rate of its training (ours).")


class TinyJudge(Section):
    hidden_size: Count = Field(description="Width of a layer (ours).")
    layers: Count = Field(description="Number of layers (ours).")
    steps: Count = Field(description="Training steps (ours).")
    batch_size: Count = Field(description="Texts of a training step (ours).")
    learning_rate: Positive = Field(description="Highest learning rate of its training (ours).")


class TinyParser(Section):
    hidden_size: Count = Field(description="Width of a layer (ours).")
    layers: Count = Field(description="Number of layers (ours).")
    heads: Count = Field(description="Attention heads of a layer (ours).")
    trees: Count = Field(description="Trees of the treebank that it is trained on (ours).")
    steps: Count = Field(description="Training steps (ours).")
    batch_size: Count = Field(description="Sentences of a training step (ours).")
    learning_rate: Positive = Field(description="Highest learning rate of its training (ours).")


class Demo(Section):
    seed: Seed = Field(description="Seed of the corpus and of the training of its models (ours).")
    seed_tasks: Count = Field(description="Number of seed tasks that are made up (ours).")
    vocabulary: Count = Field(description="Tokens that the tokenizer knows (ours).")
    context: Count = Field(description="Most tokens that a backbone reads at once (ours).")
    backbones: Annotated[dict[Name, TinyBackbone], Field(min_length=1)] = Field(
        description="The tiny backbones by name, made in results/demo/backbones/ (ours)."
    )
    reward_model: TinyJudge = Field(description="The tiny reward model (ours).")
    evaluator: TinyJudge = Field(description="The tiny evaluator (ours).")
    parser: TinyParser = Field(description="The tiny parser of the demo's instructions (ours).")
    instances_per_task: Count = Field(
        description="Instances of each held-out task family, in Super-NI's file format (ours)."
    )
    quality_tasks: Count = Field(description="Tasks that a finished model is checked on (ours).")
