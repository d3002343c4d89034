"""Snakemake as a person runs it: in a process of its own, on a project and an experiment.

Its process and its jobs' are forked from ones that have imported what they need. Snakemake and jobs
as a person starts them run where a test gives an `environment` or starts them itself: the killed
run of test_workflow.py, the cluster's of test_slurm.py, the plan without torch. So do scripts alone
in test_resume.py (a full disk), test_downloads.py and test_checkpoints.py.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from forked_job import ADDRESS, RECORD
from forking import SNAKEMAKE, fork_server, forking_python, run_forked
from tiny import ROOT

# As profiles/default, but for the live view: tests read Snakemake's own words.
PLAIN = ("--workflow-profile", str(ROOT / "tests" / "plain"))
NAMES = ("all", "data", "exports", "browser", "adapters", "scores", "ratings")


def snakemake(
    *arguments: object,
    project: Path = ROOT,
    environment: dict[str, str] | None = None,
    record: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the project's Snakefile; output and messages as one text.

    `record` is a file that is told of each job's process: its words, when it began and ended.
    """
    words = ["-m", "snakemake", *PLAIN, *map(str, arguments)]
    if environment:
        return subprocess.run(
            [sys.executable, *words],
            cwd=project,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
    dry = "-n" in words
    return run_forked(
        words,
        cwd=project,
        timeout_s=900,
        imported=SNAKEMAKE,
        merged=True,
        environment={} if dry else {ADDRESS: fork_server(), RECORD: str(record or os.devnull)},
        # The Snakefile puts its folder first on the jobs' PATH.
        executable=None if dry else forking_python(fork_server()),
    )


def plan(*arguments: object, project: Path = ROOT) -> Counter[str]:
    """How many jobs of each rule a dry run would do; `all`, which makes nothing, left out."""
    done = snakemake("-n", "--cores", 1, "--resources", "gpu=1", *arguments, project=project)
    assert done.returncode == 0, done.stdout
    table = re.search(r"Job stats:\n.*?\n-+.*?\n(.*?)\ntotal", done.stdout, re.S)
    if table is None:
        assert "Nothing to be done" in done.stdout, done.stdout
        return Counter()
    jobs = Counter({rule: int(count) for rule, count in map(str.split, table[1].splitlines())})
    for name in NAMES:
        del jobs[name]
    return jobs
