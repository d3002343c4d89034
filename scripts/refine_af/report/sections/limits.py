"""What the run shows and what it cannot show, on the page."""

from __future__ import annotations

from collections.abc import Sequence

from refine_af.report.pages import Html, paragraph, section, tag

LIMITS = (
    "This is one run with one seed. An interval says how sure a mean over prompts is, not how "
    "much another run would differ.",
    "Between methods, intervals and p are about other tasks and instances: neither knows how far "
    "another seed of training would move a score.",
    "The reward is what automated judges say, and the fixed prompts come from the instructions "
    "that stage 2 trains on: that it rises does not prove that answers are better.",
    "ROUGE-L counts words shared with a reference, not whether an answer is right.",
)


def limits_section(claims: Html, further: Sequence[str]) -> Html:
    """The limits of every run, below what is known of this one alone.

    `claims` say what this run was expected to show and whether it did, `further` are its own
    limits; either may be empty.
    """
    return section(
        "limits",
        "What this shows, and what it does not",
        claims,
        paragraph("What it does not show:"),
        tag("ul", *(tag("li", limit) for limit in (*further, *LIMITS))),
        # The page stands alone, so it names the file and does not link to it.
        paragraph("What the run was asked for, in full, is in config.yaml beside this page."),
    )
