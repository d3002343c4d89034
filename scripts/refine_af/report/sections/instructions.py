"""Stage 1 on the page: what became of the items in the replies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from statistics import fmean

from refine_af.records.instructions import RejectedInstruction
from refine_af.report.distributions import at_most, with_references
from refine_af.report.drawing import Drawing, shown
from refine_af.report.finished_run import POOL_COUNTS, ModelRun
from refine_af.report.pages import (
    Html,
    card,
    details,
    join,
    paragraph,
    safe,
    section,
    table,
)
from refine_af.report.published import Paper
from refine_af.report.summaries import evenly_spaced, reasons
from refine_af.report.wording import counted, number, share, words
from refine_af.settings.report import Report

LITTLE = 0.3  # of a ROUGE-L that says little
SEEDS = "a seed (figure 4)"
REFERENCES = "an instruction of the references (figure 5)"


def instructions_section(
    run: ModelRun,
    settings: Report,
    drawing: Drawing,
    seeds: Drawing,
    references: Drawing | None,
    paper: Paper,
) -> Html:
    """What became of the items: in all, round by round, and examples of both fates; how near the
    instructions are to `seeds` and, where they were compared with some, to `references`."""
    caption = "Share of each round's items that the pool accepted."
    return section(
        f"{run.name}_instructions",
        "Stage 1: instructions",
        _fate_of_items(run),
        _course_of_rounds(run),
        shown(drawing, "Line chart", caption),
        shown(seeds, "Histogram", _nearness([row.seed_rouge_l for row in run.neighbours], SEEDS)),
        _references(run, references, paper),
        details(
            "Examples: accepted instructions, evenly spaced in the pool",
            *_accepted(run, settings.examples),
        ),
        details(
            "Examples: rejected items, the reasons in turn",
            *_rejected(run, settings.examples),
        ),
        level=3,
    )


def _nearness(found: Sequence[float], what: str) -> str:
    """What one sees of figures 4 and 5."""
    little = sum(value < LITTLE for value in found)
    return (
        f"Share of the instructions by their highest ROUGE-L with {what}. Of "
        f"{counted(len(found), 'instruction')} the median is {number(at_most(found, 0.5))}, the "
        f"90th percentile {number(at_most(found, 0.9))} and the highest {number(max(found))}; "
        f"{little:,} ({share(little, len(found))}) have less than {number(LITTLE, 1)}."
    )


def _references(run: ModelRun, drawing: Drawing | None, paper: Paper) -> Html:
    """Figure 5, or why there is none."""
    if drawing is None:
        return paragraph(
            "How near the instructions are to a set of references, as in figure 5 of the paper, "
            "was not asked for: neighbours.references is null in config.yaml."
        )
    found = with_references(run)
    mean, printed = fmean(found), paper.nearest_reference
    compared = (
        f"The mean is {number(mean, 2)}. The paper prints approximately {number(printed, 2)} for "
        f"its three backbones together: this run less the paper "
        f"{number(mean - printed, 2, signed=True)}."
    )
    return shown(drawing, "Histogram", f"{_nearness(found, REFERENCES)} {compared}")


def _fate_of_items(run: ModelRun) -> Html:
    requests, items, accepted = (
        int(run.rounds[name].sum()) for name in ("requested", "parsed", "accepted")
    )
    rejected = reasons(run.rounds, POOL_COUNTS)
    most = next(iter(rejected), "")
    rows = [("accepted", accepted)]
    rows += [(f"rejected: {words(name)}", count) for name, count in rejected.items()]
    return join(
        paragraph(
            f"{counted(requests, 'request')} gave {counted(items, 'item')}, of which "
            f"{accepted:,} ({share(accepted, items)}) were accepted; "
            f"the pool keeps {counted(len(run.pool), 'instruction')}{_waiting(run, accepted)}.",
            f"Most rejections, {rejected[most]:,} of {sum(rejected.values()):,}, "
            f"have the reason “{words(most)}”."
            if any(rejected.values())
            else "Nothing was rejected.",
            *_ended_early(run, requests, items),
        ),
        table(
            "What became of the items",
            ["", "items", "share"],
            [(name, f"{count:,}", share(count, items)) for name, count in rows],
        ),
    )


def _ended_early(run: ModelRun, requests: int, items: int) -> list[str]:
    """What ending replies early spared, where any were."""
    cut, unwritten, dropped, tokens = (
        int(run.rounds[name].sum()) for name in ("cut", "unwritten", "dropped", "tokens")
    )
    if not cut:
        return []
    told = f"Of {counted(requests, 'reply', 'replies')} {cut:,} ({share(cut, requests)}) ended "
    told += "early: their items said again what was there, or one of them looped."
    if unwritten and items:
        saved = round(unwritten * tokens / items, -1)
        told += (
            f" {counted(unwritten, 'item')} could have followed in these: at the "
            f"{number(tokens / items, 1)} tokens that an item took, about {saved:,.0f} tokens were "
            f"not written, beside {tokens:,} that were."
        )
    if dropped:
        told += f" {counted(dropped, 'character')} that a server wrote all the same were dropped."
    return [told]


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


def _accepted(run: ModelRun, wanted: int) -> list[Html]:
    """Instructions of the pool, each with the text nearest to it; of a seed its id is shown."""
    texts = {row.id: row.instruction for row in run.pool}
    return [
        card(
            row.instruction,
            [
                ("nearest", texts.get(row.nearest, row.nearest)),
                ("ROUGE-L to it", safe(number(row.rouge_l, 2))),
            ],
        )
        for row in evenly_spaced(run.pool, wanted)
    ]


def _rejected(run: ModelRun, wanted: int) -> list[Html]:
    return [
        card(row.text, [("reason", words(row.reason))]) for row in _in_turn(run.rejected, wanted)
    ]


def _in_turn(rejected: Sequence[RejectedInstruction], wanted: int) -> list[RejectedInstruction]:
    """The first item of each reason, then the second of each, up to `wanted`."""
    groups: dict[str, list[RejectedInstruction]] = {}
    for row in rejected:
        groups.setdefault(row.reason, []).append(row)
    turns = chain.from_iterable(zip_longest(*groups.values()))
    return [row for row in turns if row is not None][:wanted]
