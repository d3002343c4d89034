"""The section of config.yaml on what a stage minds on its way; it decides no result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refine_af.settings.fields import Count, NotNegative, Positive, Real, Section, Share


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
