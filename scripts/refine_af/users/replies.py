"""The user-oriented instructions, written as prompts, and the predictions of all cells joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.engines.replies import Reply
from refine_af.errors import InputError, shown
from refine_af.prompts.templates import Prompt, prompt_of
from refine_af.records.evaluation import UserPrediction
from refine_af.records.human_tasks import UserInstruction

KINDS = {"with_input": {"instruction", "input"}, "without_input": {"instruction"}}


def encodings_of(document: Mapping[str, Any], path: Path) -> dict[str, Prompt]:
    """The two prompts that a file states, with_input and without_input.

    InputError names file, key and value.
    """
    if document.keys() != KINDS.keys():
        raise InputError(f"{path}: needs {' and '.join(KINDS)} alone: {shown(list(document))}")
    for kind, text in document.items():
        if not isinstance(text, str):
            raise InputError(f"{path}: {kind!r} is no text: {shown(text)}")
    return {
        kind: prompt_of(document[kind], slots, f"{path}, {kind}") for kind, slots in KINDS.items()
    }


def prompt_for(row: UserInstruction, encodings: Mapping[str, Prompt]) -> str:
    """The prompt for an instruction, with its input where it has one."""
    instruction, given = row.instruction.strip(), row.input.strip()
    if given:
        return encodings["with_input"].fill(instruction=instruction, input=given)
    return encodings["without_input"].fill(instruction=instruction)


def predicted(
    instructions: Sequence[UserInstruction], replies: Sequence[Reply], model: str, cell: str
) -> list[UserPrediction]:
    """A cell's replies as predictions, each beside its instruction."""
    return [
        UserPrediction(
            id=row.id,
            model=model,
            cell=cell,
            instruction=row.instruction,
            input=row.input,
            reference=row.reference,
            prediction=reply.text.strip(),
            finished=reply.finish != "length",
        )
        for row, reply in zip(instructions, replies, strict=True)
    ]


def joined(files: Sequence[tuple[Path, Sequence[UserPrediction]]]) -> list[UserPrediction]:
    """The rows of all cells. InputError where two files are of one cell, or instructions differ."""
    owners: dict[tuple[str, str], Path] = {}
    first = files[0]
    for path, rows in files:
        cells = {(row.model, row.cell) for row in rows}
        if len(cells) != 1:
            raise InputError(f"{path}: not the answers of one cell: {shown(sorted(cells))}")
        (cell,) = cells
        if cell in owners:
            raise InputError(f"{path}: {' '.join(cell)} stands in {owners[cell]} too")
        owners[cell] = path
        if [_question(row) for row in rows] != [_question(row) for row in first[1]]:
            raise InputError(f"{path}: answers other instructions than {first[0]}")
    return [row for _, rows in files for row in rows]


def _question(row: UserPrediction) -> tuple[str, ...]:
    return row.id, row.instruction, row.input, row.reference
