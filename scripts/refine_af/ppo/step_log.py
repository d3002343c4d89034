"""What every PPO step gave, kept in a journal as it comes."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.journal import Journal
from refine_af.ppo.training import PHASES, Step

KEYS = ("step", "metrics", "seconds", "samples")


class StepLog:
    """A journal of steps.

    Training goes on from a checkpoint, so a step that came after it may stand twice in the journal:
    the later row counts, since it belongs to the weights that training ends with.
    """

    def __init__(self, path: Path, columns: Collection[str]) -> None:
        """`columns` are those of metrics.csv. InputError, with file and line, at any other row."""
        self._path = path
        self._journal = Journal(path)
        self._rows: dict[int, dict[str, Any]] = {}
        for where, row in self._journal.rows:
            if not _is_step(row, columns):
                raise InputError(f"{where}: no step of PPO in {shown(row)}")
            self._rows[row["step"]] = row

    def add(self, step: Step, *, sampled: bool) -> None:
        """Keep a step: its line of metrics.csv, its seconds and, where sampled, its rollouts."""
        samples = step.rollouts if sampled else []
        row = {
            "step": step.number,
            "metrics": step.metrics,
            "seconds": step.seconds,
            "samples": [{"step": step.number, **rollout.row()} for rollout in samples],
        }
        self._journal.append([row])
        self._rows[step.number] = row

    def sync(self) -> None:
        """Return once every step is on disk."""
        self._journal.sync()

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def rows(self, steps: int) -> list[dict[str, Any]]:
        """Steps 1 to `steps`. InputError where one is missing."""
        for number in range(1, steps + 1):
            if number not in self._rows:
                raise InputError(
                    f"{self._path}: no row of step {number}, though a checkpoint came after it; "
                    f"delete {self._path.parent} to start anew"
                )
        return [self._rows[number] for number in range(1, steps + 1)]


def _is_step(row: dict[str, Any], columns: Collection[str]) -> bool:
    return (
        tuple(row) == KEYS
        and isinstance(row["step"], int)
        and _are_figures(row["metrics"], columns)
        and row["metrics"]["step"] == row["step"]
        and _are_figures(row["seconds"], PHASES)
        and isinstance(row["samples"], list)
        and all(isinstance(sample, dict) for sample in row["samples"])
    )


def _are_figures(value: object, names: Collection[str]) -> bool:
    """Whether `value` has a number by each of the names, or "" for none."""
    return (
        isinstance(value, dict)
        and set(value) == set(names)
        and all(entry == "" or isinstance(entry, int | float) for entry in value.values())
    )
