"""A segment of the pool as the stages after it read it."""

from __future__ import annotations

import re
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.files.rows import read_records
from refine_af.records.instructions import Instruction

ID = re.compile(r"i(\d{6,12})")


def instruction_id(index: int) -> str:
    """The id of the machine-made instruction at a place of the pool: i000000, i000001, ..."""
    return f"i{index:06d}"


def read_segment(segment: Path) -> list[Instruction]:
    """The instructions in a segment's folder.

    InputError where there is none, and naming file and line where an id is not next.
    """
    path = segment / "instructions.jsonl"
    rows = read_records(path, Instruction)
    if not rows:
        raise InputError(f"{path}: holds no instruction")
    first = ID.fullmatch(rows[0].id)
    for place, row in enumerate(rows):
        wanted = instruction_id(int(first[1]) + place if first else place)
        if row.id != wanted:
            raise InputError(
                f"{path}, line {place + 1}: id {shown(row.id)}, where {wanted} follows"
            )
    return rows
