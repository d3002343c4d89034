"""The demo's section of a config.yaml: how large its world is, and how its models are trained."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refine_af.settings.fields import Count, Name, Positive, Section, Seed


class TinyBackbone(Section):
    architecture: Literal["llama", "mistral"]
    hidden_size: Count
    intermediate_size: Count
    layers: Count
    heads: Count
    key_value_heads: Count
    steps: Count
    batch_size: Count
    learning_rate: Positive


class TinyJudge(Section):
    hidden_size: Count
    layers: Count
    steps: Count
    batch_size: Count
    learning_rate: Positive


class Demo(Section):
    seed: Seed
    seed_tasks: Count
    vocabulary: Count
    context: Count
    backbones: Annotated[dict[Name, TinyBackbone], Field(min_length=1)]
    reward_model: TinyJudge
    evaluator: TinyJudge
    instances_per_task: Count
    quality_tasks: Count
