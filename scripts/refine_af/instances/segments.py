"""A segment's files: the replies to its instructions, and the folder of its instances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from refine_af.engines.rounds import rounds_of
from refine_af.files.landing import whole_folder
from refine_af.files.rows import read_records, write_records
from refine_af.files.tables import write_table
from refine_af.instances.parsing import Parsed, counts
from refine_af.instances.replies import AskedReply, in_rounds
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.records.segments import read_segment
from refine_af.settings.instances import Instances


def read_asked(
    settings: Instances, instructions: Path, replies: Sequence[Path]
) -> tuple[list[Sequence[Instruction]], list[Sequence[AskedReply]]]:
    """A segment's instructions and the replies to them, round by round."""
    rounds = rounds_of(read_segment(instructions), settings.prompts_per_round)
    files = [(path, read_records(path, AskedReply)) for path in replies]
    return rounds, in_rounds(files, rounds)


def write_segment(segment: Path, found: Parsed, instances: Sequence[Instance]) -> None:
    """Land a segment's folder, complete or not at all."""
    counted = counts(found)
    with whole_folder(segment) as folder:
        write_records(folder / "instances.jsonl", instances)
        write_records(folder / "rejected.jsonl", found.rejected)
        write_table(folder / "counts.csv", list(counted), [counted])
    print(f"{counted['kept']} instances from {counted['instructions']} instructions")
