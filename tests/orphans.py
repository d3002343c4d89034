"""Two runs of one job at once, as when a killed Snakemake's job is still at work."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from forked_job import Forked
from forking import fork_server
from refine_af.jobs.scratch import scratch
from tiny import ROOT

WAITING = "waiting for process"


def side_by_side(
    script: str, arguments: Sequence[object], *, kept: Path, root: Path, timeout_s: float = 200
) -> tuple[str, str]:
    """Run a script of scripts/ twice in `root`: what the one that worked said, then the other.

    Both come while the test holds `kept`, the folder of the script's progress, so that neither can
    be done before the other has begun. Both must end well, and one must have waited for the other.
    """
    command = [str(ROOT / "scripts" / f"{script}.py"), *map(str, arguments)]
    logs = [root / f"{script}.{number}.log" for number in (1, 2)]
    jobs: list[Forked] = []
    limit = time.monotonic() + timeout_s
    try:
        with scratch(kept, "0" * 64):
            for log in logs:
                jobs.append(started(command, root, log))
            while not all(WAITING in log.read_text() for log in logs):
                assert all(job.runs() for job in jobs), [log.read_text() for log in logs]
                assert time.monotonic() < limit, [log.read_text() for log in logs]
                time.sleep(0.02)
        while any(job.runs() for job in jobs):
            assert time.monotonic() < limit, [log.read_text() for log in logs]
            time.sleep(0.02)
        ends = [job.wait() for job in jobs]
    finally:
        for job in jobs:
            job.kill()
    said = [log.read_text() for log in logs]
    assert ends == [0, 0], said
    for log in logs:
        log.unlink()
    worked, waited = sorted(said, key=lambda text: "that this one waited for" in text)
    return worked, waited


def started(command: Sequence[str], root: Path, log: Path) -> Forked:
    """A process of a script that runs in `root` and says all in `log`."""
    with open(log, "wb") as told, open(os.devnull) as empty:
        files = (empty.fileno(), told.fileno(), told.fileno())
        return Forked(fork_server(), command, cwd=str(root), environment=os.environ, files=files)
