"""Which segments of the pool hold a size: known beforehand, or found as instances are kept."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from refine_af.files.documents import read_document
from refine_af.records.subsets import held, in_words, needed, spent
from refine_af.settings.experiment import Experiment

# The file that counts what a data set's segments keep, by the number of the last of them.
Counts = Callable[[int], str]


class Segments:
    """What the rules ask of the pool's segments.

    Where sizes count instructions, `grows` is false and all is known from config.yaml. Where they
    count instances, a data set's segments are known once they are counted. Until then those are
    named that are needed in any case, and whoever asks depends on the file of `Counts` that is to
    come: made by a checkpoint, it has the question asked anew.
    """

    def __init__(self, experiment: Experiment) -> None:
        self._sizes, self._subsets = experiment.sizes, experiment.subsets
        self._size, self._watch = experiment.instructions.segment_size, experiment.watch.subsets
        self._most_kept = self._size * experiment.instances.per_instruction
        self.grows = experiment.subsets.count == "instances"
        self.needed = max(needed(size, self._subsets) for size in self._sizes)

    @property
    def possible(self) -> list[int]:
        """The numbers of all segments that this experiment may make."""
        return list(range(self.most if self.grows else self._whole(self.needed)))

    def holding(self, size: int | str, counts: Counts) -> list[str]:
        """The names of the segments that hold a size of a data set, `records.subsets.held`'s.

        Random ones stand in any segment of what they are drawn from.
        """
        wanted = needed(int(size), self._subsets)
        if not self.grows:
            return [f"{number}" for number in range(self._whole(wanted))]
        return self._counted(wanted, counts)[0]

    def counted(self, size: int | str, counts: Counts) -> list[str]:
        """The file of the counts that tells them; no file where nothing is to be counted."""
        wanted = needed(int(size), self._subsets)
        return [counts(self._counted(wanted, counts)[1])] if self.grows else []

    def pool(self, data_sets: Sequence[Counts]) -> list[int]:
        """The numbers of the pool's segments: as many as the neediest of its data sets has."""
        most = max(len(self.holding(max(self._sizes), counts)) for counts in data_sets)
        return list(range(most))

    def _counted(self, wanted: int, counts: Counts) -> tuple[list[str], int]:
        """The segments that hold so many instances, and the last one that is counted for it."""
        last = -(-wanted // self._most_kept) - 1
        while (kept := kept_in(Path(counts(last)))) is not None:
            if names := held(kept, wanted):
                return names, last
            last += 1
        return [f"{number}" for number in self.counted_up_to(last)], last

    @property
    def most(self) -> int:
        """How many segments are made at most for the largest size: then `watch` ends the run."""
        whole = itertools.count(1)
        return next(count for count in whole if spent(count * self._size, self.needed, self._watch))

    def counted_up_to(self, last: int) -> list[int]:
        """The segments that are counted, to the `last`; none beyond those that are made at most."""
        return list(range(min(last + 1, self.most)))

    def untracked_size(self, wildcards: Any, threads: int) -> str:
        """The largest size, as a job that counts is told: it decides none of the counts."""
        return f"{self.needed}"

    @property
    def remarks(self) -> list[str]:
        """What is to be said of the sizes before a run."""
        sizes = f"sizes {', '.join(map(str, self._sizes))}"
        drawn = f"{sizes}: {in_words(self._subsets)}" if self._subsets.order == "random" else ""
        return [*filter(None, [self._growth(sizes) if self.grows else self._surplus(sizes), drawn])]

    def _growth(self, sizes: str) -> str:
        first = -(-self.needed // self._most_kept)
        return (
            f"{sizes} count instances (subsets.count): stages 1 and 3 make {first} segments of "
            f"{self._size} instructions, and further ones until each method has kept "
            f"{self.needed}, {self.most} at most (watch.subsets.least_kept "
            f"{self._watch.least_kept:g}). The plan shows what is known so far."
        )

    def _surplus(self, sizes: str) -> str:
        made = self._whole(self.needed) * self._size
        if made == self.needed:
            return ""
        drawn = self._subsets.order == "random"
        most = f"subsets.pool {self.needed}" if drawn else "the largest size"
        return (
            f"{sizes} of segment_size {self._size}: {made} instructions are made, "
            f"{made - self.needed} more than {most}. A smaller instructions.segment_size makes "
            "fewer; its first segment is what PPO reads."
        )

    def _whole(self, instructions: int) -> int:
        return -(-instructions // self._size)


def kept_in(counts: Path) -> list[int] | None:
    """How many instances each segment of a data set keeps; None while nobody has counted."""
    if not counts.exists():
        return None
    kept: list[int] = read_document(counts)["kept"]
    return kept
