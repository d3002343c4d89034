"""The trainings of each cell, which differ in their seeds alone, and how sure its score is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import stdev

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from refine_af.metrics.trainings import Estimate, mean_over_tasks_and_trainings
from refine_af.records.cells import Tuned, tuned_cell
from refine_af.report.finished_run import ModelRun
from refine_af.report.summaries import Cell, cells, rows_of


@dataclass(frozen=True)
class Seeds:
    """With how many seeds a cell was trained: of stage 2, and of fine-tuning on each one's data.

    Of self-instruct, which has no stage 2, `ppo` is 1.
    """

    ppo: int
    sft: int

    @property
    def trainings(self) -> int:
        """How many trainings there are."""
        return self.ppo * self.sft

    @property
    def several(self) -> bool:
        """Whether there is more than one training, so that they tell something of seeds."""
        return self.trainings > 1


@dataclass(frozen=True)
class Spread:
    """A tuned cell's trainings: the ROUGE-L of each by its name, and the cell's own.

    The interval of `estimate` is for other tasks and, where there are several trainings, for other
    seeds of those kinds that differ between them.
    """

    scores: dict[str, float]
    estimate: Estimate

    @property
    def deviation(self) -> float:
        """The standard deviation over the trainings; nan of a single one."""
        return stdev(self.scores.values()) if len(self.scores) > 1 else math.nan


def trained(run: ModelRun, cell: Cell) -> list[Tuned]:
    """The trainings of a tuned cell, the first one first."""
    names = dict.fromkeys(rows_of(run.scores, cell)["cell"])
    return [found for found in map(tuned_cell, names) if found]


def seeds_of(run: ModelRun, cell: Cell) -> Seeds:
    """With how many seeds a tuned cell was trained."""
    found = trained(run, cell)
    runs = {each.ppo for each in found}
    return Seeds(len(runs), len(found) // len(runs))


def independent(run: ModelRun, cell: Cell) -> NDArray[np.float64]:
    """The scores of a tuned cell's independent trainings, (trainings, instances), ROUGE-L × 100.

    Those that fine-tune on the instances of one run of stage 2 are alike: where there are several
    such runs, each one's mean over its own fine-tunings is one row.
    """
    found = trained(run, cell)
    runs = list(dict.fromkeys(each.ppo for each in found))
    groups = [[each for each in found if each.ppo == number] for number in runs]
    if len(groups) == 1:
        groups = [[each] for each in found]
    return np.stack(
        [run.instance_scores[[each.name for each in group]].to_numpy().mean(1) for group in groups]
    )


def spreads(run: ModelRun, confidence: float) -> dict[Cell, Spread]:
    """Each tuned cell over its trainings."""
    tasks = run.instance_scores["task"].to_list()
    found = {}
    for cell in (each for each in cells(run.scores) if each[1]):
        scores = {
            each.name: float(run.instance_scores[each.name].mean()) for each in trained(run, cell)
        }
        rows = independent(run, cell)
        estimate = mean_over_tasks_and_trainings(rows, tasks, confidence=confidence)
        found[cell] = Spread(scores, estimate)
    return found


def training_numbers(run: ModelRun, confidence: float) -> pd.DataFrame:
    """A row a training of a tuned cell, with its cell's mean, deviation and interval."""
    rows = []
    for (method, size), spread in spreads(run, confidence).items():
        for name, score in spread.scores.items():
            row = {"method": method, "size": size, "cell": name, "rouge_l": score}
            row |= {"mean": spread.estimate.mean, "sd": spread.deviation}
            rows.append(row | {"low": spread.estimate.low, "high": spread.estimate.high})
    return pd.DataFrame(rows).round(6)
