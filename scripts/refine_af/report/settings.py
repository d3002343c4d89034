"""The section of config.yaml on the report."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from refine_af.fields import Count, Real, Section, Seed


class Report(Section):
    seed: Seed
    confidence: Annotated[Real, Field(gt=0, lt=1)]
    resamples: Count
    span: Count
    examples: Count
