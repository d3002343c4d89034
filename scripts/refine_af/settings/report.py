"""The section of config.yaml on the report."""

from __future__ import annotations

from typing import Literal

from refine_af.settings.fields import Confidence, Count, Draws, Section, Seed


class Report(Section):
    seed: Seed
    confidence: Confidence
    resamples: Draws
    keys: Literal["tasks", "paper"]
    span: Count
    examples: Count
