"""The replicates of an experiment: what each is called, and the seed that it is trained with."""

from __future__ import annotations

from typing import Any, TypeVar

from refine_af.exports.provenance import provenance
from refine_af.jobs.command_line import canonical
from refine_af.randomness import derived_seed
from refine_af.records.cells import Tuned, method_and_replicate, replicated, tuned_cell
from refine_af.settings.experiment import Experiment
from refine_af.settings.ppo import Ppo
from refine_af.settings.sft import Sft

Seeded = TypeVar("Seeded", Ppo, Sft)


class Replicates:
    """What the rules ask of the axis `replicates`, which no section holds: growing it adds jobs.

    `ppo` are the endings of stage 2's folders, `data_sets` the names of the instances that their
    models and the untouched backbone write, `tuned` the cells, those of the first replicates first.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._experiment = experiment
        asked = experiment.replicates
        taught = range(1, asked.ppo + 1)
        self.ppo = [replicated("", number) for number in taught]
        runs = [
            (method, number)
            for number in taught
            for method in experiment.methods
            if number == 1 or method == "refine-af"
        ]
        self.data_sets = [replicated(method, number) for method, number in runs]
        cells = [
            Tuned(method, str(size), number, sft)
            for sft in range(1, asked.sft + 1)
            for method, number in runs
            for size in experiment.sizes
        ]
        cells.sort(key=lambda cell: (cell.ppo, cell.sft) != (1, 1))
        self.tuned = [cell.name for cell in cells]
        self.first = [cell.name for cell in cells if cell.ppo == cell.sft == 1]

    def method(self, wildcards: Any, threads: int) -> str:
        """Who writes a data set, as a job is told; the path says it already."""
        return method_and_replicate(wildcards.method)[0]

    def size(self, wildcards: Any, threads: int) -> str:
        """How many instructions a cell is tuned on, as a job is told; the path says it already."""
        return self.cell(wildcards).size

    def cell(self, wildcards: Any) -> Tuned:
        """The tuned cell that a job makes."""
        cell = tuned_cell(wildcards.cell)
        assert cell is not None, f"{wildcards.cell}: no rule makes a tuned cell of this name"
        return cell

    def ppo_section(self, wildcards: Any) -> str:
        """Section ppo with the seed of a replicate, as one canonical string."""
        return canonical(seeded(self._experiment.ppo, int(wildcards.replicate[2:] or 1)))

    def sft_section(self, wildcards: Any) -> str:
        """Section sft with the seed of a cell's replicates, as one canonical string."""
        cell = self.cell(wildcards)
        return canonical(seeded(self._experiment.sft, cell.ppo, cell.sft))

    def teachers(self, wildcards: Any) -> list[str]:
        """The ending of the folder of stage 2 that wrote a data set; self-instruct needs none."""
        method, number = method_and_replicate(wildcards.method)
        return [replicated("", number)] if method == "refine-af" else []

    def origin(self, wildcards: Any) -> str:
        """What a data set's card tells of where it comes from: the seed of its own stage 2."""
        _, number = method_and_replicate(wildcards.method)
        told = provenance(self._experiment, wildcards.model)
        return canonical(told.model_copy(update={"ppo": seeded(told.ppo, number)}))


def seeded(section: Seeded, *replicate: int) -> Seeded:
    """A section with the seed of a replicate: of the first, the section as it is.

    Every other seed is derived from the section's and the replicate's numbers. Both methods'
    cells of the same numbers have the same.
    """
    if set(replicate) == {1}:
        return section
    seed = derived_seed(section.seed, "replicate", *replicate) >> 31  # 32 bits, as seeds have
    return section.model_copy(update={"seed": seed})
