"""The summary on the page: the run at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refine_af.report.differences import Change
from refine_af.report.finished_run import ModelRun
from refine_af.report.pages import Html, paragraph, section, table
from refine_af.report.summaries import cell_means, largest_cells, parsed_counts
from refine_af.report.wording import counted, number, reward_sentence, scores_sentence, share
from refine_af.settings.report import Report


def summary_section(
    runs: Sequence[ModelRun], found: Mapping[str, Mapping[str, Change | None]], settings: Report
) -> Html:
    """In a sentence or two a model, and in one table, what the sections below tell in full."""
    columns = [_column(run, found[run.name]) for run in runs]
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


def _column(run: ModelRun, found: Mapping[str, Change | None]) -> dict[str, str]:
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
    column["alarms of reward hacking"] = f"{len(run.alarms):,}" if run.alarms else "none"
    means = cell_means(run.scores)
    for method, size in largest_cells(run.scores):
        tuned = f", {int(size):,} instructions" if size else ""
        column[f"ROUGE-L of {method}{tuned}"] = number(means[method, size]["rouge_l"], 2)
    column["ratings by people"] = f"{run.ratings.answers:,}" if run.ratings else "none yet"
    return column
