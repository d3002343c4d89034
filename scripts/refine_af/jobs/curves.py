"""Figures of a training as it runs, for TensorBoard or Trackio, kept on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from refine_af.errors import InputError

PROJECT = "refine-af"  # Trackio's name for what its dashboard shows together
# Where Trackio would send figures to.
ELSEWHERE = tuple(
    f"TRACKIO_{name}" for name in ("SPACE_ID", "SERVER_URL", "DATASET_ID", "BUCKET_ID")
)


class Tracker(Protocol):
    """What shows figures by step."""

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Show a step."""

    def close(self) -> None:
        """Return once all is written."""


class Curves:
    """A run's figures by step, for each tracker that is named; for none they go nowhere.

    What a tracker held of the run goes as it begins: who goes on from a checkpoint tells the steps
    before it again, so that none stands twice, nor one that was done and lost.
    """

    def __init__(self, report_to: Sequence[str], folder: Path, run: str) -> None:
        """InputError where a tracker is not installed."""
        self._trackers = [TRACKERS[name](folder, run) for name in report_to]

    def add(self, step: int, figures: Mapping[str, object]) -> None:
        """Tell those of a step's figures that are numbers."""
        numbers = {name: value for name, value in figures.items() if isinstance(value, int | float)}
        for tracker in self._trackers:
            tracker.add(step, numbers)

    def close(self) -> None:
        """Return once all is written."""
        for tracker in self._trackers:
            tracker.close()


class TensorBoard:
    """Event files in the run's folder, which `tensorboard --logdir` finds."""

    def __init__(self, folder: Path, run: str) -> None:
        writer = _installed("torch.utils.tensorboard", "tensorboard").SummaryWriter
        place = folder / run
        for earlier in place.glob("events.out.tfevents.*"):
            earlier.unlink()
        # A TensorBoard that has read the earlier files drops their steps from this one on.
        self._writer = writer(log_dir=str(place), purge_step=1, flush_secs=10)

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class Trackio:
    """A run in a local database, which `trackio show` reads."""

    def __init__(self, folder: Path, run: str) -> None:
        for name in ELSEWHERE:
            os.environ.pop(name, None)
        os.environ["TRACKIO_DIR"] = str(folder.resolve() / "trackio")  # read at the import
        trackio = _installed("trackio", "trackio")
        for earlier in _runs(trackio):
            if earlier.name == run:
                earlier.delete()
        self._run = trackio.init(
            project=PROJECT, name=run, embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        # A figure of that name it would rename, with a warning; it has the step itself.
        self._run.log({name: value for name, value in figures.items() if name != "step"}, step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, str], Tracker]] = {
    "tensorboard": TensorBoard,
    "trackio": Trackio,
}


def _runs(trackio: Any) -> list[Any]:
    try:
        return list(trackio.Api().runs(PROJECT))
    except ValueError:  # nothing was told yet
        return []


def _installed(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(
            f"watch.report_to: {package} is not installed in this environment ({error}); "
            f"`pip install {package}`, or leave it out"
        ) from None
