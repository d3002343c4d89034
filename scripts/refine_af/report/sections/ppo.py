"""Stage 2 on the page: what training on feedback did."""

from __future__ import annotations

from collections.abc import Mapping

from refine_af.records.fixed_prompts import Answer
from refine_af.report.course import course_of_training
from refine_af.report.curves import ends, measured
from refine_af.report.differences import Change
from refine_af.report.drawing import Drawing, shown
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import (
    Html,
    card,
    details,
    join,
    paragraph,
    safe,
    said,
    section,
    table,
    tag,
)
from refine_af.report.published import Paper
from refine_af.report.spread import ppo_over_seeds
from refine_af.report.summaries import evenly_spaced, parsed_counts
from refine_af.report.wording import (
    CHANGE_COLUMNS,
    change_row,
    confident,
    counted,
    listed,
    number,
    reward_sentence,
    share,
    weights_sentence,
    words,
)
from refine_af.settings.report import Report
from refine_af.settings.reward import Weights


def ppo_section(
    run: ModelRun,
    changes: Mapping[str, Change | None],
    weights: Weights,
    settings: Report,
    drawings: tuple[Drawing, Drawing | None],
    paper: Paper,
    checked: Html,
) -> Html:
    """Alarms, answers to the same prompts before and after, and the reward while training.

    `drawings` are that of the reward, and those of all else that the steps measured. `checked` is
    what is known of the answers without the reward; empty where nothing is.
    """
    caption = (
        f"Mean reward of each {run.algorithm} step, and its moving average of span {settings.span} "
        "beside that of the replies that could be parsed; below, the share of these."
    )
    reward, curves = drawings
    return section(
        f"{run.name}_ppo",
        f"Stage 2: {run.algorithm} from automated feedback",
        _ablation(run.algorithm),
        ppo_over_seeds(run, settings),
        _alarms(run),
        _before_and_after(run, changes, weights, settings),
        checked,
        course_of_training(run, changes["reward"], settings, paper),
        shown(reward, "Scatter plot with a line", caption),
        _curves(run, curves, settings) if curves else Html(""),
        details(
            "Examples: answers to the same prompt before and after, evenly spaced",
            *_answers(run, settings.examples),
        ),
        level=3,
    )


def _curves(run: ModelRun, drawing: Drawing, settings: Report) -> Html:
    """What else was measured at every step, and how far it went from the first to the last."""
    count, first, last = ends(run.steps)
    labels = measured(run.steps)
    caption = (
        f"What each {run.algorithm} step measured, and a moving average of span {settings.span}: "
        f"{listed(list(labels.values()))}."
    )
    return join(
        shown(drawing, "Scatter plots with a line", caption),
        table(
            f"Means over the first and the last {counted(count, 'step')}; KL is to the reference, "
            "of a whole reply, entropy of a token; components are of replies that parsed",
            ("", "first", "last"),
            [
                (label, number(first[column].mean()), number(last[column].mean()))
                for column, label in labels.items()
            ],
        ),
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
    run: ModelRun, changes: Mapping[str, Change | None], weights: Weights, settings: Report
) -> Html:
    answers, (before, after) = len(run.answers), parsed_counts(run)
    return join(
        paragraph(
            reward_sentence(changes, settings),
            weights_sentence(changes, weights, settings),
            f"Of {counted(answers, 'answer')}, {before:,} ({share(before, answers)}) could be "
            f"parsed before training and {after:,} ({share(after, answers)}) after.",
        ),
        table(
            f"Means on fixed prompts, with the {confident(settings.confidence)} interval of the "
            "difference, paired on prompts; the last rows, from the reward where both parsed on, "
            "over prompts whose answers parsed both times",
            CHANGE_COLUMNS,
            [change_row(words(name), row) for name, row in changes.items()],
        ),
    )


def _answers(run: ModelRun, wanted: int) -> list[Html]:
    """Prompts with their answers before and after PPO."""
    return [
        card(before.instruction, [*_fields("before", before), *_fields("after", after)])
        for before, after in evenly_spaced(run.answers, wanted)
    ]


def _fields(when: str, answer: Answer) -> list[tuple[str, str | None]]:
    reward = (f"{when}: reward", safe(number(answer.reward)))
    if answer.output is None:
        return [(f"{when}: not parsed", answer.completion), reward]
    return [(f"{when}: input", answer.input), (f"{when}: output", answer.output), reward]
