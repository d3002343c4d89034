"""What stages 1 to 3 made, as sections of a page: every sentence follows from the numbers."""

from __future__ import annotations

from collections.abc import Mapping

from refine_af.randomness import derived_seed
from refine_af.report import examples
from refine_af.report.figures import Drawing
from refine_af.report.finished_run import ModelRun, Truth
from refine_af.report.pages import Html, details, figure, join, paragraph, section, table
from refine_af.report.settings import Report
from refine_af.report.summaries import (
    INSTANCE_COUNTS,
    POOL_COUNTS,
    Change,
    dataset_figures,
    parsed_counts,
    reasons,
    trend,
)
from refine_af.report.wording import (
    change_sentence,
    counted,
    digits_of,
    interval,
    number,
    share,
    verdict,
    words,
)


def pool_section(run: ModelRun, settings: Report, drawing: Drawing) -> Html:
    """Stage 1: what became of the texts that the model wrote, round by round, with examples."""
    caption = "Share of each round's texts that the pool accepted."
    return section(
        f"{run.name}-instructions",
        "Stage 1: instructions",
        _fate_of_texts(run),
        _course_of_rounds(run),
        figure(drawing.inline(), f"Line chart. {caption}", caption),
        details(
            "Examples: accepted instructions, evenly spaced in the pool",
            *examples.accepted_texts(run, settings.examples),
        ),
        details(
            "Examples: rejected texts, the reasons in turn",
            *examples.rejected_texts(run, settings.examples),
        ),
        level=3,
    )


def _fate_of_texts(run: ModelRun) -> Html:
    requests, texts, accepted = (
        int(run.rounds[name].sum()) for name in ("requested", "parsed", "accepted")
    )
    rejected = reasons(run.rounds, POOL_COUNTS)
    most = next(iter(rejected), "")
    rows = [("accepted", accepted)]
    rows += [(f"rejected: {words(name)}", count) for name, count in rejected.items()]
    return join(
        paragraph(
            f"{counted(requests, 'request')} gave {counted(texts, 'text')}, of which "
            f"{accepted:,} ({share(accepted, texts)}) were accepted; "
            f"the pool keeps {counted(len(run.pool), 'instruction')}.",
            f"Most rejections, {rejected[most]:,} of {sum(rejected.values()):,}, "
            f"have the reason “{words(most)}”."
            if any(rejected.values())
            else "Nothing was rejected.",
        ),
        table(
            "What became of the texts",
            ["", "texts", "share"],
            [(name, f"{count:,}", share(count, texts)) for name, count in rows],
        ),
    )


def _course_of_rounds(run: ModelRun) -> Html:
    if len(run.rounds) == 1:
        return paragraph("There was one round.")
    first, last = (
        share(run.rounds["accepted"].iloc[row], run.rounds["parsed"].iloc[row]) for row in (0, -1)
    )
    return paragraph(
        f"The accepted share was {first} in the first round and {last} in the last of "
        f"{len(run.rounds):,}."
    )


def ppo_section(
    run: ModelRun, changes: Mapping[str, Change | None], settings: Report, drawing: Drawing
) -> Html:
    """Stage 2: the reward while training, and answers to the same prompts before and after."""
    caption = f"Mean reward of each PPO step, and its moving average of span {settings.span}."
    return section(
        f"{run.name}-ppo",
        "Stage 2: PPO from automated feedback",
        _before_and_after(run, changes, settings),
        _truth(run.truth) if run.truth else "",
        _course_of_training(run, settings),
        figure(drawing.inline(), f"Scatter plot with a line. {caption}", caption),
        details(
            "Examples: answers to the same prompt before and after, evenly spaced",
            *examples.answers(run, settings.examples),
        ),
        level=3,
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
            "Means on fixed prompts, with the paired bootstrap interval "
            f"({100 * settings.confidence:g}%) of the difference; the reward's components over "
            "prompts whose answers parsed both times",
            ["", "before", "after", "difference", "interval", "change", "prompts"],
            [_change_row(words(name), change) for name, change in changes.items()],
        ),
    )


