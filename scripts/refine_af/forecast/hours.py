"""How long the stages of an experiment take on a machine, as a range, and what widens it; and how
a finished run compares with that.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refine_af.forecast.assumptions import Assumptions, Estimate, Triple, estimated, likely_of
from refine_af.forecast.known import Shape
from refine_af.forecast.rates import Machine
from refine_af.forecast.work import Beside, Work
from refine_af.records.forecast import ForetoldStage, KeptForecast
from refine_af.settings.experiment import GENERATING, Experiment

STAGES = ("instructions", "ppo", "instances", "sft", "superni", "users")
Seconds = Callable[[Work], float]


@dataclass(frozen=True)
class Jobs:
    """How many jobs an experiment has for each model.

    `trainings` are of PPO, `data_sets` of instances, `tuned` the sizes of the tuned cells,
    `untuned` how many cells are evaluated beside them, and `classified` says whether stage 3 asks
    first which instructions are classification tasks.
    """

    segments: int
    trainings: int
    data_sets: int
    tuned: Sequence[int]
    untuned: int
    classified: bool


@dataclass(frozen=True)
class Row:
    """A stage of a model: its jobs, and seconds of them all, and of the longest.

    The seconds are None where the model's shape is not known, or another process does the work.
    """

    model: str
    stage: str
    jobs: int
    gpus: int
    seconds: Estimate | None
    longest: Estimate | None
    why: str

    @property
    def spent(self) -> Estimate | None:
        """Seconds of all its GPUs, or of the processor."""
        return self.seconds and self.seconds.times(self.gpus)


class Foretold:
    """The forecast of an experiment on a machine."""

    def __init__(
        self,
        experiment: Experiment,
        machine: Machine,
        shapes: Mapping[str, Shape | None],
        beside: Beside,
        jobs: Jobs,
        ranges: Mapping[str, Triple],
        corrections: Mapping[tuple[str, str], float] | None = None,
    ) -> None:
        """`shapes` are by model, None where nothing is to hand; `corrections` are factors on the
        seconds of a model's stage, those of a finished run; for ("", stage) of any other model.
        """
        self._whole, self.machine, self.shapes = experiment, machine, shapes
        self.beside, self.jobs, self._ranges = beside, jobs, ranges
        self._corrections = corrections or {}

    @property
    def likely(self) -> Assumptions:
        """The likeliest value of everything that is assumed."""
        return likely_of(self._ranges)

    def rows(self) -> list[Row]:
        """A row a model and stage, in the order of the flow."""
        return [self._row(model, stage) for model in self.shapes for stage in STAGES]

    def total(self, rows: Sequence[tuple[str, str]]) -> Estimate:
        """GPUs' seconds of some models' stages, under the same assumptions for all."""
        known = [(model, stage) for model, stage in rows if self._known(model, stage)]
        gpus = {"sft": self._whole.compute.sft.gpus}
        return estimated(
            lambda assumed: math.fsum(
                self._seconds(model, stage, assumed) * gpus.get(stage, 1) for model, stage in known
            ),
            self._ranges,
        )

    def longest(self, model: str, stage: str, one: Seconds) -> Estimate | None:
        """Seconds of one job of a stage; None where they are not known."""
        if not self._known(model, stage):
            return None
        return estimated(
            lambda assumed: self._stretched(model, stage, one(self._work(model, assumed)), assumed),
            self._narrowed(model, stage),
        )

    def _row(self, model: str, stage: str) -> Row:
        parts = self.parts(stage)
        jobs = sum(count for count, _ in parts)
        gpus = self._whole.compute.sft.gpus if stage == "sft" else 1
        if not self._known(model, stage):
            return Row(model, stage, jobs, gpus, None, None, self._unknown(model))
        seconds = estimated(
            lambda assumed: self._seconds(model, stage, assumed), self._narrowed(model, stage)
        )
        ones = [self.longest(model, stage, one) for _, one in parts]
        longest = max((one for one in ones if one), key=lambda one: one.likeliest)
        return Row(model, stage, jobs, gpus, seconds, longest, self._why(model, stage, seconds))

    def parts(self, stage: str) -> list[tuple[int, Seconds]]:
        """The kinds of jobs of a stage for a model: how many, and what one takes."""
        jobs, shards = self.jobs, self._whole.compute
        segments = jobs.data_sets * jobs.segments
        cells = len(jobs.tuned) + jobs.untuned
        kinds: dict[str, list[tuple[int, Seconds]]] = {
            "instructions": [(1, _segment(number)) for number in range(jobs.segments)],
            "ppo": [(jobs.trainings, Work.ppo)],
            "instances": [
                *([(jobs.segments, Work.kinds)] if jobs.classified else []),
                (segments * shards.instances.shards, Work.replies),
                (segments, Work.scores),
            ],
            "sft": [(1, _size(size)) for size in jobs.tuned],
            "superni": [(cells * shards.superni.shards, Work.evaluation)],
            "users": [(len(jobs.tuned) + 1, Work.answers)],
        }
        return kinds[stage]

    def _seconds(self, model: str, stage: str, assumed: Assumptions) -> float:
        work = self._work(model, assumed)
        found = math.fsum(count * one(work) for count, one in self.parts(stage))
        return self._stretched(model, stage, found, assumed)

    def _work(self, model: str, assumed: Assumptions) -> Work:
        shape = self.shapes[model]
        assert shape is not None, f"{model}: asked for what is not known"
        return Work(self._whole, shape, self.beside, self.machine.rates(assumed), assumed)

    def _known(self, model: str, stage: str) -> bool:
        served = stage in GENERATING and getattr(self._whole, stage).engine == "server"
        return self.shapes[model] is not None and not served

    def _unknown(self, model: str) -> str:
        if self.shapes[model] is None:
            return "its shape is not known before it is fetched"
        return "a server does it"

    def _correction(self, model: str, stage: str) -> float | None:
        found = self._corrections
        return found.get((model, stage), found.get(("", stage)))

    def _stretched(self, model: str, stage: str, seconds: float, assumed: Assumptions) -> float:
        factor = self._correction(model, stage)
        return seconds * factor * assumed.repeated if factor else seconds

    def _narrowed(self, model: str, stage: str) -> Mapping[str, Triple]:
        """The ranges that count: a finished run leaves but the one of runs that repeat."""
        if self._correction(model, stage) is None:
            return self._ranges
        return {
            name: triple if name == "repeated" else (triple[1], triple[1], triple[1])
            for name, triple in self._ranges.items()
        }

    def _why(self, model: str, stage: str, found: Estimate) -> str:
        if self._correction(model, stage) is not None:
            return "a finished run"
        return found.widest


def _segment(number: int) -> Seconds:
    return lambda work: work.instructions(number)


def _size(size: int) -> Seconds:
    return lambda work: work.tuning(size)


def ratios_of(rows: Iterable[Row], taken: Mapping[tuple[str, str], float]) -> dict[Any, float]:
    """The seconds taken, by those foretold, by model and stage; ("", stage): of all models' sums.

    Stages of which either is not known are left out.
    """
    sums: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        actual = taken.get((row.model, row.stage), 0.0)
        if row.spent is None or not row.spent.likeliest or not actual:
            continue
        for key in ((row.model, row.stage), ("", row.stage)):
            sums[key][0] += actual
            sums[key][1] += row.spent.likeliest
    return {key: actual / foretold for key, (actual, foretold) in sums.items()}


def kept(foretold: Foretold, settings_sha256: str, made: str) -> KeptForecast:
    """What is kept of a forecast as a run begins, with the digest of its settings and the time."""
    machine = foretold.machine
    stages = [
        ForetoldStage(row.model, row.stage, row.jobs, *_rounded(row.spent))
        for row in foretold.rows()
    ]
    return KeptForecast(made, settings_sha256, machine.name, machine.rests_on, machine.gpu, stages)


def _rounded(found: Estimate | None) -> Sequence[float | None]:
    return (None, None, None) if found is None else [round(value, 1) for value in found.triple]
