"""What a run's jobs took, by their benchmark files, their records and their own timing files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.jobs.record import Record, told

UNKNOWN = ("NA", "-", "")  # of a job that ended before Snakemake looked at it


@dataclass(frozen=True)
class Job:
    """One job that has ended: its stage, and its model, "" for what belongs to none.

    `wall_s` is its last run's by the benchmark file, `timed_s` what its own timing file adds up to
    over all runs, 0 without one; `cpu_s`, of its last run, and `memory_mb`, the most at once, are
    nan where nobody knows.
    """

    name: str
    stage: str
    model: str
    wall_s: float
    timed_s: float
    cpu_s: float
    memory_mb: float
    record: Record | None

    @property
    def seconds(self) -> float:
        """Its wall time, as far as is known of all its runs."""
        return max(self.wall_s, self.timed_s)

    @property
    def resumed(self) -> bool:
        """Whether an earlier run, which was killed, did part of it: its timing file tells."""
        return self.timed_s > self.wall_s

    @property
    def gpu_s(self) -> float:
        """Its wall time times the GPUs that it saw."""
        return self.seconds * len(self.record.gpus) if self.record else 0.0


def jobs_of(
    benchmarks: Path, logs: Path, models: Sequence[str], timed: Mapping[str, float]
) -> list[Job]:
    """The jobs of these models, and of none, in the order of their files' names.

    `timed` are seconds by the job's name, which is the path of its benchmark file and of its log,
    below their folders and without suffix. InputError, with file and value, at a damaged file.
    """
    found = []
    for path in sorted(benchmarks.rglob("*.tsv")):
        name = path.relative_to(benchmarks).with_suffix("").as_posix()
        stage, model = stage_and_model(name)
        if model and model not in models:
            continue  # of an experiment that had other models
        record = told(logs / f"{name}.log")
        wall_s, memory_mb, cpu_s = _measured(path)
        timed_s = timed.get(name, 0.0)
        # Snakemake looks now and then, and misses the end; a job of several processes tells of one.
        known = [value for value in (cpu_s, record.cpu_s if record else math.nan) if value >= 0]
        spent = max(known, default=math.nan)
        found.append(Job(name, stage, model, wall_s, timed_s, spent, memory_mb, record))
    return found


def stage_and_model(name: str) -> tuple[str, str]:
    """Whose job or folder a name is, "" for no model: ("ppo", "tiny") of ppo_tiny and ppo_tiny_r2.

    No model's name has an underscore; what follows another one is a replicate's number.
    """
    stage, model = [*name.partition("/")[0].split("_"), ""][:2]
    return stage, model


def seconds_of(folder: Path, columns: Sequence[str]) -> float:
    """What the columns of a stage's timing.csv sum to."""
    path = folder / "timing.csv"
    return math.fsum(value for column in columns for value in column_of(path, column))


def column_of(path: Path, name: str) -> list[float]:
    """A column of a CSV file, of numbers that are 0 or more."""
    return [
        _number(row.get(name), f"{path}, line {line}: {name!r}") for line, row in _rows(path, ",")
    ]


def _measured(path: Path) -> tuple[float, float, float]:
    """Seconds, the most memory in MB, and CPU seconds of a job's benchmark file."""
    rows = list(_rows(path, "\t"))
    if len(rows) != 1:
        raise InputError(f"{path}: {len(rows)} rows, where a benchmark has one")
    row, where = rows[0][1], f"{path}, line 2"
    memory, cpu = (
        math.nan if row.get(key) in UNKNOWN else _number(row.get(key), f"{where}: {key!r}")
        for key in ("max_rss", "cpu_time")
    )
    return _number(row.get("s"), f"{where}: 's'"), memory, cpu


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The rows of a table with their lines, from 2. InputError where there is no such file."""
    try:
        with open(path, encoding="utf-8", newline="") as file:
            yield from enumerate(csv.DictReader(file, delimiter=delimiter), 2)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: no table in UTF-8 ({error})") from None


def _number(text: object, where: str) -> float:
    try:
        value = float(text) if isinstance(text, str) else math.nan
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise InputError(f"{where} is no number of 0 or more: {shown(text)}")
    return value
