"""Which instructions are classification tasks, as the untouched backbone says.

Source: yizhongw/self-instruct@0b26ccaa, self_instruct/identify_clf_or_not.py.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path

from refine_af.engines.replies import Group
from refine_af.engines.rounds import Rounds
from refine_af.errors import InputError, shown
from refine_af.jobs.progress import Progress
from refine_af.prompts.class_labels import is_classification
from refine_af.prompts.templates import Prompt
from refine_af.randomness import derived_seed
from refine_af.records.instances import Identified
from refine_af.records.instructions import Instruction
from refine_af.settings.watch import ParsedWatch


def identified(
    number: int, rows: Sequence[Instruction], prompt: Prompt, seed: int, log: Rounds, bar: Progress
) -> list[Identified]:
    """What is said of a round's instructions, in order, on disk before this returns."""
    tails = [prompt.tail(instruction=row.instruction.strip()) for row in rows]
    seeds = [derived_seed(seed, "identification", row.id) for row in rows]
    made = log.counted(number, [Group(prompt.prefix, tails)], seeds, bar)
    found = [
        Identified(row.id, is_classification(reply.text) is True, reply.text)
        for row, reply in zip(rows, made.replies, strict=True)
    ]
    bar.line(f"round {number}: {_tasks(found)}" + (f" · {made.rate}" if made.new else ""))
    return found


def check_identified(found: Sequence[Identified], watch: ParsedWatch) -> None:
    """InputError where too small a share of the replies says yes or no."""
    odd = unclear(found)
    share = 1 - len(odd) / max(1, len(found))
    if share >= watch.least_identified:
        return
    raise InputError(
        f"of {len(found)} replies {share:.1%} said whether the instruction is a classification "
        f"task; watch.instances.least_identified asks for {watch.least_identified:.1%}. One that "
        f"said neither yes nor no: {shown(odd[0].reply, 300)}. Look at the prompt file, "
        "instances.classification.identification (stop, max_new_tokens) and the model. What was "
        "written is kept: a lower floor goes on from here."
    )


def unclear(found: Sequence[Identified]) -> list[Identified]:
    """Those of which neither yes nor no was said, which counts as no."""
    return [row for row in found if is_classification(row.reply) is None]


def summary(found: Sequence[Identified]) -> str:
    """How many classification tasks there are, in words."""
    return f"{_tasks(found)}; {len(unclear(found))} replies said neither yes nor no"


def classification_tasks(
    path: Path, rows: Sequence[Identified], instructions: Sequence[Instruction]
) -> Set[str]:
    """The ids of a segment's classification tasks.

    InputError, with file and line, where the rows are not those of its instructions.
    """
    for line, (row, instruction) in enumerate(zip(rows, instructions, strict=False), 1):
        if row.id != instruction.id:
            raise InputError(f"{path}, line {line}: id {shown(row.id)}, not {instruction.id}")
    if len(rows) != len(instructions):
        raise InputError(f"{path}: {len(rows)} rows for {len(instructions)} instructions")
    return frozenset(row.id for row in rows if row.classification)


def _tasks(found: Sequence[Identified]) -> str:
    tasks = sum(row.classification for row in found)
    return f"{tasks} of {len(found)} instructions are classification tasks"
