"""What TensorBoard's event files hold, for tests; without tensorboard they skip and say so."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

Points = list[tuple[int, float]]


def scalars(folder: Path) -> dict[str, Points]:
    """The steps and values of every curve, from all files of a folder, as they stand there."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_file_loader")
    tensors = pytest.importorskip("tensorboard.util.tensor_util")
    found: dict[str, Points] = defaultdict(list)
    for path in sorted(folder.glob("events.out.tfevents.*")):
        for event in loader.EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                point = (event.step, float(tensors.make_ndarray(value.tensor)))
                found[value.tag].append(point)
    return dict(found)
