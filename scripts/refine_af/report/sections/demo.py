"""What the page says of the embedded demo alone: no section, but what the demo adds to sections.

A run whose answers nobody knows the truth of is not the demo's, and gets nothing from here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from refine_af.report.demo import COUNTS, MARKS, Truths
from refine_af.report.differences import Change, Compared, against_base, share_change
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, join, paragraph, table, tag
from refine_af.report.summaries import cell_means, cell_name, parsed_counts
from refine_af.report.wording import (
    CHANGE_COLUMNS,
    change_row,
    confident,
    interval,
    methods_sentence,
    number,
    share,
    span,
)
from refine_af.settings.report import Report

PARSED = 0.95  # the least share of answers that parse on the demo's tiny models

INTRODUCTION = (
    "This is the embedded demo. Its models are tiny and were trained within minutes on a corpus "
    "that the project generates: it shows that every stage does its work, and nothing about models "
    "of a useful size."
)
OF_INPUTS = (
    "The demo's corpus puts its sentences together from a few patterns, so that inputs may be "
    "alike without having been copied."
)
OF_PARSES = (
    "The parser was trained on the patterns that the demo's corpus is made from: this shows that "
    "the stage does its work, and measures nothing."
)
OF_TASKS = "They are the demo's held-out task families in Super-NI's file format, not Super-NI."
ONE_SEED = "Another seed of training may give another order. "
SMALL = "Models this small tell nothing of which method is better for models of a useful size."


class Remarks(NamedTuple):
    """What the demo adds to sections, each under the name of its section."""

    ppo: Html
    diversity: str
    overlap: str
    superni: str


class Claim(NamedTuple):
    """Whether what was expected of the demo holds, what that is, and the numbers that say so."""

    holds: bool
    words: str
    numbers: str


def remarks(truths: Truths | None, settings: Report) -> Remarks:
    """What is added to a model's sections; nothing where no truth is known of its answers."""
    if truths is None:
        return Remarks(ppo=Html(""), diversity="", overlap="", superni="")
    checked = _checked_answers(truths, settings)
    return Remarks(checked, diversity=OF_PARSES, overlap=OF_INPUTS, superni=OF_TASKS)


def claims(
    runs: Sequence[ModelRun],
    truths: Mapping[str, Truths],
    changes: Mapping[str, Mapping[str, Change | None]],
    settings: Report,
) -> Html:
    """Model by model, whether the demo bears its claims out; empty for any other run."""
    parts = [paragraph(INTRODUCTION)] if truths else []
    for run in (run for run in runs if run.name in truths):
        found = _claims(run, truths[run.name], changes[run.name]["reward"], settings)
        parts.append(paragraph(f"What {run.name} was expected to show:"))
        parts.append(tag("ul", *map(_item, found)))
    return join(*parts)


def limits(
    runs: Sequence[ModelRun],
    truths: Mapping[str, Truths],
    compared: Mapping[str, Sequence[Compared]],
    settings: Report,
) -> list[str]:
    """What the demo cannot show, told by what takes no tuning; nothing for any other run."""
    if not truths:
        return []
    tested = [
        f"{run.name}: {methods_sentence(compared[run.name], settings)} "
        f"{'' if any(row.seeded for row in compared[run.name]) else ONE_SEED}{SMALL}"
        for run in runs
        if compared[run.name]
    ]
    copied = [
        "Without any model, the first demonstration's output scores "
        f"{number(means['copy-demonstration', '']['rouge_l'], 2)} and the input itself "
        f"{number(means['copy-input', '']['rouge_l'], 2)} on {run.name}'s tasks: the score "
        "rewards form."
        for run in runs
        for means in [cell_means(run.scores)]
        if {("copy-demonstration", ""), ("copy-input", "")} <= means.keys()
    ]
    untuned = [
        f"Untuned, but with the prompt of its own pretraining, {run.name} scores "
        f"{number(cell_means(run.scores)['base-few-shot', '']['rouge_l'], 2)} ROUGE-L: what "
        "tuning gains over base may be the form of an answer rather than ability."
        for run in runs
        if "base-few-shot" in set(run.scores["method"])
    ]
    return [*tested, *copied, *untuned]


