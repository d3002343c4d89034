"""The summary on the page: the run at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refine_af.report.differences import Change, Compared
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, paragraph, section, table
from refine_af.report.spread import of_the_first, over_trainings, seeds_told
from refine_af.report.summaries import cell_means, cell_name, parsed_counts
from refine_af.report.trainings import spreads
from refine_af.report.wording import (
    counted,
    methods_sentence,
    number,
    p_value,
    reward_sentence,
    scores_sentence,
    share,
    sized,
)
from refine_af.settings.report import Report


def summary_section(
    runs: Sequence[ModelRun],
    found: Mapping[str, Mapping[str, Change | None]],
    compared: Mapping[str, Sequence[Compared]],
    settings: Report,
) -> Html:
    """In a few sentences a model, and in one table, what the sections below tell in full."""
    columns = [_column(run, found[run.name], compared[run.name], settings) for run in runs]
    names = dict.fromkeys(name for column in columns for name in column)
    return section(
        "summary",
        "Summary",
        *(
            paragraph(
                f"{run.name}: the pool holds {counted(len(run.pool), 'instruction')}.",
                reward_sentence(found[run.name], settings),
                of_the_first(run, "That reward is"),
                scores_sentence(run),
                methods_sentence(compared[run.name], settings),
                seeds_told(run),
            )
            for run in runs
        ),
        table(
            "The run at a glance",
            ["", *(run.name for run in runs)],
            [(name, *(column.get(name, "–") for column in columns)) for name in names],
        ),
    )


def _column(
    run: ModelRun,
    found: Mapping[str, Change | None],
    compared: Sequence[Compared],
    settings: Report,
) -> dict[str, str]:
    answers, (before, after) = len(run.answers), parsed_counts(run)
    accepted, parsed = (int(run.rounds[name].sum()) for name in ("accepted", "parsed"))
    column = {
        "instructions in the pool": f"{len(run.pool):,}",
        "items accepted into it": share(accepted, parsed),
        f"answers that parse, before {run.algorithm}": share(before, answers),
        f"answers that parse, after {run.algorithm}": share(after, answers),
    }
    reward = found["reward"]
    if reward:
        column[f"reward on fixed prompts, before {run.algorithm}"] = number(reward.before)
        column[f"reward on fixed prompts, after {run.algorithm}"] = number(reward.after)
    alarms = sum(len(each.alarms) for each in run.runs_of_ppo())
    column["alarms of reward hacking"] = f"{alarms:,}" if alarms else "none"
    trained = spreads(run, settings.confidence)
    for cell, figures in cell_means(run.scores).items():
        unit = run.sized_by.removesuffix("s" if cell[1] == "1" else "")
        tuned = f" {unit}" if cell[1] else ""
        score = over_trainings(trained[cell]) if tuned else number(figures["rouge_l"], 2)
        column[f"ROUGE-L of {cell_name(cell)}{tuned}"] = score
    for row in compared:
        apart = number(row.rouge_l.difference, 2, signed=True)
        name = f"refine-af less self-instruct, {sized(row.size, row.sized_by)}"
        column[name] = f"{apart}, {p_value(row.p)}"
    column["ratings by people"] = f"{run.ratings.answers:,}" if run.ratings else "none yet"
    return column
