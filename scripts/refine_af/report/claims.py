"""What a run bears out and what it cannot show, as a section of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refine_af.report.changes import Change
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, paragraph, section, tag
from refine_af.report.summaries import cell_means, parsed_counts
from refine_af.report.wording import interval, number, share

PARSED = 0.95  # the least share of answers that parse on the demo's tiny models

LIMITS = (
    "This is one run with one seed. An interval says how sure a mean over prompts is, not how "
    "much another run would differ.",
    "Between methods, intervals and p are about other tasks and instances: neither knows how far "
    "another seed of training would move a score.",
    "The reward is what automated judges say, and the fixed prompts come from the instructions "
    "that stage 2 trains on: that it rises does not prove that answers are better.",
    "ROUGE-L counts words shared with a reference, not whether an answer is right.",
)
NOISE = (
    "At this scale a difference between self-instruct and refine-af is noise: another seed may "
    "turn it round. It speaks neither for nor against the method."
)


def claims_section(
    runs: Sequence[ModelRun], changes: Mapping[str, Mapping[str, Change | None]]
) -> Html:
    """For the demo, claim by claim, whether this run bears it out; for every run, its limits."""
    parts = []
    for run in runs:
        if run.truth:
            claims = [_item(*claim) for claim in _claims(run, changes[run.name])]
            parts += [paragraph(f"What {run.name} was expected to show:"), tag("ul", *claims)]
    if parts:
        parts.insert(
            0,
            paragraph(
                "This is the embedded demo. Its models are tiny and were trained within minutes "
                "on a corpus that the project generates: it shows that every stage does its work, "
                "and nothing about models of a useful size."
            ),
        )
    limits = [NOISE, *_form_limits(runs), *LIMITS] if parts else LIMITS
    return section(
        "limits",
        "What this shows, and what it does not",
        *parts,
        paragraph("What it does not show:"),
        tag("ul", *(tag("li", limit) for limit in limits)),
    )


def _form_limits(runs: Sequence[ModelRun]) -> list[str]:
    """How far an untuned model comes with a prompt that it knows, and no model at all."""
    copied = [
        f"Without any model, the first demonstration's output scores "
        f"{number(means['copy-demonstration', '']['rouge_l'], 2)} and the input itself "
        f"{number(means['copy-input', '']['rouge_l'], 2)} on {run.name}'s tasks: the score "
        "rewards form."
        for run in runs
        for means in [cell_means(run.scores)]
        if {("copy-demonstration", ""), ("copy-input", "")} <= means.keys()
    ]
    return copied + [
        f"Untuned, but with the prompt of its own pretraining, {run.name} scores "
        f"{number(cell_means(run.scores)['base-few-shot', '']['rouge_l'], 2)} ROUGE-L: what "
        "tuning gains over base may be the form of an answer rather than ability."
        for run in runs
        if "base-few-shot" in set(run.scores["method"])
    ]


def _item(holds: bool, claim: str, numbers: str) -> Html:
    mark = "Shown" if holds else "Not shown by this run"
    return tag("li", tag("strong", f"{mark}: "), f"{claim} ({numbers}).")


def _claims(run: ModelRun, changes: Mapping[str, Change | None]) -> list[tuple[bool, str, str]]:
    """Whether each claim that the demo may make holds, the claim, and the numbers that say so."""
    parsed, answers = parsed_counts(run), len(run.answers)
    accepted, rejected = (int(run.rounds[name].sum()) for name in ("accepted", "rejected"))
    claims = [
        (
            min(parsed) >= PARSED * answers,
            f"at least {PARSED:.0%} of the answers can be parsed",
            f"{share(parsed[0], answers)} before {run.algorithm}, {share(parsed[1], answers)} "
            "after",
        ),
        (
            accepted > 0 and rejected > 0,
            "the filter accepts and rejects",
            f"{accepted:,} accepted, {rejected:,} rejected",
        ),
    ]
    reward = changes["reward"]
    if reward:
        claims.append(
            (
                reward.low > 0,
                "the reward on fixed prompts rises",
                f"from {number(reward.before)} to {number(reward.after)}, interval of the "
                f"difference {interval(reward)}",
            )
        )
    return [*claims, *_junk_claim(run, changes.get("junk")), _tuning_claim(run)]


def _junk_claim(run: ModelRun, junk: Change | None) -> list[tuple[bool, str, str]]:
    if not run.truth or junk is None:
        return []
    before, after = run.truth["before"], run.truth["after"]
    numbers = (
        f"{share(before.junk, before.parsed)} before, {share(after.junk, after.parsed)} after, "
        f"interval of the difference {interval(junk)}"
    )
    return [(junk.high < 0, "the share of junk among the parsed answers falls", numbers)]


def _tuning_claim(run: ModelRun) -> tuple[bool, str, str]:
    means = {cell: figures["rouge_l"] for cell, figures in cell_means(run.scores).items()}
    base, tuned = means["base", ""], [means[cell] for cell in means if cell[1]]
    low, high = number(min(tuned), 2), number(max(tuned), 2)
    others = [
        f", {method} {number(mean, 2)}"
        for (method, size), mean in means.items()
        if not size and method != "base"
    ]
    return (
        min(tuned) > base,
        "every tuned model scores above the base on held-out task families",
        f"ROUGE-L {low} to {high} against {number(base, 2)} for base{''.join(others)}",
    )
