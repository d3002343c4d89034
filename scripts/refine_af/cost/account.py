"""The account of a run: a row a model and stage, and where and by what its jobs ran."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refine_af.cost.measured import Job
from refine_af.jobs.record import Record


@dataclass(frozen=True)
class Row:
    """What the jobs of one stage took for one model, "" for what belongs to none.

    `seconds` sums their wall times and `longest_s` is that of the longest; `gpus` is the most that
    one of them saw; `resumed` counts those that a killed run had begun, `unrecorded` those that
    left no record, whose GPUs are not known. None where nothing is known: of CPU time and memory
    for one job or more, of tokens where the stage's files do not count them.
    """

    model: str
    stage: str
    jobs: int
    resumed: int
    unrecorded: int
    seconds: float
    longest_s: float
    cpu_s: float | None
    gpus: int
    gpu_s: float
    memory_mb: float | None
    tokens: int | None


COLUMNS = tuple(Row.__dataclass_fields__)


def rows_of(jobs: Iterable[Job], tokens: Mapping[tuple[str, str], int]) -> list[Row]:
    """A row a model and stage, in the order of the jobs; `tokens` are by model and stage."""
    grouped: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        grouped.setdefault((job.model, job.stage), []).append(job)
    return [
        Row(
            model=key[0],
            stage=key[1],
            jobs=len(own),
            resumed=sum(job.resumed for job in own),
            unrecorded=sum(job.record is None for job in own),
            seconds=round(math.fsum(job.seconds for job in own), 3),
            longest_s=round(max(job.seconds for job in own), 3),
            cpu_s=_known(math.fsum(job.cpu_s for job in own)),
            gpus=max(len(job.record.gpus) if job.record else 0 for job in own),
            gpu_s=round(math.fsum(job.gpu_s for job in own), 3),
            memory_mb=_known(max((j.memory_mb for j in own if j.memory_mb >= 0), default=math.nan)),
            tokens=tokens.get(key),
        )
        for key, own in grouped.items()
    ]


def origin_of(jobs: Sequence[Job], origins: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Where a run's jobs ran, when, by which code and libraries, and what they began from.

    Each kind of machine, code and Python is told with the number of jobs that it had.
    """
    records = [job.record for job in jobs if job.record]
    return {
        "first_job_began": min((record.began for record in records), default=None),
        "last_job_ended": max((record.ended for record in records), default=None),
        "jobs": len(jobs),
        "jobs_without_record": len(jobs) - len(records),
        "code": _kinds(records, ("commit", "dirty")),
        "machines": _kinds(records, ("system", "cpu", "cores", "memory_gb", "gpus")),
        "software": _kinds(records, ("python", "libraries")),
        "origins": list(origins),
    }


def _kinds(records: Iterable[Record], names: Sequence[str]) -> list[dict[str, Any]]:
    """The different values of some fields, the most frequent first, each with its count of jobs."""
    found: dict[str, dict[str, Any]] = {}
    counts: Counter[str] = Counter()
    for record in records:
        values = {name: getattr(record, name) for name in names}
        counts[repr(values)] += 1
        found[repr(values)] = values
    order = sorted(found, key=lambda key: (-counts[key], key))
    return [{**found[key], "jobs": counts[key]} for key in order]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
