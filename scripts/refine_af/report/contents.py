"""The report: one page on what a run made, and the figures that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import pandas as pd

from refine_af.records.subsets import in_words
from refine_af.report.account import Account
from refine_af.report.curves import curves_by_step, loss_by_epoch
from refine_af.report.data_tables import table_4_numbers, table_5_numbers
from refine_af.report.demo import Truths
from refine_af.report.distributions import (
    figure_5_numbers,
    lengths_of_texts,
    nearest_references,
    nearest_seeds,
    with_references,
)
from refine_af.report.drawing import Drawing
from refine_af.report.figures import accepted_by_round, ratings_by_method, reward_by_step
from refine_af.report.findings import Findings, change_numbers
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, navigation, page, section
from refine_af.report.published import Paper
from refine_af.report.scores_by_size import score_by_size
from refine_af.report.sections import demo
from refine_af.report.sections.cost import cost_section
from refine_af.report.sections.diversity import diversity_section
from refine_af.report.sections.instances import instances_section
from refine_af.report.sections.instructions import instructions_section
from refine_af.report.sections.limits import limits_section
from refine_af.report.sections.overlap import overlap_numbers, overlap_section
from refine_af.report.sections.paper import paper_section, table_2_numbers, table_3_numbers
from refine_af.report.sections.ppo import ppo_section
from refine_af.report.sections.provenance import provenance_section
from refine_af.report.sections.ratings import ratings_section
from refine_af.report.sections.right_answers import right_answers_section
from refine_af.report.sections.sft import sft_section
from refine_af.report.sections.summary import summary_section
from refine_af.report.sections.superni import superni_section
from refine_af.report.trainings import training_numbers
from refine_af.report.verb_ring import verb_ring
from refine_af.settings.overlap import OverlapBounds
from refine_af.settings.ratings import Summary
from refine_af.settings.report import Report
from refine_af.settings.reward import Weights
from refine_af.settings.subsets import Subsets

TITLE = "What this run of REFINE-AF made"
LEAD = (
    "Seeds become instructions, reinforcement learning from automated feedback teaches the model "
    "to write instances of them, and models tuned on the instances are evaluated zero-shot. Every "
    "number on this page was computed from the files of this run."
)
# The sections of a model, each under its id: the model's name, a dash and what stands here. The
# module of a section has the name of its id, without the model's.
SECTIONS = {
    "instructions": "Instructions",
    "diversity": "Verbs and nouns",
    "ppo": "Training on feedback",
    "instances": "Instances",
    "overlap": "Overlap",
    "sft": "Fine-tuning",
    "superni": "Super-NI",
    "ratings": "Ratings",
}
CHECKED = {"right_answers": "Right answers"}  # only where a rule checks the replies
# The sections below the models'. No model's name has an underscore, and each of their ids has.
LAST = {
    "paper": "The paper's tables",
    "limits": "What this shows",
    "cost": "Cost",
    "provenance": "Provenance",
}


class Settings(NamedTuple):
    """The sections of config.yaml that the page tells of."""

    report: Report
    weights: Weights
    overlap: OverlapBounds
    subsets: Subsets
    ratings: Summary


class Drawings(NamedTuple):
    """One model's figures."""

    pool: Drawing
    seeds: Drawing
    references: Drawing | None
    lengths: Drawing
    ppo: Drawing
    curves: Drawing | None
    sft: Drawing
    scores: Drawing
    ratings: Drawing | None
    diversity: Drawing | None


def drawings(run: ModelRun, settings: Report, paper: Paper) -> Drawings:
    """The figures of a model's sections; one of ratings only where people rated replies, one of
    references only where instructions were compared with some, one of pairs where there are some.
    """
    parsed = run.diversity if run.diversity and len(run.diversity.pairs) else None
    rated = run.ratings if run.ratings and run.ratings.methods("ratings") else None
    return Drawings(
        pool=accepted_by_round(run),
        seeds=nearest_seeds(run),
        references=nearest_references(run, paper),
        lengths=lengths_of_texts(run),
        ppo=reward_by_step(run, settings.span),
        curves=curves_by_step(run, settings.span),
        sft=loss_by_epoch(run, settings.span),
        scores=score_by_size(run, paper, settings),
        ratings=ratings_by_method(run, rated) if rated else None,
        diversity=verb_ring(run, parsed.pairs, settings.verbs, settings.nouns) if parsed else None,
    )


