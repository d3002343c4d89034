"""What stages 1 and 3 made, as sections of a page: every sentence follows from the numbers."""

from __future__ import annotations

from collections.abc import Mapping

from refine_af.report import examples
from refine_af.report.changes import Change
from refine_af.report.figures import Drawing
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, details, figure, join, paragraph, section, table
from refine_af.report.summaries import INSTANCE_COUNTS, POOL_COUNTS, dataset_figures, reasons
from refine_af.report.wording import (
    change_sentence,
    counted,
    digits_of,
    interval,
    number,
    share,
    words,
)
from refine_af.settings.report import Report


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
            f"the pool keeps {counted(len(run.pool), 'instruction')}{_waiting(run, accepted)}.",
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


def _waiting(run: ModelRun, accepted: int) -> str:
    """What was accepted beyond the largest size, if anything."""
    left = accepted - len(run.pool)
    return f", and {left:,} wait for a larger size" if left > 0 else ""


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


def instances_section(run: ModelRun, rewards: Mapping[str, Change], settings: Report) -> Html:
    """Stage 3: the instances of each method, with what was refused, table V's figures, rewards."""
    return section(
        f"{run.name}-instances",
        "Stage 3: instances",
        paragraph(*(_yield_sentence(run, method) for method in run.instances)),
        table(
            "Instances by method; words are parted by white space",
            ["", *run.instances],
            _instance_rows(run),
        ),
        _rewards(rewards, settings),
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


def _rewards(rewards: Mapping[str, Change], settings: Report) -> Html:
    """What the judges say of the instances, method against method."""
    if not rewards:
        return Html("")
    reward = rewards["reward"]
    counted_in = counted(reward.prompts, "instruction")
    what = (
        f"From self-instruct to refine-af, over {counted_in} with an instance of both, the reward"
    )
    return join(
        paragraph(change_sentence(reward, what=what, confidence=settings.confidence)),
        table(
            f"Mean reward of instances and its components, with the {100 * settings.confidence:g}% "
            "interval of the difference, paired on instructions",
            ["", "self-instruct", "refine-af", "difference", "interval", "instructions"],
            [
                (
                    words(name),
                    number(row.before),
                    number(row.after),
                    number(row.difference, digits_of(row), signed=True),
                    interval(row),
                    f"{row.prompts:,}",
                )
                for name, row in rewards.items()
            ],
        ),
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
