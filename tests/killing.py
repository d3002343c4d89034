"""Kills a command line at any of its writes, so that a test can show that it goes on from there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from forking import MODELS, run_forked
from tiny import ROOT

How = Literal["before", "within", "after"]
HOWS: tuple[How, ...] = get_args(How)
LAUNCHER = Path(__file__).with_name("kill_at_write.py")


def writes(script: str | Path, *arguments: object, root: Path, timeout_s: float = 300) -> list[str]:
    """Run a script, a name in scripts/ or a file, to its end: its writes below `root`, in order.

    Each has a name such as "write scratch/rows.jsonl", "fsync ." or "replace .out.partial out",
    with paths as seen from `root`, where the script runs. What other libraries write by themselves
    is not seen, but only the fsync or rename that follows.
    """
    done, seen = _launched(script, arguments, root, 0, "before", timeout_s)
    assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}{done.stderr}"
    return seen


def killed(
    script: str | Path,
    *arguments: object,
    root: Path,
    at: int,
    how: How,
    timeout_s: float = 300,
) -> list[str]:
    """Run a script that is killed at its `at`-th write, counted from 1; its writes up to that one.

    "before" the write, "after" it, or "within": with half of its bytes in the file. A write of
    another kind has no half, and "within" is "before" it.
    """
    done, seen = _launched(script, arguments, root, at, how, timeout_s)
    told = f"status {done.returncode} after {len(seen)} writes, wanted a death at number {at}"
    assert done.returncode == -signal.SIGKILL, f"{told}\n{done.stdout}{done.stderr}"
    assert len(seen) == at, told
    return seen


def draws(operations: Sequence[str], name: str) -> list[tuple[int, How]]:
    """Where to kill a script that made the writes `operations`: numbers from 1, and manners.

    REFINE_AF_KILLS says how many, 5 without it and 2 at least: one within a write of bytes, one
    while the output lands, the others spread from the first write to the last. `name`, the test's,
    decides the draw.
    """
    rng = random.Random(name)
    points: list[tuple[int, How]] = [
        (at, how)
        for at, operation in enumerate(operations, 1)
        for how in HOWS
        if how != "within" or operation.startswith("write ")
    ]
    landing = landed_from(operations)
    halves = [point for point in points if point[1] == "within"]
    assert halves, "no write of bytes was seen"
    chosen = {rng.choice(halves)}
    chosen.add(
        rng.choice([point for point in points if point[0] >= landing and point not in chosen])
    )
    wanted = min(max(2, int(os.environ.get("REFINE_AF_KILLS", "5"))), len(points))
    strata = wanted - len(chosen)
    for number in range(strata):
        part = points[number * len(points) // strata : (number + 1) * len(points) // strata]
        left = [point for point in part if point not in chosen] or sorted(set(points) - chosen)
        chosen.add(rng.choice(left))
    return sorted(chosen)


def landed_from(operations: Sequence[str]) -> int:
    """The number of the first write to what the last rename makes the output."""
    renames = [
        operation.split(" ")
        for operation in operations
        if operation.startswith(("replace ", "rename "))
    ]
    assert renames, "no output is renamed to its place"
    aside = renames[-1][1]
    return next(
        at
        for at, operation in enumerate(operations, 1)
        if any(path == aside or path.startswith(f"{aside}/") for path in operation.split(" "))
    )


def _launched(
    script: str | Path,
    arguments: Sequence[object],
    root: Path,
    at: int,
    how: How,
    timeout_s: float,
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    file = ROOT / "scripts" / f"{script}.py" if isinstance(script, str) else script.resolve()
    # What a test writes imports little, and a process that holds much is slow to fork.
    imported = MODELS if isinstance(script, str) else ()
    with tempfile.TemporaryDirectory() as place:
        trace = Path(place, "trace")
        command = [LAUNCHER, root.resolve(), trace, at, how, file, *arguments]
        # What is killed and what goes on from there differ in the order of their sets.
        fork = min(at, 1)
        done = run_forked(command, cwd=root, timeout_s=timeout_s, fork=fork, imported=imported)
        return done, trace.read_text().splitlines() if trace.exists() else []
