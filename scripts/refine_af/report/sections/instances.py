"""Stage 3 on the page: the instances of each method, what was refused, and their rewards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refine_af.report.differences import Change
from refine_af.report.distributions import POOL, at_most, lengths_by_part
from refine_af.report.drawing import Drawing, shown
from refine_af.report.finished_run import INSTANCE_COUNTS, ModelRun
from refine_af.report.lengths import statistics
from refine_af.report.pages import Html, card, details, join, paragraph, section, table
from refine_af.report.spread import of_the_first
from refine_af.report.summaries import evenly_spaced, reasons
from refine_af.report.wording import (
    change_sentence,
    confident,
    counted,
    digits_of,
    interval,
    number,
    share,
    words,
)
from refine_af.settings.report import Report


def instances_section(
    run: ModelRun, rewards: Mapping[str, Change], settings: Report, drawing: Drawing
) -> Html:
    """Each method's yield, table V's figures, what the judges say, and instances side by side."""
    return section(
        f"{run.name}_instances",
        "Stage 3: instances",
        paragraph(
            *(_yield_sentence(run, method) for method in run.instances),
            of_the_first(run, "All that is told here of refine-af is"),
        ),
        table(
            "Instances by method; words are parted by white space, and in a script without any "
            "each letter is one",
            ["", *run.instances],
            _instance_rows(run),
        ),
        shown(drawing, "Three histograms, one below the other", _lengths(run)),
        _rewards(rewards, settings),
        details(
            "Examples: instances of the same instruction by each method, evenly spaced",
            *_side_by_side(run, settings.examples),
        ),
        level=3,
    )


def _yield_sentence(run: ModelRun, method: str) -> str:
    instructions, tasks, parsed, kept = (
        int(run.counts[method][name].sum()) for name in INSTANCE_COUNTS
    )
    output_first = (
        f" {counted(tasks, 'instruction')} ({share(tasks, instructions)}) went for classification "
        "tasks, of which the output was asked first."
    )
    return (
        f"For {method}, {parsed:,} of {counted(instructions, 'reply', 'replies')} "
        f"({share(parsed, instructions)}) could be parsed and {counted(kept, 'instance')} kept."
        f"{output_first if tasks else ''}"
    )


def _lengths(run: ModelRun) -> str:
    """What one sees of figure 3."""
    found = lengths_by_part(run)
    parts = [_length(part, method, own) for (part, method), own in found.items() if own]
    return (
        "Share of the texts by their words (figure 3): instructions of the pool; inputs, where "
        f"there is one, and outputs, by method. Half of the texts have at most, and 9 in 10 at "
        f"most, as many words as these: {'; '.join(parts)}. At most one in a hundred of each lies "
        "beyond the right edge."
    )


def _length(part: str, method: str, own: Sequence[int]) -> str:
    of = f"{part}s of the pool" if method == POOL else f"{part}s of {method}"
    return f"{of} {number(at_most(own, 0.5), 0)} and {number(at_most(own, 0.9), 0)}"


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
            f"Mean reward of instances and its components, with the "
            f"{confident(settings.confidence)} interval of the difference, paired on instructions",
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
    found = [statistics(run, method) for method in methods]
    rejected = {method: reasons(counts[method], INSTANCE_COUNTS) for method in methods}
    named = dict.fromkeys(reason for method in methods for reason in rejected[method])
    names = {"instructions": "instructions", "parsed": "replies parsed", "kept": "instances kept"}
    if any(counts[method]["classification"].any() for method in methods):
        names["classification"] = "asked as classification tasks, output first"
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
        ["without input", *(share(each["empty_inputs"], each["instances"]) for each in found)],
        *(
            [name, *(number(each[key], 1) for each in found)]
            for key, name in {
                "instruction_words": "mean words: instruction",
                "input_words": "mean words: input, where there is one",
                "output_words": "mean words: output",
            }.items()
        ),
    ]


def _side_by_side(run: ModelRun, wanted: int) -> list[Html]:
    """Instructions that every method has an instance of, with the first of each method."""
    # Of several instances of an instruction the last one put in stays: in reverse, the first.
    first = [{row.instruction_id: row for row in reversed(rows)} for rows in run.instances.values()]
    shared = sorted(set.intersection(*map(set, first)))
    return [
        card(
            first[0][name].instruction,
            [
                (f"{rows[name].method}: {part}", getattr(rows[name], part))
                for rows in first
                for part in ("input", "output")
            ],
        )
        for name in evenly_spaced(shared, wanted)
    ]
