"""The server that a job starts, where the job is one of a real SLURM, and SLURM ends it."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters import asked_for, cluster, needs_slurm, text_of, told
from refine_af.jobs import keeper
from refine_af.jobs.command_line import canonical
from test_served import lives, pids, server, wait_until

pytestmark = [pytest.mark.slow, asked_for, needs_slurm]

HERE = Path(__file__).parent


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@pytest.mark.parametrize("end", ["scancel", "time limit"])
@pytest.mark.parametrize("options", ["", "--deaf"])
def test_no_process_of_a_jobs_server_is_left(
    end: str, options: str, slurm: dict[str, str], tmp_path: Path
) -> None:
    """SLURM tracks no process by a cgroup here: none is gone but by the job and its keeper."""
    family = tmp_path / "family"
    given = canonical(server(f"--family {family} {options}"))
    job = [sys.executable, str(HERE / "serving_job.py"), "--server", given]
    job += ["--log", str(tmp_path / "log"), "--how", "wait"]
    limit = ["--time=1"] if end == "time limit" else []
    asked = ["--parsable", "--partition=gpu", "--gpus=1", "--mem=500", *limit]
    asked += [f"--output={tmp_path / 'said'}", f"--wrap=srun {shlex.join(job)}"]
    number = told(slurm, "sbatch", *asked).strip()
    wait_until(lambda: "http" in text_of(tmp_path / "said"), 100, "not ready")
    (ours,) = pids(family)
    assert all(map(lives, ours))
    if end == "scancel":
        told(slurm, "scancel", number)
    wait_until(lambda: state_of(slurm, number) != "RUNNING", 150, "the job goes on")
    began = time.monotonic()
    wait_until(lambda: not any(map(lives, ours)), 2 * keeper.GRACE_S + 5, "a process is left")
    print(f"{end} {options}: no process {time.monotonic() - began:.1f} s after the job's end")
    wanted = {"scancel": "CANCELLED", "time limit": "TIMEOUT"}[end]
    wait_until(lambda: state_of(slurm, number) == wanted, 20, f"it is not {wanted}")


def state_of(slurm: dict[str, str], number: str) -> str:
    return told(
        slurm, "squeue", "--noheader", "--states=all", "--format=%T", f"--jobs={number}"
    ).strip()
