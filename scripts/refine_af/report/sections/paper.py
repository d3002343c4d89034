"""The paper's tables on the page: the run in their form, and the paper's numbers beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from refine_af.report.data_tables import table_5
from refine_af.report.differences import METHODS, Compared
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, below, details, join, paragraph, section, table, tag
from refine_af.report.published import CATEGORY_INSTANCES, TABLE_3_SIZE, Paper
from refine_af.report.spread import beside_the_papers
from refine_af.report.summaries import category_means, cell_name, sizes
from refine_af.report.wording import number, words
from refine_af.settings.report import Report

TABLE_2 = ("", *METHODS, "difference", "% tasks better")
CONTRADICTIONS = (
    "Llama-2-7B: table III's refine-af column averages to what table II prints for self-instruct, "
    "and its self-instruct column to a number that table II does not have. One of the two tables "
    "is shifted. Mistral-7B's columns miss table II too; Llama-2-13B's agree to the last digit.",
    "% tasks better: Llama-2-13B's three are whole numbers of the 119 tasks (53, 63, 79). "
    "Of Llama-2-7B's three, two are whole numbers of 132 keys (71, 85), which is the 119 tasks, "
    "the 12 categories and the mean over all: report.count_wins_over: paper counts so. The third "
    "is printed 66.66, where 88 of 132 would round to 66.67. Mistral-7B's fit neither.",
    "refine-af is not always above self-instruct: with Llama-2-13B and 5,000 instructions it "
    "scores lower (6.4488 against 6.5349), and is better on 44.54% of the tasks.",
    "More instructions do not always raise the score: self-instruct with Llama-2-13B falls from "
    "6.5349 to 6.5269 to 6.4446.",
    "refine-af leads in 10 of the 12 categories with Llama-2-7B, and in 8 with each of the others. "
    "The 63% to 66% of tasks in its summary are for 15,000 instructions alone.",
    "All scores lie near 6, where copying the output of a task's first demonstration gives 28.5. "
    "The likeliest cause is replies that do not stop; such scores are no target.",
)


def paper_section(
    runs: Sequence[ModelRun],
    compared: Mapping[str, Sequence[Compared]],
    paper: Paper,
    settings: Report,
) -> Html:
    """Tables II, III and V of the run beside the paper's, and what is wrong with these."""
    known = [run for run in runs if run.name in paper.models]
    return section(
        "paper",
        "The paper's tables, and this run",
        paragraph(_comparable(runs, known), beside_the_papers(runs, paper, settings)),
        table(
            "This run in the form of table II: zero-shot ROUGE-L",
            TABLE_2,
            _run_rows(runs, compared, paper),
        )
        if any(compared.values())
        else "",
        table("Table II as the paper prints it", TABLE_2, _paper_rows(paper)),
        *(_table_3_beside(run, paper) for run in known),
        details("Table III as the paper prints it, with 15,000 instructions", _table_3(paper)),
        table_5(runs, paper),
        _contradictions(paper),
    )


def table_2_numbers(
    runs: Sequence[ModelRun], compared: Mapping[str, Sequence[Compared]], paper: Paper
) -> pd.DataFrame:
    """A row a model and size of the run, with the paper's figures where it has them."""
    rows = []
    for run in runs:
        for row in compared[run.name]:
            printed = [paper.scores.get((run.name, row.size, name), math.nan) for name in METHODS]
            rows.append(
                {
                    "model": run.name,
                    "size": row.size,
                    "self_instruct": row.rouge_l.before,
                    "refine_af": row.rouge_l.after,
                    "difference": row.rouge_l.difference,
                    "low": row.low,
                    "high": row.high,
                    "low_same_tasks": row.rouge_l.low,
                    "high_same_tasks": row.rouge_l.high,
                    "p": row.p,
                    "better": row.wins.better,
                    "equal": row.wins.equal,
                    "worse": row.wins.worse,
                    "tasks_better": 100 * row.wins.share,
                    "tasks_better_low": 100 * row.wins.low,
                    "tasks_better_high": 100 * row.wins.high,
                    "paper_self_instruct": printed[0],
                    "paper_refine_af": printed[1],
                    "paper_tasks_better": paper.tasks_better.get((run.name, row.size), math.nan),
                }
            )
    return pd.DataFrame(rows).round(6)


def table_3_numbers(runs: Sequence[ModelRun], paper: Paper) -> pd.DataFrame:
    """A row a model, category and method at the largest size, with the paper's figure."""
    rows = []
    for run in runs:
        size = sizes(run.scores)[-1]
        cells = [(method, size) for method in METHODS if method in set(run.scores["method"])]
        means = category_means(run.scores, cells)
        for category, row in means.iterrows():
            for cell in cells:
                key = (run.name, str(category), cell[0])
                printed = paper.categories.get(key, math.nan) if size == TABLE_3_SIZE else math.nan
                rows.append(
                    {
                        "model": run.name,
                        "category": category,
                        "instances": int(row["instances"]),
                        "method": cell[0],
                        "size": size,
                        "rouge_l": row[cell_name(cell)],
                        "paper_rouge_l": printed,
                    }
                )
    return pd.DataFrame(rows).round(6)


