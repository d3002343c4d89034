"""A SLURM on this machine, for the tests that need a real one: tests/slurm/ brings it up."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tiny import ROOT

PROFILE = ("--workflow-profile", "profiles/slurm")
SCRIPTS = ROOT / "tests" / "slurm"
MISSING = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
ASKED = "REFINE_AF_SLURM"
asked_for = pytest.mark.skipif(
    not os.environ.get(ASKED), reason=f"takes minutes, most of them waits: `make slurm` ({ASKED}=1)"
)
needs_slurm = pytest.mark.skipif(
    bool(MISSING) or os.geteuid() != 0,
    reason=f"no SLURM can be started: {', '.join(MISSING) or 'only root can start its daemons'}",
)


@contextmanager
def cluster(folder: Path, gpus: int = 1, *, bounded: bool = False) -> Iterator[dict[str, str]]:
    """A SLURM of four cores and some GPUs; the environment in which its clients find it.

    A `bounded` one ends jobs by the memory that they asked for. The folder of this Python is not on
    its PATH: that jobs find it is the Snakefile's affair.
    """
    # Waits for the end of its input, which comes even if the tests are killed.
    stop = subprocess.Popen(
        [SCRIPTS / "stop.sh", folder], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        start(folder, gpus, bounded=bounded)
        own = Path(sys.executable).parent
        others = [place for place in os.get_exec_path() if Path(place) != own]
        path = os.pathsep.join([str(folder / "bin"), *others])
        yield {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    finally:
        stop.communicate(timeout=60)
    assert not folder.exists()


def start(folder: Path, gpus: int, *, bounded: bool) -> None:
    """Start what does not run of a SLURM."""
    words = [str(SCRIPTS / "start.sh"), str(folder), str(gpus), *(["bounded"] if bounded else [])]
    subprocess.run(words, check=True, timeout=120)


def told(environment: dict[str, str], *command: str) -> str:
    """What a client of SLURM prints."""
    done = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def jobs(environment: dict[str, str]) -> list[dict[str, str]]:
    """What SLURM tells of every job, in the order of their start."""
    shown = told(environment, "scontrol", "--oneliner", "--details", "show", "job")
    found = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.splitlines() if "=" in line]
    return sorted(found, key=lambda job: job["StartTime"])


def text_of(path: Path) -> str:
    """What a file holds; nothing where there is none, for one that a job may delete meanwhile."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
