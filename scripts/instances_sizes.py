"""Stage 3, where sizes count instances: whether there are enough, and a segment's first ones."""

from itertools import chain
from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.documents import write_json
from refine_af.files.landing import check_free
from refine_af.files.rows import read_records
from refine_af.files.tables import read_counts
from refine_af.instances.segments import read_asked, write_segment
from refine_af.instances.sizes import COUNTS, check_kept, up_to
from refine_af.jobs.command_line import run
from refine_af.records.instances import Instance
from refine_af.settings.instances import Instances
from refine_af.settings.watch import SubsetsWatch


def count(*, size: int, watch: SubsetsWatch, segments: list[Path], counts: Path) -> None:
    """Count what the first segments keep, for a size that counts instances.

    InputError where they keep too few, and `watch` says that no further one is to be made.
    """
    found = [read_counts(folder / "counts.csv", COUNTS) for folder in segments]
    check_kept(found, size, watch)
    kept = [counted["kept"] for counted in found]
    write_json(counts, {"kept": kept})
    print(f"{sum(kept)} instances in {len(kept)} segments, of {size} that are asked for")


def first(
    *,
    settings: Instances,
    size: int,
    instructions: Path,
    replies: list[Path],
    instances: Path,
    segment: Path,
) -> None:
    """Write the first instances of a finished segment, and what was refused up to the last one."""
    check_free(segment)
    rows = read_records(instances / "instances.jsonl", Instance)
    if not 0 < size <= len(rows):
        raise InputError(f"--size {size}: {instances} holds {len(rows)} instances")
    rounds, by_round = read_asked(settings, instructions, replies)
    whole = [*chain.from_iterable(rounds)], [*chain.from_iterable(by_round)]
    write_segment(segment, up_to(rows[:size], settings, *whole), rows[:size])


if __name__ == "__main__":
    run(count, first)