def _comparable(runs: Sequence[ModelRun], known: Sequence[ModelRun]) -> str:
    """Which of the runs the paper's numbers can stand beside; `known` are of its backbones."""
    others = [run.name for run in runs if run not in known]
    if not known:
        return (
            "The paper's numbers are not comparable with this run's: it has none of the paper's "
            "backbones. They stand here so that a reader knows both."
        )
    also = f" {', '.join(others)} is none of the paper's backbones." if others else ""
    return (
        "Each row of this run that the paper has too is followed by what the paper prints, and by "
        f"how far the two are apart.{also}"
    )


def _run_rows(
    runs: Sequence[ModelRun], compared: Mapping[str, Sequence[Compared]], paper: Paper
) -> list[list[str]]:
    """A row a model and size; below it the paper's and how far the two are apart, if it has it."""
    rows = []
    for run in runs:
        for row in compared[run.name]:
            ours = [row.rouge_l.before, row.rouge_l.after, row.rouge_l.difference]
            better = 100 * row.wins.share
            rows.append(_row(f"{run.name}, {int(row.size):,}", ours, better))
            printed = _printed(paper, run.name, row.size)
            if not math.isnan(printed[0]):
                theirs = paper.tasks_better.get((run.name, row.size), math.nan)
                apart = [mine - their for mine, their in zip(ours, printed, strict=True)]
                rows.append(_row(below("the paper"), printed, theirs))
                rows.append(
                    _row(below("this run less the paper"), apart, better - theirs, signed=True)
                )
    return rows


def _printed(paper: Paper, model: str, size: str) -> list[float]:
    """Table II's two scores and their difference."""
    before, after = (paper.scores.get((model, size, name), math.nan) for name in METHODS)
    return [before, after, after - before]


def _paper_rows(paper: Paper) -> list[list[str]]:
    cells = dict.fromkeys((model, size) for model, size, _ in paper.scores)
    return [
        _row(
            f"{model}, {int(size):,}",
            _printed(paper, model, size),
            paper.tasks_better.get((model, size), math.nan),
        )
        for model, size in cells
    ]


def _row(name: str, scores: Sequence[float], better: float, *, signed: bool = False) -> list[str]:
    before, after, difference = scores
    percent = number(better, 2, signed=signed) + ("" if signed or math.isnan(better) else "%")
    return [
        name,
        number(before, 4, signed=signed),
        number(after, 4, signed=signed),
        number(difference, 4, signed=True),
        percent,
    ]


def _table_3_beside(run: ModelRun, paper: Paper) -> Html:
    """One model's categories at the size of table III, beside the paper's."""
    cells = [(method, TABLE_3_SIZE) for method in METHODS]
    if not set(cells) <= set(zip(run.scores["method"], run.scores["size"], strict=True)):
        return Html("")
    means = category_means(run.scores, cells)
    rows = []
    for category, row in means.iterrows():
        shown = [words(str(category))]
        for cell in cells:
            mine = float(row[cell_name(cell)])
            theirs = paper.categories.get((run.name, str(category), cell[0]), math.nan)
            shown += [number(mine, 2), number(theirs, 2), number(mine - theirs, 2, signed=True)]
        rows.append(shown)
    columns = [name for method in METHODS for name in (method, "paper", "apart")]
    paper_s = "" if run.sized_by == "instructions" else ", the paper's with as many instructions"
    caption = (
        f"{run.name} in the form of table III: ROUGE-L by category, with 15,000 {run.sized_by}"
        f"{paper_s}"
    )
    return table(caption, ["category", *columns], rows)


def _table_3(paper: Paper) -> Html:
    rows = [
        [
            words(category),
            f"{count:,}",
            *(
                number(paper.categories[model, category, method], 4)
                for model in paper.models
                for method in METHODS
            ),
        ]
        for category, count in CATEGORY_INSTANCES.items()
    ]
    columns = [f"{model}, {method}" for model in paper.models for method in METHODS]
    return table("ROUGE-L by category", ["category", "instances", *columns], rows)


def _contradictions(paper: Paper) -> Html:
    """Where the paper contradicts itself; the table shows it from the paper's own numbers."""
    rows = []
    for model in paper.models:
        for method in METHODS:
            average = paper.average(model, method)
            printed = paper.scores[model, TABLE_3_SIZE, method]
            apart = number(average - printed, 4, signed=True)
            rows.append([f"{model}, {method}", number(average, 4), number(printed, 4), apart])
    return join(
        paragraph("Where the paper's numbers contradict its text or each other:"),
        tag("ul", *(tag("li", entry) for entry in CONTRADICTIONS)),
        table(
            "Table III averaged over instances, which table II should print",
            ["", "table III", "table II", "apart"],
            rows,
        ),
    )
