"""The report: one page on what a run made, and the figures that it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from refine_af.report.changes import Change, changes
from refine_af.report.claims import claims_section
from refine_af.report.figures import Drawing, accepted_by_round, reward_by_step, score_by_size
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, page, paragraph, section, table
from refine_af.report.scores import largest_cells, scores_section, scores_sentence
from refine_af.report.settings import Report
from refine_af.report.stages import instances_section, pool_section
from refine_af.report.summaries import cell_means, parsed_counts
from refine_af.report.training import ppo_section, reward_sentence
from refine_af.report.wording import counted, number, share

TITLE = "What this run of REFINE-AF made"
LEAD = (
    "Seeds become instructions, PPO from automated feedback teaches the model to write instances "
    "of them, and models tuned on the instances are evaluated zero-shot. Every number on this page "
    "was computed from the files of this run."
)


class Drawings(NamedTuple):
    """One model's figures."""

    pool: Drawing
    ppo: Drawing
    scores: Drawing


def drawings(run: ModelRun, settings: Report) -> Drawings:
    return Drawings(
        pool=accepted_by_round(run.name, run.rounds),
        ppo=reward_by_step(run.name, run.steps, settings.span),
        scores=score_by_size(run.name, run.scores),
    )


def report(runs: Sequence[ModelRun], drawn: Sequence[Drawings], settings: Report) -> str:
    """The page as HTML; `drawn` are the runs' figures, in their order."""
    found = {run.name: changes(run, settings) for run in runs}
    links = [("summary", "Summary"), *((run.name, run.name) for run in runs)]
    return page(
        TITLE,
        LEAD,
        [*links, ("limits", "What this shows")],
        _summary(runs, found, settings),
        *(
            _model(run, found[run.name], figures, settings)
            for run, figures in zip(runs, drawn, strict=True)
        ),
        claims_section(runs, found),
    )


def _model(
    run: ModelRun, found: Mapping[str, Change | None], figures: Drawings, settings: Report
) -> Html:
    return section(
        run.name,
        run.name,
        pool_section(run, settings, figures.pool),
        ppo_section(run, found, settings, figures.ppo),
        instances_section(run, settings),
        scores_section(run, settings, figures.scores),
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
        "answers that parse, before PPO": share(before, answers),
        "answers that parse, after PPO": share(after, answers),
    }
    reward = found["reward"]
    if reward:
        column["reward on fixed prompts, before PPO"] = number(reward.before)
        column["reward on fixed prompts, after PPO"] = number(reward.after)
    column["alarms of reward hacking"] = f"{len(run.alarms):,}" if run.alarms else "none"
    means = cell_means(run.scores)
    for method, size in largest_cells(run):
        tuned = f", {int(size):,} instructions" if size else ""
        column[f"ROUGE-L of {method}{tuned}"] = number(means[method, size]["rouge_l"], 2)
    return column
