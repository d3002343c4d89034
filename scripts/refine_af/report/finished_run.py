"""What a finished run left for each model, read back with every fault named."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

import pandas as pd

from refine_af.errors import InputError, shown
from refine_af.records.cells import BASE, Tuned, method_and_size, tuned_cell
from refine_af.records.fixed_prompts import Answer
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction, RejectedInstruction
from refine_af.records.neighbours import Neighbours
from refine_af.records.overlap import Overlap
from refine_af.report.files import count, read_rows, read_table, read_tables, real, real_or_none
from refine_af.report.rated import Ratings
from refine_af.report.tuned import TunedCell
from refine_af.report.verb_nouns import Diversity

# The columns of tables of counts that every run has; each other one is a reason of rejection.
ENDED = ("cut", "unwritten", "dropped")
POOL_COUNTS = ("round", "requested", "parsed", "accepted", "rejected", "tokens", *ENDED)
INSTANCE_COUNTS = ("instructions", "classification", "parsed", "kept")


class Row(Protocol):
    """A row that has an id."""

    @property
    def id(self) -> str: ...


@dataclass(frozen=True)
class AlarmRow:
    """An alarm of reward hacking that PPO raised: at which step first, and in words."""

    step: int
    words: str


@dataclass(frozen=True)
class PpoRun:
    """What a further run of stage 2, with a seed of its own, left."""

    steps: pd.DataFrame
    answers: list[tuple[Answer, Answer]]
    alarms: list[AlarmRow]


@dataclass(frozen=True)
class ModelRun:
    """One model's results; frames have the columns of the files that they were read from.

    `answers` pairs the answers to a prompt before and after PPO; `instances`, `overlaps` of each
    and `counts` are by method; `tuned` is by method and size; `instance_scores` has a column of
    ROUGE-L, from 0 to 100, a tuned cell; `ratings` is None until some came back, `diversity` where
    no parser was asked; `algorithm` is what stage 2 trained with: PPO, RLOO or GRPO; `sized_by` is
    what sizes count, instructions or instances. Of stage 2 all is the first run's, and so are the
    instances; `further` has the others. `sources` names, by the flag of the command line, the
    files that it was read from, as seen from the page's folder.
    """

    name: str
    algorithm: str
    sized_by: str
    pool: list[Instruction]
    rejected: list[RejectedInstruction]
    rounds: pd.DataFrame
    steps: pd.DataFrame
    neighbours: list[Neighbours]
    answers: list[tuple[Answer, Answer]]
    instances: dict[str, list[Instance]]
    counts: dict[str, pd.DataFrame]
    overlaps: dict[str, list[Overlap]]
    alarms: list[AlarmRow]
    tuned: dict[tuple[str, str], TunedCell]
    scores: pd.DataFrame
    instance_scores: pd.DataFrame
    ratings: Ratings | None
    diversity: Diversity | None
    sources: Mapping[str, Sequence[str]]
    further: list[PpoRun]

    def runs_of_ppo(self) -> list[ModelRun]:
        """The same with each run of stage 2 in the place of the first one, which leads."""
        return [self, *(replace(self, **vars(each)) for each in self.further)]


def read_pool(
    segments: Sequence[Path],
) -> tuple[list[Instruction], list[RejectedInstruction], pd.DataFrame]:
    """A pool's instructions, what was rejected on the way, and its rounds, over all segments."""
    pool = read_rows([segment / "instructions.jsonl" for segment in segments], Instruction)
    rejected = read_rows([segment / "rejected.jsonl" for segment in segments], RejectedInstruction)
    rounds = read_tables([segment / "rounds.csv" for segment in segments], POOL_COUNTS)
    if not pool:
        raise InputError(f"{segments[0] / 'instructions.jsonl'}: holds no instruction")
    return pool, rejected, rounds


def read_neighbours(path: Path, pool: Sequence[Instruction]) -> list[Neighbours]:
    """The neighbours of each of the pool's instructions, all with a reference or none."""
    rows: list[Neighbours] = read_rows([path], Neighbours)
    _check_order([path], rows, pool)
    for line, row in enumerate(rows, 1):
        if (row.reference_rouge_l is None) != (rows[0].reference_rouge_l is None):
            raise InputError(
                f"{path}, line {line}: 'reference_rouge_l' is {shown(row.reference_rouge_l)}, and "
                f"{shown(rows[0].reference_rouge_l)} on line 1: all have one or none"
            )
    return rows


def read_instances(segments: Sequence[Path]) -> tuple[list[Instance], pd.DataFrame]:
    """A method's instances and, a row a segment, how many there are and why others are not."""
    instances = read_rows([segment / "instances.jsonl" for segment in segments], Instance)
    counts = read_tables([segment / "counts.csv" for segment in segments], INSTANCE_COUNTS)
    return instances, counts


def read_overlaps(segments: Sequence[Path], instances: Sequence[Instance]) -> list[Overlap]:
    """What each of a method's instances shares with the evaluation, in their order."""
    rows: list[Overlap] = read_rows(segments, Overlap)
    _check_order(segments, rows, instances)
    return rows


def read_steps(ppo: Path) -> pd.DataFrame:
    """A row a step of PPO, with all the columns of its metrics.csv; nan stands for none.

    Every step has a mean reward and a parse rate; the mean reward of what parsed may be none.
    """
    path = ppo / "metrics.csv"
    columns = {"step": count, "reward_mean": real, "parse_rate": real}
    steps = read_table(path, columns | {"reward_parsed": real_or_none}, real_or_none)
    if steps.empty:
        raise InputError(f"{path}: holds no step")
    return steps


