"""The report: one page on what a run made, and the figures that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import NamedTuple

import pandas as pd

from refine_af.report.changes import Change, changes
from refine_af.report.claims import claims_section
from refine_af.report.figures import (
    Drawing,
    accepted_by_round,
    ratings_by_method,
    reward_by_step,
    score_by_size,
)
from refine_af.report.finished_run import ModelRun
from refine_af.report.methods import Compared, compared, rewards
from refine_af.report.overlap import overlap_numbers, overlap_section
from refine_af.report.pages import Html, navigation, page, paragraph, section, table
from refine_af.report.paper import Paper
from refine_af.report.paper_tables import paper_section, table_2_numbers, table_3_numbers
from refine_af.report.ratings import ratings_section
from refine_af.report.scores import largest_cells, scores_section, scores_sentence
from refine_af.report.stages import instances_section, pool_section
from refine_af.report.summaries import cell_means, parsed_counts
from refine_af.report.training import ppo_section, reward_sentence
from refine_af.report.wording import counted, number, share
from refine_af.settings.overlap import OverlapBounds
from refine_af.settings.ratings import Summary
from refine_af.settings.report import Report

TITLE = "What this run of REFINE-AF made"
LEAD = (
    "Seeds become instructions, reinforcement learning from automated feedback teaches the model "
    "to write instances of them, and models tuned on the instances are evaluated zero-shot. Every "
    "number on this page was computed from the files of this run."
)


SECTIONS = {  # of a model
    "instructions": "Instructions",
    "ppo": "Training on feedback",
    "instances": "Instances",
    "overlap": "Overlap",
    "superni": "Super-NI",
    "ratings": "Ratings",
}


class Settings(NamedTuple):
    """The sections of config.yaml that the page tells of."""

    report: Report
    overlap: OverlapBounds
    ratings: Summary


class Findings(NamedTuple):
    """One model's differences: before and after PPO, and refine-af against self-instruct."""

    changes: dict[str, Change | None]
    rewards: dict[str, Change]
    compared: list[Compared]


class Drawings(NamedTuple):
    """One model's figures."""

    pool: Drawing
    ppo: Drawing
    scores: Drawing
    ratings: Drawing | None


def drawings(run: ModelRun, settings: Report) -> Drawings:
    rated = run.ratings if run.ratings and run.ratings.methods("ratings") else None
    return Drawings(
        pool=accepted_by_round(run.name, run.rounds),
        ppo=reward_by_step(run.name, run.steps, settings.span, run.algorithm),
        scores=score_by_size(run.name, run.scores),
        ratings=ratings_by_method(run.name, rated) if rated else None,
    )


def findings(run: ModelRun, settings: Report) -> Findings:
    return Findings(changes(run, settings), rewards(run, settings), compared(run, settings))


def numbers_of_tables(
    runs: Sequence[ModelRun], found: Mapping[str, Findings], paper: Paper, bounds: OverlapBounds
) -> dict[str, pd.DataFrame]:
    """What the page's tables show, under the names of files."""
    by_size = {name: each.compared for name, each in found.items()}
    numbers = {
        "table_2": table_2_numbers(runs, by_size, paper),
        "table_3": table_3_numbers(runs, paper),
    }
    for run in runs:
        rows = [{"name": name, **asdict(row)} for name, row in found[run.name].rewards.items()]
        columns = ["name", *(field.name for field in fields(Change))]
        numbers[f"rewards_{run.name}"] = pd.DataFrame(rows, columns=columns).round(6)
        numbers[f"overlap_{run.name}"] = overlap_numbers(run, bounds)
    return numbers


def report(
    runs: Sequence[ModelRun],
    found: Mapping[str, Findings],
    drawn: Sequence[Drawings],
    paper: Paper,
    settings: Settings,
) -> str:
    """The page as HTML; `drawn` are the runs' figures, in their order."""
    differences = {name: each.changes for name, each in found.items()}
    links = [("summary", "Summary"), *((run.name, run.name) for run in runs)]
    return page(
        TITLE,
        LEAD,
        [*links, ("paper", "The paper's tables"), ("limits", "What this shows")],
        _summary(runs, differences, settings.report),
        *(
            _model(run, found[run.name], figures, settings)
            for run, figures in zip(runs, drawn, strict=True)
        ),
        paper_section(runs, {name: each.compared for name, each in found.items()}, paper),
        claims_section(runs, differences),
    )


def _model(run: ModelRun, found: Findings, figures: Drawings, settings: Settings) -> Html:
    links = [(f"{run.name}-{identity}", name) for identity, name in SECTIONS.items()]
    return section(
        run.name,
        run.name,
        navigation(f"Sections of {run.name}", links),
        pool_section(run, settings.report, figures.pool),
        ppo_section(run, found.changes, settings.report, figures.ppo),
        instances_section(run, found.rewards, settings.report),
        overlap_section(run, settings.overlap, settings.report),
        scores_section(run, found.compared, settings.report, figures.scores),
        ratings_section(run, settings.ratings, figures.ratings),
    )


def _summary(
    runs: Sequence[ModelRun], found: Mapping[str, Mapping[str, Change | None]], settings: Report
) -> Html:
    columns = [_summary_column(run, found[run.name]) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    return section(
        "summary",
        "Summary",
        *(
            paragraph(
                f"{run.name}: the pool holds {counted(len(run.pool), 'instruction')}.",
                reward_sentence(found[run.name], settings),
                scores_sentence(run),
            )
            for run in runs
        ),
        table(
            "The run at a glance",
            ["", *(run.name for run in runs)],
            [(name, *(column.get(name, "–") for column in columns)) for name in names],
        ),
    )


def _summary_column(run: ModelRun, found: Mapping[str, Change | None]) -> dict[str, str]:
    answers, (before, after) = len(run.answers), parsed_counts(run)
    accepted, parsed = (int(run.rounds[name].sum()) for name in ("accepted", "parsed"))
    column = {
        "instructions in the pool": f"{len(run.pool):,}",
        "texts accepted into it": share(accepted, parsed),
        f"answers that parse, before {run.algorithm}": share(before, answers),
        f"answers that parse, after {run.algorithm}": share(after, answers),
    }
    reward = found["reward"]
    if reward:
        column[f"reward on fixed prompts, before {run.algorithm}"] = number(reward.before)
        column[f"reward on fixed prompts, after {run.algorithm}"] = number(reward.after)
    column["alarms of reward hacking"] = f"{len(run.alarms):,}" if run.alarms else "none"
    means = cell_means(run.scores)
    for method, size in largest_cells(run):
        tuned = f", {int(size):,} instructions" if size else ""
        column[f"ROUGE-L of {method}{tuned}"] = number(means[method, size]["rouge_l"], 2)
    column["ratings by people"] = f"{run.ratings.answers:,}" if run.ratings else "none yet"
    return column
