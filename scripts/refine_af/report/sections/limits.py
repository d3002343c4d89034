"""What the run shows and what it cannot show, on the page."""

from __future__ import annotations

from collections.abc import Sequence

from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, paragraph, section, tag
from refine_af.report.spread import ONCE, seeds_told

ONE_SEED = (
    "This is one run with one seed. An interval says how sure a mean over prompts is, not how "
    "much another run would differ.",
    "Between methods, intervals and p are about other tasks and instances: neither knows how far "
    "another seed of training would move a score.",
)
ONE_POOL = (
    "Every model has one pool of instructions, made with one seed: no interval says how much "
    "another pool would move a number.",
    "An interval over prompts says how sure a mean of one training of stage 2 is, not how much "
    "another one would differ.",
)
LIMITS = (
    "The reward is what automated judges say, and the fixed prompts come from the instructions "
    "that stage 2 trains on: that it rises does not prove that answers are better.",
    "ROUGE-L counts words shared with a reference, not whether an answer is right.",
)


def limits_section(claims: Html, further: Sequence[str], runs: Sequence[ModelRun]) -> Html:
    """The limits of every run, below what is known of this one alone.

    `claims` say what this run was expected to show and whether it did, `further` are its own
    limits; either may be empty.
    """
    limits = (*further, *_of_seeds(runs), *LIMITS)
    return section(
        "limits",
        "What this shows, and what it does not",
        claims,
        paragraph("What it does not show:"),
        tag("ul", *(tag("li", limit) for limit in limits)),
        # The page stands alone, so it names the file and does not link to it.
        paragraph("What the run was asked for, in full, is in config.yaml beside this page."),
    )


def _of_seeds(runs: Sequence[ModelRun]) -> list[str]:
    """What no number of the page knows of other seeds."""
    told = {run.name: seeds_told(run) for run in runs}
    if not any(run.further for run in runs) and set(told.values()) == {ONCE}:
        return list(ONE_SEED)
    return [*ONE_POOL, *(f"{name}: {sentence}" for name, sentence in told.items())]