def reward_sentence(changes: Mapping[str, Change | None], settings: Report) -> str:
    """What PPO did to the reward, as far as the interval permits to say it."""
    reward = changes["reward"]
    if reward is None:
        return ""
    what = f"The reward on {counted(reward.prompts, 'fixed prompt')}"
    return change_sentence(reward, what=what, confidence=settings.confidence)


def _change_row(name: str, change: Change | None) -> list[str]:
    if change is None:
        return [name, "–", "–", "–", "–", "–", "0"]
    return [
        name,
        number(change.before),
        number(change.after),
        number(change.difference, digits_of(change), signed=True),
        interval(change),
        verdict(change),
        f"{change.prompts:,}",
    ]


def _truth(truth: Mapping[str, Truth]) -> Html:
    before, after = truth["before"], truth["after"]
    return join(
        paragraph(
            f"Of the answers that parsed {share(before.junk, before.parsed)} were junk (evasions, "
            f"echoes, loops) before training and {share(after.junk, after.parsed)} after. Of "
            "those that an exact solver can check, whatever their reward, "
            f"{share(before.true, before.checked)} were true before and "
            f"{share(after.true, after.checked)} after."
        ),
        table(
            "Answers looked at without the reward",
            ["", "before", "after"],
            [
                (name, f"{getattr(before, name):,}", f"{getattr(after, name):,}")
                for name in ("prompts", "parsed", "junk", "checked", "true")
            ],
        ),
    )


def _course_of_training(run: ModelRun, settings: Report) -> Html:
    found = trend(
        run.steps["reward_mean"].to_list(),
        span=settings.span,
        draws=settings.resamples,
        seed=derived_seed(settings.seed, run.name, "trend"),
    )
    if found is None:
        return paragraph("Too few steps, or rewards all the same: there is no trend to compute.")
    return paragraph(
        f"Over {counted(len(run.steps), 'step')} the mean reward has a Spearman correlation of "
        f"{number(found.raw, 2)} with the step (one-sided permutation p = {found.p:.2g}).",
        "Smoothed as in figure 2 of the paper, the correlation is "
        f"{number(found.smoothed, 2)}; but smoothing alone raises it: of the same rewards in "
        f"random order, one in twenty exceeds {number(found.by_chance, 2)}.",
    )


def instances_section(run: ModelRun, settings: Report) -> Html:
    """Stage 3: the instances of each method, with what was refused and table V's figures."""
    return section(
        f"{run.name}-instances",
        "Stage 3: instances",
        paragraph(*(_yield_sentence(run, method) for method in run.instances)),
        table(
            "Instances by method; words are parted by white space",
            ["", *run.instances],
            _instance_rows(run),
        ),
        details(
            "Examples: instances of the same instruction by each method, evenly spaced",
            *examples.instances(run, settings.examples),
        ),
        level=3,
    )


def _yield_sentence(run: ModelRun, method: str) -> str:
    instructions, parsed, kept = (int(run.counts[method][name].sum()) for name in INSTANCE_COUNTS)
    return (
        f"For {method}, {parsed:,} of {counted(instructions, 'reply', 'replies')} "
        f"({share(parsed, instructions)}) could be parsed and {counted(kept, 'instance')} kept."
    )


def _instance_rows(run: ModelRun) -> list[list[str]]:
    counts, methods = run.counts, list(run.instances)
    figures = [dataset_figures(run.instances[method]) for method in methods]
    rejected = {method: reasons(counts[method], INSTANCE_COUNTS) for method in methods}
    named = dict.fromkeys(reason for method in methods for reason in rejected[method])
    names = {"instructions": "instructions", "parsed": "replies parsed", "kept": "instances kept"}
    return [
        *(
            [label, *(f"{int(counts[method][name].sum()):,}" for method in methods)]
            for name, label in names.items()
        ),
        *(
            [
                f"rejected: {words(name)}",
                *(f"{rejected[method].get(name, 0):,}" for method in methods),
            ]
            for name in named
        ),
        ["without input", *(share(each.empty_inputs, each.instances) for each in figures)],
        ["mean words: instruction", *(number(each.instruction_words, 1) for each in figures)],
        [
            "mean words: input, where there is one",
            *(number(each.input_words, 1) for each in figures),
        ],
        ["mean words: output", *(number(each.output_words, 1) for each in figures)],
    ]
