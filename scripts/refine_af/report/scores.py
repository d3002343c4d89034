"""Scores on Super-NI as a section of a page, and what may be said of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refine_af.report.changes import Change, score_changes
from refine_af.report.figures import Drawing
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, figure, join, paragraph, section, table
from refine_af.report.settings import Report
from refine_af.report.summaries import (
    Cell,
    Comparison,
    category_means,
    cell_means,
    cell_name,
    cells,
    comparisons,
    sizes,
)
from refine_af.report.wording import change_sentence, counted, number, share, words

METHODS = ("self-instruct", "refine-af")
BASELINES = {
    "base": "base is the untuned model.",
    "base-few-shot": "base-few-shot is the untuned model given the prompt of its own pretraining.",
}


def scores_section(run: ModelRun, settings: Report, drawing: Drawing) -> Html:
    """Super-NI: every cell, categories at the largest size, and method against method."""
    caption = "ROUGE-L against the number of instructions; a horizontal line is an untuned model."
    return section(
        f"{run.name}-superni",
        "Super-NI, zero-shot",
        _cells(run),
        figure(drawing.inline(), f"Line chart. {caption}", caption),
        _methods_compared(comparisons(run.scores)),
        _difference_by_size(score_changes(run, settings), settings),
        _categories(run),
        level=3,
    )


def _cells(run: ModelRun) -> Html:
    means = cell_means(run.scores)
    tasks = run.scores[run.scores["method"] == "base"]
    baselines = [cell for cell in means if not cell[1]]
    return join(
        paragraph(
            f"Means over {counted(int(tasks['instances'].sum()), 'instance')} of "
            f"{counted(len(tasks), 'task')}.",
            "They are the demo's held-out task families in Super-NI's file format, not Super-NI."
            if run.truth
            else "",
            scores_sentence(run),
            *(BASELINES.get(method, "") for method, _ in baselines),
        ),
        table(
            "Scores by method and number of instructions",
            ["", "ROUGE-L", "exact match", "words a reply", "ended by itself"],
            [
                (
                    cell_name(cell),
                    number(figures["rouge_l"], 2),
                    number(figures["exact_match"], 2),
                    number(figures["reply_words"], 1),
                    share(figures["eos_share"], 1),
                )
                for cell, figures in means.items()
            ],
        ),
    )


def largest_cells(run: ModelRun) -> list[Cell]:
    """The baselines and each method at the largest size."""
    largest = sizes(run.scores)[-1]
    return [cell for cell in cells(run.scores) if cell[1] in ("", largest)]


def scores_sentence(run: ModelRun) -> str:
    """The overall scores at the largest size."""
    means = cell_means(run.scores)
    said = [f"{number(means[cell]['rouge_l'], 2)} for {cell[0]}" for cell in largest_cells(run)]
    size = int(sizes(run.scores)[-1])
    return (
        f"With {size:,} instructions, zero-shot ROUGE-L is {', '.join(said[:-1])} and {said[-1]}."
    )


def _methods_compared(compared: Sequence[Comparison]) -> Html:
    if not compared:
        return paragraph("Only one method was run, so there is nothing to compare it with.")
    last = compared[-1]
    return join(
        paragraph(
            f"With {int(last.size):,} instructions refine-af scores higher than self-instruct on "
            f"{last.better:,} of {counted(last.tasks, 'task')} "
            f"({share(last.better, last.tasks)}), lower on {last.worse:,} and the same on "
            f"{last.equal:,}. These counts alone do not show that one is better.",
        ),
        table(
            "Tasks on which refine-af's ROUGE-L is above, equal to or below self-instruct's",
            ["instructions", "above", "equal", "below", "tasks", "% tasks better"],
            [
                (
                    f"{int(row.size):,}",
                    f"{row.better:,}",
                    f"{row.equal:,}",
                    f"{row.worse:,}",
                    f"{row.tasks:,}",
                    share(row.better, row.tasks),
                )
                for row in compared
            ],
        ),
    )


def _difference_by_size(found: Mapping[str, Change], settings: Report) -> Html:
    """How far the methods are apart over all instances, and how sure that is."""
    if not found:
        return Html("")
    size, last = list(found.items())[-1]
    what = f"From self-instruct to refine-af, with {int(size):,} instructions, ROUGE-L"
    return join(
        paragraph(
            change_sentence(last, what=what, confidence=settings.confidence),
            "The interval is a paired bootstrap over instances, as if each were drawn by itself: "
            "it is for other instances of these tasks, and too narrow for other tasks.",
        ),
        table(
            f"ROUGE-L of refine-af less that of self-instruct, with its "
            f"{100 * settings.confidence:g}% interval, paired on instances",
            ["instructions", *METHODS, "difference", "interval", "instances"],
            [
                (
                    f"{int(size):,}",
                    number(row.before, 2),
                    number(row.after, 2),
                    number(row.difference, 2, signed=True),
                    f"{number(row.low, 2)} to {number(row.high, 2)}",
                    f"{row.prompts:,}",
                )
                for size, row in found.items()
            ],
        ),
    )


def _categories(run: ModelRun) -> Html:
    wanted = largest_cells(run)
    means = category_means(run.scores, wanted)
    names = [cell_name(cell) for cell in wanted]
    return table(
        f"ROUGE-L by category with {int(sizes(run.scores)[-1]):,} instructions",
        ["category", "tasks", "instances", *(method for method, _ in wanted)],
        [
            (
                words(str(category)),
                f"{int(row['tasks']):,}",
                f"{int(row['instances']):,}",
                *(number(row[name], 2) for name in names),
            )
            for category, row in means.iterrows()
        ],
    )
