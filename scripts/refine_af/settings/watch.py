"""The section of config.yaml on what a stage watches as it runs; it decides no result."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from refine_af.settings.fields import Count, Distinct, NotNegative, Positive, Real, Section, Share


class YieldWatch(Section):
    least_yield: Share = Field(
        description="Share of items that enter the pool; less over `patience` rounds ends the "
        "stage (ours)."
    )
    patience: Count = Field(description="Rounds over which the share is taken (ours).")
    longest_hours: Positive = Field(
        description="Hours until a segment is full; a warning tells where the decline of its yield "
        "foretells more (ours: what the paper, III-A, needed for its 15,000, 20 days)."
    )


class Alarms(Section):
    """Bounds of refine_af/ppo/alarm.py, of the last `window` steps against the first."""

    action: Literal["warn", "error"] = Field(
        description="What an alarm does: warn tells it in log and report, error ends the stage at "
        "the first one (ours)."
    )
    window: Count = Field(description="Steps whose means are compared (ours).")
    kl: Positive = Field(
        description="KL to the reference beyond which an alarm is raised, in nats a reply (ours: "
        "some four times ppo.kl.target)."
    )
    length: Annotated[Real, Field(gt=1)] = Field(
        description="How many times as long as at the start replies may get, or how many times "
        "shorter (ours)."
    )
    parse_rate: Annotated[Real, Field(gt=0, lt=1)] = Field(
        description="How far the share of parsed replies may fall from its best window (ours)."
    )
    distinct: Annotated[Real, Field(gt=0, lt=1)] = Field(
        description="Share of the start's distinct-1 and distinct-2 that outputs must keep (ours; "
        "Li et al. 2016)."
    )
    effect_size: Positive = Field(
        description="Standard deviations by which the reward rises while a component falls, or "
        "rises alone (ours: Cohen's medium effect)."
    )
    flat_effect_size: NotNegative = Field(
        description="Standard deviations below which a component has not risen with another (ours)."
    )
    min_standard_errors: NotNegative = Field(
        description="Standard errors of a window's mean below which a change is noise (ours)."
    )


class PpoWatch(Section):
    least_parsed: Share = Field(
        description="Share of answers before training that hold an instance; less ends the stage "
        "(ours)."
    )
    alarm: Alarms = Field(description="Signs of reward hacking (ours).")


class ParsedWatch(Section):
    least_parsed: Share = Field(
        description="Share of replies that hold an instance; less ends the stage (ours)."
    )
    least_identified: Share = Field(
        description="Share of replies that say yes or no to whether an instruction is a "
        "classification task; less ends the stage (ours)."
    )
    patience: Count = Field(
        description="Rounds of a job after which the share is checked; it is also checked at a "
        "segment's end (ours)."
    )


class SubsetsWatch(Section):
    least_kept: Annotated[Real, Field(gt=0, le=1)] = Field(
        description="Where sizes count instances, the least that an instruction gives on average: "
        "a method that keeps fewer than a size N from N / `least_kept` instructions, in whole "
        "segments, ends there (ours)."
    )


class Watch(Section):
    report_to: Annotated[
        tuple[Literal["tensorboard", "trackio"], ...], Field(strict=False), Distinct
    ] = Field(
        description="Trackers that show PPO's and fine-tuning's curves as they come, in files of "
        "results/curves/: nothing leaves the machine; trackio is installed apart (ours: none)."
    )
    subsets: SubsetsWatch = Field(description="What is watched where sizes count instances (ours).")
    instructions: YieldWatch = Field(description="What stage 1 watches (ours).")
    ppo: PpoWatch = Field(description="What stage 2 watches (ours).")
    instances: ParsedWatch = Field(description="What stage 3 watches (ours).")
