"""The section of config.yaml on the report."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from refine_af.settings.fields import Confidence, Count, Draws, Section, Seed


class Report(Section):
    seed: Seed = Field(description="Seed of bootstrap and permutation tests (ours).")
    confidence: Confidence = Field(description="Confidence of intervals, as a share (ours).")
    resamples: Draws = Field(
        description="Resamples of the bootstrap, and draws of the permutation tests (ours)."
    )
    count_wins_over: Literal["tasks", "paper"] = Field(
        description='What "% tasks better" counts: tasks, or with paper the categories and the '
        "mean over all too (ours)."
    )
    span: Count = Field(
        description="Steps of the moving average of figure 2 (paper III-A, figure 2)."
    )
    verbs: Count = Field(description="Verbs of figure 8, the commonest (paper figure 8).")
    nouns: Count = Field(description="Nouns of each verb of figure 8 (paper figure 8).")
    examples: Count = Field(description="Examples of each kind that the report prints (ours).")
