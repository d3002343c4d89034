"""Snakemake as a person runs it: in a process of its own, on a project and an experiment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from forking import SNAKEMAKE, run_forked
from tiny import ROOT

# As profiles/default, but for the live view: tests read Snakemake's own words.
PLAIN = ("--workflow-profile", str(ROOT / "tests" / "plain"))
NAMES = ("all", "data", "exports", "browser", "adapters", "scores", "ratings")


def snakemake(
    *arguments: object, project: Path = ROOT, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake on the project's Snakefile; output and messages as one text."""
    words = ["-m", "snakemake", *PLAIN, *map(str, arguments)]
    if not environment:
        return run_forked(words, cwd=project, timeout_s=900, imported=SNAKEMAKE, merged=True)
    return subprocess.run(
        [sys.executable, *words],
        cwd=project,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
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
