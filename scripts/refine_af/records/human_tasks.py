"""Files of tasks that people wrote: the seeds, and the user-oriented instructions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.files.documents import SURROGATE
from refine_af.files.rows import as_records, each_once, read_records, read_rows
from refine_af.records.instances import Instance


@dataclass(frozen=True)
class Seed:
    """A human-written task; further keys of its row are not read."""

    id: str
    instruction: str


# What segments.instruction_id gives, so that no seed has the id of a machine-made instruction.
MACHINE_MADE = re.compile(r"i\d{6,}")


def read_seeds(path: Path) -> list[Seed]:
    """The seed tasks, of different ids and with text. InputError names file and line."""
    seeds = read_records(path, Seed, extra=True)
    if not seeds:
        raise InputError(f"{path}: holds no seed task")
    for number, seed in each_once(seeds, path):
        if SURROGATE.search(seed.id + seed.instruction):
            raise InputError(f"{path}, line {number}: half a character in {shown(seed)}")
        if not seed.instruction.strip():
            raise InputError(f"{path}, line {number}: empty instruction in {shown(seed.id)}")
        if not seed.id:
            raise InputError(f"{path}, line {number}: an empty id")
        if MACHINE_MADE.fullmatch(seed.id):
            raise InputError(
                f"{path}, line {number}: id {seed.id!r} is of the form that generated "
                "instructions have"
            )
    return seeds


def checked_seeds(seeds: Sequence[Seed], demonstrations: int, source: Path) -> Sequence[Seed]:
    """The seeds. InputError where a prompt asks for more demonstrations than there are."""
    if len(seeds) < demonstrations:
        raise InputError(
            f"{source}: {len(seeds)} seed tasks; instructions.human_demonstrations and "
            f"machine_demonstrations ask for {demonstrations} in the first prompts"
        )
    return seeds


@dataclass(frozen=True)
class _TaskRow:
    id: str
    instruction: str
    instances: list[dict[str, str]]


def read_seed_instances(path: Path) -> list[Instance]:
    """The seeds' own instances, in order, each under its seed's id.

    What no seed has, such as a reward, is 0 or empty. InputError names file, line and value.
    """
    read_seeds(path)
    found = []
    for where, row in read_rows(path):
        if not row.get("instances"):
            raise InputError(
                f"{where}: no 'instances' in seed {shown(row['id'])}, inputs with outputs, which "
                "sft.include_seeds: true trains on"
            )
        (task,) = as_records([(where, row)], _TaskRow, extra=True)
        for number, instance in enumerate(task.instances):
            if not {"input", "output"} <= instance.keys():
                raise InputError(f"{where}: no 'input' and 'output' in {shown(instance)}")
            texts = (task.instruction, instance["input"], instance["output"])
            found.append(Instance(f"{task.id}-{number}", task.id, "seed", *texts, "", 0.0, {}))
    return found


@dataclass(frozen=True)
class UserInstruction:
    """A user-oriented instruction, with an input or "", and the reply that an expert wrote."""

    id: str
    instruction: str
    input: str
    reference: str


def checked_by_rule(path: Path) -> bool:
    """Whether a file of user-oriented instructions is there, and names for each a solver.

    What such a file must hold beyond that, `refine_af.metrics.checkable` reads.
    """
    return path.is_file() and all("solver" in row for _, row in read_rows(path))


def read_user_instructions(path: Path) -> list[UserInstruction]:
    """The instructions of a file in the form of self-instruct@0b26ccaa, human_eval/.

    Each has one instance. InputError names file, line and value.
    """
    rows = as_records(read_rows(path), _TaskRow, extra=True)
    if not rows:
        raise InputError(f"{path}: holds no instruction")
    instructions = []
    for line, row in each_once(rows, path):
        where = f"{path}, line {line}"
        if not row.instruction.strip():
            raise InputError(f"{where}: empty instruction in {shown(row.id)}")
        if len(row.instances) != 1:
            raise InputError(f"{where}: not one instance: {shown(row.instances)}")
        (instance,) = row.instances
        if not {"input", "output"} <= instance.keys():
            raise InputError(f"{where}: no 'input' and 'output' in {shown(instance)}")
        instructions.append(
            UserInstruction(row.id, row.instruction, instance["input"], instance["output"])
        )
    return instructions
