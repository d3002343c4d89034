"""How fast a machine is: by its data sheet, or as measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.files.documents import read_document
from refine_af.files.rows import as_records
from refine_af.forecast.assumptions import Assumptions
from refine_af.settings.forecast import Forecast, MachineSheet


@dataclass(frozen=True)
class Rates:
    """What a machine does a second: operations (in training, where prompts are read, and of the
    judges, in 32 bits), and bytes where texts are written.

    `layer_s` is what a layer of a pass takes whatever its size, `trained_layer_s` the same of a
    pass forward and back, `start_s` what a job's libraries take, `disk` bytes a second.
    """

    gpu: bool
    memory: float
    training: float
    reading: float
    judging: float
    bandwidth: float
    layer_s: float
    trained_layer_s: float
    start_s: float
    disk: float


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` measures of a machine; `name` is its GPU's or CPU's."""

    name: str
    gpu: bool
    memory_gb: float
    training_tflops: float
    reading_tflops: float
    judging_tflops: float
    bandwidth_gb_s: float
    layer_ms: float
    trained_layer_ms: float
    start_s: float


class Machine:
    """The machine that hours are of."""

    def __init__(self, name: str, rests_on: str, found: MachineSheet | Calibration) -> None:
        """`rests_on` says in words what is known of it."""
        self.name, self.rests_on, self._found = name, rests_on, found

    @property
    def gpu(self) -> bool:
        """Whether its hours are a GPU's."""
        return not isinstance(self._found, Calibration) or self._found.gpu

    def rates(self, assumed: Assumptions) -> Rates:
        """Its rates under some assumptions."""
        if isinstance(self._found, Calibration):
            return _measured(self._found, assumed)
        return _stated(self._found, assumed)


def machine_of(settings: Forecast, calibration: Path) -> Machine:
    """The machine that section `forecast` names, or the one whose calibration there is.

    InputError where that file is damaged.
    """
    if settings.machine is None and calibration.is_file():
        found = read_calibration(calibration)
        return Machine(found.name, f"rates measured on this machine ({calibration})", found)
    name = settings.machine or next(iter(settings.machines))
    return sheet_of(settings, name)


def sheet_of(settings: Forecast, name: str) -> Machine:
    """A machine of forecast.machines."""
    return Machine(name, "the maker's data sheet, at assumed efficiencies", settings.machines[name])


def read_calibration(path: Path) -> Calibration:
    """What `calibrate` wrote. InputError, with file, key and value, where it is damaged."""
    (found,) = as_records([(str(path), read_document(path))], Calibration)
    for name, value in asdict(found).items():
        if isinstance(value, int | float) and name != "gpu" and not 0 < value < math.inf:
            raise InputError(f"{path}: {name!r} is no number above 0: {shown(value)}")
    return found


def _stated(sheet: MachineSheet, assumed: Assumptions) -> Rates:
    layer_s = assumed.layer_ms / 1e3
    return Rates(
        gpu=True,
        memory=sheet.memory_gb * 1e9,
        training=sheet.tflops_16 * 1e12 * assumed.training,
        reading=sheet.tflops_16 * 1e12 * assumed.training,
        judging=sheet.tflops_32 * 1e12 * assumed.training,
        bandwidth=sheet.bandwidth_gb_s * 1e9 * assumed.writing,
        layer_s=layer_s,
        trained_layer_s=3 * layer_s,  # forward, and twice as many kernels back
        start_s=assumed.start_s,
        disk=assumed.disk_gb_s * 1e9,
    )


def _measured(found: Calibration, assumed: Assumptions) -> Rates:
    slower = assumed.measured
    return Rates(
        gpu=found.gpu,
        memory=found.memory_gb * 1e9,
        training=found.training_tflops * 1e12 / slower,
        reading=found.reading_tflops * 1e12 / slower,
        judging=found.judging_tflops * 1e12 / slower,
        bandwidth=found.bandwidth_gb_s * 1e9 / slower,
        layer_s=found.layer_ms / 1e3 * slower,
        trained_layer_s=found.trained_layer_ms / 1e3 * slower,
        start_s=found.start_s * slower,
        disk=assumed.disk_gb_s * 1e9,
    )