def numbers_of_tables(
    runs: Sequence[ModelRun], found: Mapping[str, Findings], paper: Paper, settings: Settings
) -> dict[str, pd.DataFrame]:
    """What the page's tables show, under the names of files, to six decimals."""
    by_size = {name: each.compared for name, each in found.items()}
    numbers = {
        "table_2": table_2_numbers(runs, by_size, paper),
        "table_3": table_3_numbers(runs, paper),
        "table_5": table_5_numbers(runs, paper),
    }
    if any(run.ratings and run.ratings.methods("reviews") for run in runs):
        numbers["table_4"] = table_4_numbers(runs, paper)
    if any(map(with_references, runs)):
        numbers["figure_5"] = figure_5_numbers(runs, paper)
    for run in runs:
        numbers[f"trainings_{run.name}"] = training_numbers(run, settings.report.confidence)
        numbers[f"answers_{run.name}"] = change_numbers(found[run.name].changes)
        numbers[f"rewards_{run.name}"] = change_numbers(found[run.name].rewards)
        numbers[f"overlap_{run.name}"] = overlap_numbers(run, settings.overlap)
    return numbers


def report(
    runs: Sequence[ModelRun],
    found: Mapping[str, Findings],
    drawn: Sequence[Drawings],
    paper: Paper,
    settings: Settings,
    truths: Mapping[str, Truths],
    right: pd.DataFrame | None,
    account: Account,
) -> str:
    """The page as HTML; `drawn` are in the runs' order, `found` and `truths`, if any, by model.

    `right` counts right replies, where a rule checks them.
    """
    differences = {name: each.changes for name, each in found.items()}
    by_size = {name: each.compared for name, each in found.items()}
    models = [(f"{run.name}_model", run.name) for run in runs]
    last = [*({} if right is None else CHECKED).items(), *LAST.items()]
    return page(
        TITLE,
        LEAD,
        [("summary", "Summary"), *models, *last],
        summary_section(runs, differences, by_size, settings.report),
        *(
            _model(run, found[run.name], figures, settings, paper, truths.get(run.name))
            for run, figures in zip(runs, drawn, strict=True)
        ),
        right_answers_section(right),
        paper_section(runs, by_size, paper, settings.report),
        limits_section(
            demo.claims(runs, truths, differences, settings.report),
            demo.limits(runs, truths, by_size, settings.report),
            runs,
        ),
        cost_section([run.name for run in runs], account),
        provenance_section(account),
    )


def _model(
    run: ModelRun,
    found: Findings,
    figures: Drawings,
    settings: Settings,
    paper: Paper,
    truths: Truths | None,
) -> Html:
    remarks = demo.remarks(truths, settings.report)
    links = [(f"{run.name}_{identity}", name) for identity, name in SECTIONS.items()]
    return section(
        f"{run.name}_model",
        run.name,
        navigation(f"Sections of {run.name}", links),
        instructions_section(
            run, settings.report, figures.pool, figures.seeds, figures.references, paper
        ),
        diversity_section(run, paper, settings.report, figures.diversity, remarks.diversity),
        ppo_section(
            run,
            found.changes,
            settings.weights,
            settings.report,
            (figures.ppo, figures.curves),
            paper,
            remarks.ppo,
        ),
        instances_section(run, found.rewards, settings.report, figures.lengths),
        overlap_section(run, settings.overlap, settings.report, remarks.overlap),
        sft_section(run, settings.report, figures.sft),
        superni_section(
            run,
            found.compared,
            settings.report,
            figures.scores,
            paper,
            " ".join([*filter(None, [remarks.superni]), in_words(settings.subsets)]),
        ),
        ratings_section(run, settings.ratings, figures.ratings, paper),
    )
