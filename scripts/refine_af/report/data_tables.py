"""Tables IV and V, which tell of the data: the run in their form, beside what the paper prints."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from refine_af.report.finished_run import ModelRun
from refine_af.report.lengths import statistics
from refine_af.report.pages import Html, details, join, paragraph, table
from refine_af.report.published import STATISTICS, Paper
from refine_af.report.rated import QUESTIONS
from refine_af.report.wording import listed, number

PAPERS = "refine-af"  # the method whose data tables IV and V are of
ROWS = {  # of table V, with the decimals that the paper prints
    "instructions": ("instructions", 0),
    "instances": ("instances", 0),
    "empty_inputs": ("instances with empty input", 0),
    "instruction_words": ("mean words of an instruction", 2),
    "input_words": ("mean words of an input that is not empty", 2),
    "output_words": ("mean words of an output", 2),
}


def table_4_numbers(runs: Sequence[ModelRun], paper: Paper) -> pd.DataFrame:
    """A row a model, method and question that people answered of its instances, in percent.

    There is no row of a model whose instances nobody reviewed.
    """
    rows = []
    for run in runs:
        for method in run.ratings.methods("reviews") if run.ratings else ():
            assert run.ratings is not None
            reviews = run.ratings.count("reviews", method)
            for question in QUESTIONS:
                yes = run.ratings.count(f"{question} yes", method)
                printed = paper.reviews.get((run.name, question), math.nan)
                rows.append(
                    {
                        "model": run.name,
                        "method": method,
                        "question": question,
                        "reviews": reviews,
                        "yes": yes,
                        "percent": 100 * yes / reviews,
                        "paper_percent": printed if method == PAPERS else math.nan,
                    }
                )
    return pd.DataFrame(rows).round(6)


def table_4_sentence(paper: Paper) -> str:
    """What table IV prints of the paper's backbones."""
    asked = {
        "task": "of the instructions describe a valid task",
        "input": "of the inputs are appropriate",
        "output": "of the outputs are acceptable",
    }
    said = "; ".join(
        f"{listed([f'{paper.reviews[model, question]:g}' for model in paper.statistics])}% {what}"
        for question, what in asked.items()
    )
    return f"Table IV of the paper prints, for {listed(list(paper.statistics))}: {said}."


def table_5_numbers(runs: Sequence[ModelRun], paper: Paper) -> pd.DataFrame:
    """A row a model and method; the paper's values stand beside refine-af's."""
    rows = []
    for run in runs:
        for method in run.instances:
            printed = paper.statistics.get(run.name, {}) if method == PAPERS else {}
            beside = {f"paper_{name}": printed.get(name, math.nan) for name in STATISTICS}
            rows.append({"model": run.name, "method": method, **statistics(run, method), **beside})
    return pd.DataFrame(rows).round(6)


def table_5(runs: Sequence[ModelRun], paper: Paper) -> Html:
    """Each model in the form of table V, and the table as the paper prints it."""
    return join(
        paragraph(
            "Table V's averages are of words here, which white space parts, and in a script "
            "without any each letter is one: the paper does not say what it counts, and "
            "Self-Instruct's own table of this form counts words. The instructions are the pool's, "
            "which all methods share; the paper's instances are refine-af's."
        ),
        *(_beside(run, paper) for run in runs),
        details(
            "Table V as the paper prints it",
            table(
                "Statistics of the generated data",
                ["", *paper.statistics],
                [
                    [name, *(number(each[key], digits) for each in paper.statistics.values())]
                    for key, (name, digits) in ROWS.items()
                ],
            ),
        ),
    )


def _beside(run: ModelRun, paper: Paper) -> Html:
    """A model's statistics by method, and what the paper prints of it, if it does."""
    found = {method: statistics(run, method) for method in run.instances}
    printed = paper.statistics.get(run.name) if PAPERS in found else None
    rows = []
    for key, (name, digits) in ROWS.items():
        row = [name, *(number(each[key], digits) for each in found.values())]
        if printed:
            row.append(number(printed[key], digits))
            row.append(number(found[PAPERS][key] - printed[key], digits, signed=True))
        rows.append(row)
    beside = ["the paper", f"{PAPERS} less the paper"] if printed else []
    return table(f"{run.name} in the form of table V", ["", *found, *beside], rows)
