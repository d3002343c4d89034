"""What the run cost, by model and stage, and where it was made: for the report, and for papers."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path

from refine_af.cost.account import COLUMNS, origin_of, rows_of
from refine_af.cost.measured import column_of, jobs_of, seconds_of, stage_and_model
from refine_af.cost.origins import digested
from refine_af.errors import InputError, shown
from refine_af.files.documents import write_json
from refine_af.files.rows import read_rows
from refine_af.files.tables import write_table
from refine_af.jobs.command_line import run
from refine_af.records.origins import Origins

PHASES = ("generation", "reward", "log_probs", "update")  # of a step of PPO, in timing.csv


def main(
    *,
    origins: Origins,
    models: list[str],
    rollouts: int,
    benchmarks: Path,
    logs: Path,
    pools: list[Path],
    ppo: list[Path],
    adapters: list[Path],
    replies: list[Path],
    cost: Path,
    provenance: Path,
) -> None:
    """Write the table `cost`, a row a model and stage, and the document `provenance`.

    The folders are named as the stages name them, so that their names tell model and job; those
    of `replies` hold stage 3's, a folder a model. `rollouts` is how many replies a step of PPO has.
    """
    timed = {_job(folder): seconds_of(folder, ["seconds"]) for folder in (*pools, *adapters)}
    timed |= {folder.name: seconds_of(folder, PHASES) for folder in ppo}
    jobs = jobs_of(benchmarks, logs, models, timed)
    if not jobs:
        raise InputError(f"{benchmarks}: holds no benchmark of a job")
    rows = rows_of(jobs, _tokens(rollouts, pools, ppo, adapters, replies))
    write_table(cost, COLUMNS, ({k: _told(v) for k, v in asdict(row).items()} for row in rows))
    write_json(provenance, origin_of(jobs, list(digested(origins))))
    print(f"{len(jobs)} jobs, {len(rows)} rows")


def _job(folder: Path) -> str:
    """The name of the job that made a folder: its benchmark file's path."""
    return f"{folder.parent.name}/{folder.name}"


def _tokens(
    rollouts: int, pools: list[Path], ppo: list[Path], adapters: list[Path], replies: list[Path]
) -> dict[tuple[str, str], int]:
    """The tokens that the stages' own files count: written, and of fine-tuning trained on."""
    found: Counter[tuple[str, str]] = Counter()
    for folder in pools:
        found[_of(folder.parent)] += round(sum(column_of(folder / "rounds.csv", "tokens")))
    for folder in ppo:
        lengths = column_of(folder / "metrics.csv", "response_length")
        found[_of(folder)] += sum(round(rollouts * length) for length in lengths)
    for folder in adapters:
        found[_of(folder.parent)] += round(sum(column_of(folder / "timing.csv", "tokens")))
    for folder in replies:
        model = _of(folder)[0]
        found[model, "instances"] += sum(map(_written, sorted(folder.rglob("*.jsonl"))))
    return dict(found)


def _of(folder: Path) -> tuple[str, str]:
    """The model and the stage that a folder is named for, as `sft_mistral-7b` is."""
    stage, model = stage_and_model(folder.name)
    return model, stage


def _written(replies: Path) -> int:
    """How many tokens the replies in a file have."""
    count = 0
    for where, row in read_rows(replies):
        tokens = row.get("tokens")
        if type(tokens) is not int or tokens < 0:
            raise InputError(f"{where}: 'tokens' is no count: {shown(tokens)}")
        count += tokens
    return count


def _told(value: str | float | None) -> str | float:
    return "" if value is None else value


if __name__ == "__main__":
    run(main)
