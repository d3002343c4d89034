"""Stage 2 on the page: what training on feedback did."""

from __future__ import annotations

import math
from collections.abc import Mapping

from refine_af.randomness import derived_seed
from refine_af.records.fixed_prompts import Answer
from refine_af.report.differences import Change
from refine_af.report.figures import Drawing
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import (
    Html,
    card,
    details,
    figure,
    join,
    paragraph,
    safe,
    said,
    section,
    table,
    tag,
)
from refine_af.report.summaries import parsed_counts, spread
from refine_af.report.trends import Trend, trend
from refine_af.report.wording import (
    CHANGE_COLUMNS,
    change_row,
    confident,
    counted,
    digits_of,
    interval,
    number,
    reward_sentence,
    share,
    words,
)
from refine_af.settings.report import Report

PAPER = ("Llama-2-7B 0.553", "Llama-2-13B 0.649", "Mistral-7B 0.558")  # its figure 2


def ppo_section(
    run: ModelRun,
    changes: Mapping[str, Change | None],
    settings: Report,
    drawing: Drawing,
    checked: Html,
) -> Html:
    """Alarms, answers to the same prompts before and after, and the reward while training.

    `checked` is what is known of the answers without the reward; empty where nothing is.
    """
    caption = (
        f"Mean reward of each {run.algorithm} step, and its moving average of span {settings.span}."
    )
    return section(
        f"{run.name}-ppo",
        f"Stage 2: {run.algorithm} from automated feedback",
        _ablation(run.algorithm),
        _alarms(run),
        _before_and_after(run, changes, settings),
        checked,
        _course_of_training(run, changes["reward"], settings),
        figure(drawing.inline(), f"Scatter plot with a line. {caption}", caption),
        details(
            "Examples: answers to the same prompt before and after, evenly spaced",
            *_answers(run, settings.examples),
        ),
        level=3,
    )


def _ablation(algorithm: str) -> Html:
    if algorithm == "PPO":
        return Html("")
    return paragraph(f"The paper trains with PPO; this run is an ablation with {algorithm}.")


def _alarms(run: ModelRun) -> Html:
    """What the watch for reward hacking saw while training."""
    if not run.alarms:
        return paragraph(
            f"No alarm of reward hacking was raised over {counted(len(run.steps), 'step')}: no "
            "window of them went beyond a bound in KL to the reference, length of replies, parse "
            "rate, different words and pairs of words, or the agreement of the reward's "
            "components. Most of these compare two windows, and a run shorter than two (its log "
            "says so) holds nothing to compare."
        )
    raised = counted(len(run.alarms), "alarm")
    return join(
        paragraph(
            tag("strong", f"{raised} of reward hacking while training."),
            "An alarm proves nothing, and says where to look: at the answers below, and at the "
            "samples of the steps named here, before the adapter is used.",
        ),
        tag("ul", *(tag("li", f"Step {row.step:,}: ", said(row.words)) for row in run.alarms)),
    )


def _before_and_after(
    run: ModelRun, changes: Mapping[str, Change | None], settings: Report
) -> Html:
    answers, (before, after) = len(run.answers), parsed_counts(run)
    return join(
        paragraph(
            reward_sentence(changes, settings),
            f"Of {counted(answers, 'answer')}, {before:,} ({share(before, answers)}) could be "
            f"parsed before training and {after:,} ({share(after, answers)}) after.",
        ),
        table(
            f"Means on fixed prompts, with the {confident(settings.confidence)} interval of the "
            "difference, paired on prompts; the reward's components over prompts whose answers "
            "parsed both times",
            CHANGE_COLUMNS,
            [change_row(words(name), row) for name, row in changes.items()],
        ),
    )


def _course_of_training(run: ModelRun, reward: Change | None, settings: Report) -> Html:
    found = trend(
        run.steps["reward_mean"].to_list(),
        span=settings.span,
        confidence=settings.confidence,
        draws=settings.resamples,
        seed=derived_seed(settings.seed, run.name, "trend"),
    )
    if found is None:
        return paragraph("Too few steps, or rewards all the same: there is no trend to compute.")
    return join(
        paragraph(
            f"Over {counted(len(run.steps), 'step')} the mean reward has a Spearman correlation "
            f"of {number(found.raw, 2)} with the step (one-sided permutation p = {found.p:.2g}, "
            "which assumes that steps are exchangeable).",
            f"Smoothed as in figure 2 of the paper, the correlation is {number(found.smoothed, 2)}"
            "; but smoothing alone raises it: of the same rewards in random order, one in twenty "
            f"exceeds {number(found.by_chance, 2)}. The paper prints {', '.join(PAPER)}, and does "
            "not say whether of the raw or of the smoothed rewards.",
        ),
        _figure_2(found, reward, settings),
    )


def _figure_2(found: Trend, reward: Change | None, settings: Report) -> Html:
    """The trend, and what chance does to it: the numbers behind the paper's figure 2."""
    around = f"{number(found.low, 2)} to {number(found.high, 2)}"
    rows = [
        (
            "Spearman of step and mean reward",
            number(found.raw, 2),
            "too few steps" if math.isnan(found.low) else around,
            f"p = {found.p:.2g}",
        ),
        (
            f"the same, smoothed with span {settings.span}",
            number(found.smoothed, 2),
            "–",
            f"5% exceed {number(found.by_chance, 2)}",
        ),
    ]
    if reward:
        signed = number(reward.difference, digits_of(reward), signed=True)
        rows.append(("reward on fixed prompts, after less before", signed, interval(reward), "–"))
    return table(
        f"Figure 2 in numbers; the {confident(settings.confidence)} interval of the correlation is "
        "for runs with the same trend and scatter as this one",
        ["", "this run", "interval", "in random order"],
        rows,
    )


def _answers(run: ModelRun, wanted: int) -> list[Html]:
    """Prompts with their answers before and after PPO."""
    return [
        card(before.instruction, [*_fields("before", before), *_fields("after", after)])
        for before, after in spread(run.answers, wanted)
    ]


def _fields(when: str, answer: Answer) -> list[tuple[str, str | None]]:
    reward = (f"{when}: reward", safe(number(answer.reward)))
    if answer.output is None:
        return [(f"{when}: not parsed", answer.completion), reward]
    return [(f"{when}: input", answer.input), (f"{when}: output", answer.output), reward]
