"""What a job says of itself at its end: when and where it ran, by which code and libraries."""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.rows import as_records

# Set by the workflow: a job's output is its log, and ends in its record.
ASKED_FOR = "REFINE_AF_RECORD"
BEGINNING = "ran: "
LIBRARIES = (
    *("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets"),
    *("numpy", "scipy", "pandas", "matplotlib", "rouge-score", "snakemake"),
)
ROOT = Path(__file__).resolve().parents[3]  # the project's
TAIL = 65536  # bytes of a log's end that are read


@dataclass(frozen=True)
class Record:
    """A job that ended well: times in UTC, to the second; its CPU time, with its children's.

    `commit` is empty where the code is in no repository of its own, and `dirty` says whether a file
    that is in it was edited. `gpus` are those that the job saw and `cores` those that it might use.
    """

    began: str
    ended: str
    cpu_s: float
    commit: str
    dirty: bool
    python: str
    libraries: dict[str, str]
    system: str
    cpu: str
    cores: int
    memory_gb: int
    gpus: list[str]


def now() -> str:
    """The time in UTC, to the second: `2026-01-31T12:00:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tell_start(began: str) -> None:
    """Say when a job of SLURM has begun, in its log's first line: the live view reads that."""
    if job := os.environ.get("SLURM_JOB_ID"):
        print(f"SLURM's job {job} began: {began}", flush=True)


def tell(began: str) -> None:
    """Print this process's record as one line, where the workflow asks for it."""
    if os.environ.get(ASKED_FOR):
        sys.stdout.flush()
        print(f"{BEGINNING}{json.dumps(asdict(_record(began)))}", flush=True)


def told(log: Path) -> Record | None:
    """The record that a log ends in; None where there is none, as in a log of an earlier version.

    InputError where it is no record.
    """
    try:
        with open(log, "rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except FileNotFoundError:
        return None
    found = [line for line in lines if line.startswith(BEGINNING)]
    if not found:
        return None
    try:
        row = json.loads(found[-1].removeprefix(BEGINNING))
    except ValueError:
        row = None
    if not isinstance(row, dict):
        raise InputError(f"{log}: ends in no record: {found[-1][:200]!r}")
    return as_records([(str(log), row)], Record)[0]


def commit_of(folder: Path) -> tuple[str, bool]:
    """The commit that a folder is checked out at, and whether it was edited since.

    ("", False) where there is no git, or where the folder is not the root of a repository.
    """
    top, commit = _git(folder, "rev-parse", "--show-toplevel", "HEAD") or ("", "")
    if not top or not Path(top).samefile(folder):
        return "", False
    # Unlike diff, describe looks into a file whose time alone has changed.
    described = _git(folder, "describe", "--always", "--dirty=+", "--exclude=*")
    return commit, described is not None and described[0].endswith("+")


def _git(folder: Path, *arguments: str) -> tuple[str, ...] | None:
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return tuple(done.stdout.strip().split("\n"))


def _record(began: str) -> Record:
    commit, dirty = commit_of(ROOT)
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Record(
        began=began,
        ended=now(),
        cpu_s=round(sum(use.ru_utime + use.ru_stime for use in (own, children)), 1),
        commit=commit,
        dirty=dirty,
        python=platform.python_version(),
        libraries=dict(_versions()),
        system=f"{platform.system()} {platform.machine()}",
        cpu=processor(),
        cores=len(os.sched_getaffinity(0)),
        memory_gb=round(memory / 1e9),
        gpus=gpus(),
    )


def _versions() -> Iterator[tuple[str, str]]:
    for name in LIBRARIES:
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def gpus() -> list[str]:
    """Of a job that computed with torch: what it may compute on beside the CPU."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
