"""Super-NI on the page: the scores, and what may be said of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from refine_af.metrics.significance import Wins
from refine_af.report.comparison import difference_by_size
from refine_af.report.differences import Compared
from refine_af.report.drawing import Drawing, shown
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, join, paragraph, section, table
from refine_af.report.published import Paper
from refine_af.report.scores_by_size import caption
from refine_af.report.spread import cells_over_trainings, seeds_told
from refine_af.report.summaries import (
    Cell,
    category_means,
    cell_means,
    cell_name,
    largest_cells,
    sizes,
)
from refine_af.report.wording import (
    confident,
    counted,
    number,
    scores_sentence,
    share,
    sized,
    words,
)
from refine_af.settings.report import Report

COPIED = {
    "copy-demonstration": "the output of the task's first demonstration",
    "copy-input": "the input",
    "empty": "nothing",
}
BASELINES = {
    "base": "base is the untuned model.",
    "base-first-line": "base-first-line is the same, each reply cut after its first line.",
    "base-few-shot": "base-few-shot is the untuned model given the prompt of its own pretraining, "
    "with three demonstrations.",
}


def superni_section(
    run: ModelRun,
    compared: Sequence[Compared],
    settings: Report,
    drawing: Drawing,
    paper: Paper,
    remark: str,
) -> Html:
    """Every cell, method against method, and categories at the largest size.

    `remark` is what else a reader must know of sizes and tasks.
    """
    return section(
        f"{run.name}_superni",
        "Super-NI, zero-shot",
        _cells(run, remark),
        shown(drawing, "Line chart", caption(run, paper, settings)),
        difference_by_size(compared, settings, seeds_told(run)),
        cells_over_trainings(run, settings),
        _methods_compared(compared, settings),
        _categories(run),
        level=3,
    )


def _cells(run: ModelRun, remark: str) -> Html:
    means = cell_means(run.scores)
    tasks = run.scores[run.scores["method"] == "base"]
    baselines = [cell for cell in means if not cell[1]]
    return join(
        paragraph(
            f"Means over {counted(int(tasks['instances'].sum()), 'instance')} of "
            f"{counted(len(tasks), 'task')}.",
            remark,
            scores_sentence(run),
            *(BASELINES.get(method, "") for method, _ in baselines),
            _no_model_sentence(means),
        ),
        table(
            f"Scores by method and number of {run.sized_by}",
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


def _no_model_sentence(means: Mapping[Cell, Mapping[str, float]]) -> str:
    """What can be scored without any model, which tells how little a score may mean."""
    said = [
        f"{number(means[name, '']['rouge_l'], 2)} for {name}, whose answer is {copied}"
        for name, copied in COPIED.items()
        if (name, "") in means
    ]
    return f"What takes no model scores {'; '.join(said)}." if said else ""


def _methods_compared(compared: Sequence[Compared], settings: Report) -> Html:
    """The tasks that each method wins, with ties apart, size by size."""
    if not compared:
        return paragraph("Only one method was run, so there is nothing to compare it with.")
    size, last = sized(compared[-1].size, compared[-1].sized_by), compared[-1].wins
    only_tasks = settings.count_wins_over == "tasks"
    keys = "tasks" if only_tasks else "tasks, categories and the mean over all"
    return join(
        paragraph(
            f"With {size} refine-af scores higher than self-instruct on "
            f"{last.better:,} of {last.keys:,} {keys} ({share(last.better, last.keys)}, "
            f"{confident(settings.confidence)} interval {_shares(last)}), lower on "
            f"{last.worse:,} and the same on {last.equal:,}.",
            "The interval is a hierarchical bootstrap: of tasks, then of instances within each. "
            "It is for other tasks and instances of the kind, as many as here, and for these "
            "trainings alone.",
        ),
        table(
            f"{keys.capitalize()} on which refine-af's ROUGE-L is above, equal to or below "
            "self-instruct's",
            [compared[-1].sized_by, "above", "equal", "below", "all", "% tasks better", "interval"],
            [
                (
                    f"{int(row.size):,}",
                    f"{row.wins.better:,}",
                    f"{row.wins.equal:,}",
                    f"{row.wins.worse:,}",
                    f"{row.wins.keys:,}",
                    share(row.wins.better, row.wins.keys),
                    _shares(row.wins),
                )
                for row in compared
            ],
        ),
    )


def _shares(won: Wins) -> str:
    """The interval of the share of tasks won."""
    if math.isnan(won.low):
        return "–"
    return f"{100 * won.low:.1f}% to {100 * won.high:.1f}%"


def _categories(run: ModelRun) -> Html:
    largest = [cell for cell in largest_cells(run.scores) if cell[0] != "empty"]
    wanted = sorted(largest, key=lambda cell: not cell[1])  # the methods first
    means = category_means(run.scores, wanted)
    names = [cell_name(cell) for cell in wanted]
    return table(
        f"ROUGE-L by category with {sized(sizes(run.scores)[-1], run.sized_by)}",
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
