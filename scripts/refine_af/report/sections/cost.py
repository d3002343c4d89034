"""What the run cost, on the page: hours, memory and tokens of every stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from refine_af.records.forecast import KeptForecast
from refine_af.report.account import Account, total
from refine_af.report.foretold import Beside, beside, sums
from refine_af.report.pages import Html, paragraph, section, table
from refine_af.report.wording import counted, listed, number, rounded

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

FORETOLD = ("", "jobs", "foretold", "least", "most", "taken", "ratio", "taken lies")
PLACES = {"within": "within the range", "below": "below the range", "above": "above the range"}


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
        *_foretold_parts(models, account),
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


def _foretold_parts(models: Sequence[str], account: Account) -> list[Html]:
    """What was foretold beside what was taken: sentences, and a table for each model."""
    kept = account.forecast
    if kept is None:
        return [paragraph("What it would cost was not foretold: there is no forecast.json here.")]
    if kept.settings_sha256 != account.settings_sha256:
        return [paragraph("What forecast.json foretells is a run of other settings than this one.")]
    unit = "GPU-hours" if kept.gpu else "CPU-hours"
    rows = beside(account, kept)
    return [
        paragraph(
            f"What it would cost was foretold at {kept.made}, {_when(account, kept)}, for "
            f"{kept.machine}: {kept.rests_on}. Hours below are {unit}, as above; the ratio is what "
            "was foretold by what was taken.",
            _outcome(rows, unit),
            _unmeasured(rows, kept),
        ),
        *(_beside_table(name, [row for row in rows if row.model == name]) for name in models),
    ]


def _when(account: Account, kept: KeptForecast) -> str:
    """Whether the forecast is one: whoever makes it later may know what was taken."""
    first = account.provenance.get("first_job_began")
    if not isinstance(first, str):
        return "and when the first job began is not known"
    return "before the first job began" if kept.made <= first else "after the first job had begun"


def _outcome(rows: Sequence[Beside], unit: str) -> str:
    """How well it was foretold."""
    compared, whole = [row.place for row in rows if row.place], sums(rows)
    if not compared:
        return "No stage can be compared; the last column says why."
    held = {place: compared.count(place) for place in PLACES}
    parts = [f"{held[place]} {words}" for place, words in PLACES.items() if held[place]]
    left = len(rows) - len(compared)
    others = f"; {left} cannot be compared, and the last column says why" if left else ""
    ratio = f", a ratio of {whole.foretold / whole.taken:.2f}" if whole.taken else ""
    return (
        f"What was taken lies for {listed(parts)}, of {counted(len(compared), 'stage')}{others}. "
        f"In all {rounded(whole.foretold / 3600)} {unit} were foretold and "
        f"{rounded(whole.taken / 3600)} taken{ratio}."
    )


def _unmeasured(rows: Sequence[Beside], kept: KeptForecast) -> str:
    """What would make the forecast one of this machine."""
    if kept.gpu and any("saw no GPU" in row.why for row in rows):
        return "Once `make calibrate` has measured a machine, hours are foretold of it."
    return ""


def _beside_table(name: str, rows: Sequence[Beside]) -> Html:
    shown = [
        [
            STAGES.get(row.stage, row.stage),
            f"{row.jobs:,}",
            *(rounded(row.foretold[at] / 3600) if row.foretold else "–" for at in (1, 0, 2)),
            "–" if row.taken is None else rounded(row.taken / 3600),
            f"{row.foretold[1] / row.taken:.2f}"
            if row.place and row.foretold and row.taken
            else "–",
            PLACES.get(row.place, row.why),
        ]
        for row in rows
    ]
    return table(f"What the jobs of {name} were foretold to take", FORETOLD, shown)