def read_ppo(ppo: Path) -> PpoRun:
    """What a run of stage 2 left."""
    return PpoRun(read_steps(ppo), read_answers(ppo), read_alarms(ppo))


def read_alarms(ppo: Path) -> list[AlarmRow]:
    """The alarms of reward hacking that PPO raised."""
    table = read_table(ppo / "alarms.csv", {"step": count, "words": str})
    return [AlarmRow(int(step), words) for step, words in table.itertuples(index=False)]


def read_answers(ppo: Path) -> list[tuple[Answer, Answer]]:
    """The answers to each prompt before and after PPO, in the order of the file."""
    path = ppo / "evaluation.jsonl"
    found: dict[str, dict[str, Answer]] = {"before": {}, "after": {}}
    for line, answer in enumerate(read_rows([path], Answer, extra=True), 1):
        where = f"{path}, line {line}"
        scores = [answer.reward, *(answer.components or {}).values()]
        if answer.when not in found:
            raise InputError(f"{where}: 'when' is neither before nor after: {shown(answer.when)}")
        if not all(map(math.isfinite, scores)):
            raise InputError(f"{where}: a score is not finite: {shown(scores)}")
        if answer.instruction_id in found[answer.when]:
            raise InputError(f"{where}: {answer.instruction_id!r} is answered twice {answer.when}")
        found[answer.when][answer.instruction_id] = answer
    before, after = found["before"], found["after"]
    if not before or before.keys() != after.keys():
        alone = sorted(before.keys() ^ after.keys())
        raise InputError(f"{path}: not the same prompts before and after: {shown(alone)}")
    return [(before[name], after[name]) for name in before]


def read_scores(path: Path, methods: Sequence[str]) -> pd.DataFrame:
    """The rows of a Super-NI table: the base and, for each size, every method, on the same tasks.

    `size` stays text, empty for a baseline. A method and size has several cells where it was
    trained several times.
    """
    columns: dict[str, Callable[[str], Any]] = dict.fromkeys(
        ("method", "size", "cell", "task", "category"), str
    )
    columns["instances"] = count
    columns |= dict.fromkeys(("rouge_l", "exact_match", "reply_words", "eos_share"), real)
    scores = read_table(path, columns)
    tasks: dict[str, list[str]] = {}
    sizes = set()
    rows = zip(*(scores[name] for name in ("method", "size", "cell", "task")), strict=True)
    for method, size, cell, task in rows:
        tasks.setdefault(cell, []).append(task)
        if method in methods and not (size.isdecimal() and size.isascii()):
            raise InputError(f"{path}: {method!r} with size {shown(size)}, which is no number")
        if method_and_size(cell) != (method, size):
            raise InputError(f"{path}: {shown(cell)} is no cell of {method!r} with size {size!r}")
        sizes |= {size} if method in methods else set()
    if not sizes:
        raise InputError(f"{path}: no row of {' or '.join(methods)}")
    for cell in [BASE, *(f"{method}_{size}" for method in methods for size in sorted(sizes))]:
        if cell not in tasks:
            raise InputError(f"{path}: no row of the cell {cell!r}")
    _check_replicates(path, list(tasks))
    for cell, found in tasks.items():
        if sorted(found) != sorted(set(tasks[BASE])):
            raise InputError(f"{path}: {cell!r} has other tasks than 'base', or one twice")
    return scores


def _check_replicates(path: Path, cells: Sequence[str]) -> None:
    """InputError unless each run of stage 2 that a cell has goes on to the same fine-tunings."""
    tuned = [found for found in map(tuned_cell, cells) if found]
    for method, size in dict.fromkeys((each.method, each.size) for each in tuned):
        own = [each for each in tuned if (each.method, each.size) == (method, size)]
        for ppo in {each.ppo for each in own}:
            for sft in {each.sft for each in own}:
                if (wanted := Tuned(method, size, ppo, sft)) not in own:
                    raise InputError(f"{path}: no row of the cell {wanted.name!r}")


def read_instance_scores(path: Path, scores: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """ROUGE-L of each instance, ×100: `task`, and a column for each tuned cell of `scores`."""
    tuned = scores[scores["method"].isin(methods)]
    table = read_table(path, {"task": str, **dict.fromkeys(tuned["cell"], real)})
    if table.empty:
        raise InputError(f"{path}: holds no instance")
    base = scores[scores["method"] == "base"]
    wanted = dict(zip(base["task"], base["instances"], strict=True))
    found = {str(task): len(rows) for task, rows in table.groupby("task")}
    if found != wanted:
        task = sorted(found.keys() ^ wanted.keys() or wanted)[0]
        raise InputError(
            f"{path}: {found.get(task, 0)} instances of task {task!r}, "
            f"of which the table of scores has {wanted.get(task, 0)}"
        )
    return table


def _check_order(paths: Sequence[Path], rows: Sequence[Row], owners: Sequence[Row]) -> None:
    """InputError unless the rows of some files have the ids of their owners, in order."""
    for row, owner in zip_longest(rows, owners):
        if row is None or owner is None or row.id != owner.id:
            raise InputError(
                f"{', '.join(map(str, paths))}: not the rows in their order: "
                f"{shown(row and row.id)} where {shown(owner and owner.id)} belongs"
            )