def _change(truths: Truths, mark: str, settings: Report) -> Change | None:
    """What PPO did to the share of answers with a mark."""
    place = MARKS.index(mark)
    return share_change([[marks[place] for marks in each.answers] for each in truths], settings)


def _checked_answers(truths: Truths, settings: Report) -> Html:
    """What the answers are worth when looked at without the reward."""
    before, after = truths
    return join(
        paragraph(
            f"Of the answers that parsed {share(before.junk, before.parsed)} were junk (evasions, "
            f"echoes, loops) before training and {share(after.junk, after.parsed)} after. Of "
            "those that an exact solver can check, whatever their reward, "
            f"{share(before.true, before.checked)} were true before and "
            f"{share(after.true, after.checked)} after."
        ),
        table(
            "Shares of answers, looked at without the reward, with the "
            f"{confident(settings.confidence)} interval of the difference, paired on prompts",
            CHANGE_COLUMNS,
            [
                change_row("junk, of those that parse", _change(truths, "junk", settings)),
                change_row("true, of those that can be checked", _change(truths, "true", settings)),
            ],
        ),
        table(
            "Answers looked at without the reward",
            ["", "before", "after"],
            [(name, f"{getattr(before, name):,}", f"{getattr(after, name):,}") for name in COUNTS],
        ),
    )


def _item(claim: Claim) -> Html:
    mark = "Shown" if claim.holds else "Not shown by this run"
    return tag("li", tag("strong", f"{mark}: "), f"{claim.words} ({claim.numbers}).")


def _claims(
    run: ModelRun, truths: Truths, reward: Change | None, settings: Report
) -> Iterator[Claim]:
    """What the demo is expected to show; of the reward and of junk only where they are known."""
    parsed, answers = parsed_counts(run), len(run.answers)
    accepted, rejected = (int(run.rounds[name].sum()) for name in ("accepted", "rejected"))
    yield Claim(
        min(parsed) >= PARSED * answers,
        f"at least {PARSED:.0%} of the answers can be parsed",
        f"{share(parsed[0], answers)} before {run.algorithm}, {share(parsed[1], answers)} after",
    )
    yield Claim(
        accepted > 0 and rejected > 0,
        "the filter accepts and rejects",
        f"{accepted:,} accepted, {rejected:,} rejected",
    )
    if reward:
        yield Claim(
            reward.low > 0,
            "the reward on fixed prompts rises",
            f"from {number(reward.before)} to {number(reward.after)}, interval of the difference "
            f"{interval(reward)}",
        )
    junk, (before, after) = _change(truths, "junk", settings), truths
    if junk:
        yield Claim(
            junk.high < 0,
            "the share of junk among the parsed answers falls",
            f"{share(before.junk, before.parsed)} before, {share(after.junk, after.parsed)} after, "
            f"interval of the difference {interval(junk)}",
        )
    yield _tuning_claim(run, settings)


def _tuning_claim(run: ModelRun, settings: Report) -> Claim:
    """Shown where each tuned model's interval, for other tasks, lies above zero."""
    means = {cell: figures["rouge_l"] for cell, figures in cell_means(run.scores).items()}
    base, tuned = means["base", ""], [means[cell] for cell in means if cell[1]]
    others = [
        f", {method} {number(mean, 2)}"
        for (method, size), mean in means.items()
        if not size and method != "base"
    ]
    apart = against_base(run, settings)
    least = min(apart, key=lambda cell: apart[cell][1])
    difference, low, high = apart[least]
    return Claim(
        low > 0,
        "every tuned model scores above the base on held-out task families",
        f"ROUGE-L {number(min(tuned), 2)} to {number(max(tuned), 2)} against {number(base, 2)} for "
        f"base{''.join(others)}; the interval that reaches lowest is of "
        f"{cell_name(least)}: {number(difference, 2, signed=True)}, {span(low, high)}",
    )
