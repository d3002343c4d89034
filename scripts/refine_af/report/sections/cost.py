"""What the run cost, on the page: hours, memory and tokens of every stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from refine_af.report.account import Account, total
from refine_af.report.pages import Html, paragraph, section, table
from refine_af.report.wording import counted, number

STAGES = {
    "instructions": "stage 1: instructions",
    "neighbours": "nearest seeds and references",
    "diversity": "verbs and nouns",
    "ppo": "stage 2: training on feedback",
    "instances": "stage 3: instances",
    "overlap": "overlap",
    "sft": "fine-tuning",
    "superni": "Super-NI",
    "users": "user-oriented instructions",
}
# Paper III-A, of one A100: "approximately 20 days to generate 15K instructions", and "none of the
# subsequent phases require more than 120 hours".
PAPER_HOURS = {"instructions": "about 480"}
PAPER_HOURS |= dict.fromkeys(("ppo", "instances", "sft", "superni", "users"), "at most 120")
PAPER = (
    "The paper's hours are of one A100: about 20 days for 15,000 instructions, and at most 120 "
    "hours for each later phase. It says neither which of its backbones that is, nor what it takes "
    "for a phase; here the hours of all jobs of a stage are added up."
)
COLUMNS = ("", "jobs", "hours", "longest job", "CPU-hours", "GPU-hours", "GB", "tokens", "paper")


def cost_section(models: Sequence[str], account: Account) -> Html:
    """A table for each model, and one for what belongs to none."""
    owners = [name for name in ("", *models) if len(account.of(name))]
    return section(
        "cost",
        "What it cost",
        paragraph(*(_sentence(name, account.of(name)) for name in owners if name)),
        paragraph(
            "Hours are the jobs' wall time. GPU-hours are a job's hours times the GPUs that it "
            "saw; CPU-hours are the processor time of all its threads. GB is the most memory that "
            "one job held at once, without a GPU's own. Tokens are those that the stage's files "
            "count: written, or in fine-tuning passed through the model. Jobs of sizes and seeds "
            "that are no longer asked for count too, without their tokens; those of other models "
            "do not.",
        ),
        paragraph(_resumed(account.costs), _unrecorded(account.costs)),
        paragraph(PAPER),
        *(_table(name, account.of(name)) for name in owners),
        paragraph("The same in seconds: cost.csv beside this page."),
    )


def _sentence(name: str, rows: pd.DataFrame) -> str:
    """What a model's jobs took in all, and on what."""
    jobs, hours = int(total(rows, "jobs")), number(total(rows, "seconds") / 3600)
    of = f"{counted(jobs, 'job')} of {name} took {hours} hours"
    processors = total(rows, "cpu_s") / 3600
    told = f"{number(processors)} CPU-hours" if processors >= 0 else "CPU-hours that are not known"
    if total(rows, "gpu_s"):
        return f"{of}, {number(total(rows, 'gpu_s') / 3600)} GPU-hours and {told}."
    if total(rows, "unrecorded"):
        return f"{of} and {told}."
    return f"{of} and {told}. None of them saw a GPU."


def _resumed(costs: pd.DataFrame) -> str:
    """That a benchmark knows the last run alone, and what is done about it."""
    count = int(total(costs, "resumed"))
    found = f"That holds for {counted(count, 'job')}" if count else "That holds for none"
    return (
        "Of a job that was killed and went on, Snakemake's benchmark knows the last run alone. "
        "Stages 1 and 2 and fine-tuning keep their own times over all runs, and the longer of "
        f"both counts. {found} of this run. What a killed run did in any other stage is not in "
        "these hours."
    )


def _unrecorded(costs: pd.DataFrame) -> str:
    count = int(total(costs, "unrecorded"))
    if not count:
        return ""
    return f"Whether {counted(count, 'job')} saw a GPU is not known: there is no record of it."


def _table(name: str, rows: pd.DataFrame) -> Html:
    found = sorted(rows.to_dict("records"), key=lambda row: _place(str(row["stage"])))
    shown = [_row(STAGES.get(row["stage"], row["stage"]), row) for row in found]
    if len(shown) > 1:
        sums = ("jobs", "unrecorded", "seconds", "cpu_s", "gpu_s")
        whole: dict[Any, Any] = {column: total(rows, column) for column in sums}
        whole |= {column: rows[column].max() for column in ("longest_s", "memory_mb")}
        shown.append(_row("all stages", {**whole, "tokens": math.nan, "stage": ""}))
    caption = f"What the jobs of {name} took" if name else "What the jobs of no one model took"
    return table(caption, COLUMNS, shown)


def _place(stage: str) -> tuple[int, str]:
    """Where a stage comes in the flow; those that this module does not know come last."""
    return [*STAGES].index(stage) if stage in STAGES else len(STAGES), stage


def _row(name: str, row: Mapping[Any, Any]) -> list[str]:
    # Of a job without a record nobody knows whether it saw a GPU.
    seen = math.nan if row["unrecorded"] else row["gpu_s"]
    hours = (each / 3600 for each in (row["seconds"], row["longest_s"], row["cpu_s"], seen))
    return [
        name,
        f"{int(row['jobs']):,}",
        *(number(value) for value in hours),
        number(row["memory_mb"] / 1000, 1),
        number(row["tokens"], 0),
        PAPER_HOURS.get(row["stage"], "–"),
    ]
