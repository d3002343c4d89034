"""What an experiment comes to: its segments, its rounds, and the cells that people rate."""

from __future__ import annotations

from refine_af.records.cells import BASE
from refine_af.settings.experiment import Experiment


def segments_of(experiment: Experiment, size: int) -> int:
    """How many segments of the pool hold its first `size` instructions."""
    return -(-size // experiment.instructions.segment_size)


def segments(experiment: Experiment) -> int:
    """How many segments of the pool the largest size needs."""
    return segments_of(experiment, max(experiment.sizes))


def instance_rounds(experiment: Experiment) -> int:
    """In how many rounds stage 3 asks for the replies of a segment."""
    return -(-experiment.instructions.segment_size // experiment.instances.prompts_per_round)


def rated_size(experiment: Experiment) -> int:
    """The size whose cells people rate: the largest where none is named."""
    return experiment.ratings.page.size or max(experiment.sizes)


def rated_cells(experiment: Experiment) -> list[str]:
    """The cells whose replies people rate, in the order of ratings.page.methods."""
    size = rated_size(experiment)
    return [name if name == BASE else f"{name}_{size}" for name in experiment.ratings.page.methods]
