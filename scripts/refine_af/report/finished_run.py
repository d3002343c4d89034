"""What a finished run left for each model, read back with every fault named."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from refine_af.errors import InputError, shown
from refine_af.records import Instance, Instruction, RejectedInstruction, read_records

COMPONENTS = ("reward_model", "naturalness", "coherence", "understandability")


@dataclass(frozen=True)
class Answer:
    """An answer to a fixed prompt, `when` before or after PPO; no output where it did not parse."""

    when: str
    instruction_id: str
    instruction: str
    completion: str
    input: str | None
    output: str | None
    reward: float
    reward_model: float | None
    naturalness: float | None
    coherence: float | None
    understandability: float | None


@dataclass(frozen=True)
class Truth:
    """Of a model's answers to `prompts` so many parsed; of these so many are junk, or can be
    `checked` by an exact solver, and of those so many are true."""

    prompts: int
    parsed: int
    junk: int
    checked: int
    true: int


@dataclass(frozen=True)
class ModelRun:
    """One model's results; frames have the columns of the files that they were read from.

    `answers` pairs the answers to a prompt before and after PPO; `instances`
    and `counts` are by method; `truth` is by "before" and "after", None outside the demo.
    """

    name: str
    pool: list[Instruction]
    rejected: list[RejectedInstruction]
    rounds: pd.DataFrame
    steps: pd.DataFrame
    answers: list[tuple[Answer, Answer]]
    instances: dict[str, list[Instance]]
    counts: dict[str, pd.DataFrame]
    scores: pd.DataFrame
    truth: dict[str, Truth] | None


def read_pool(
    segments: Sequence[Path],
) -> tuple[list[Instruction], list[RejectedInstruction], pd.DataFrame]:
    """A pool's instructions, what was rejected on the way, and its rounds, over all segments."""
    names = ("round", "requested", "parsed", "accepted", "rejected", "tokens")
    pool = _rows([segment / "instructions.jsonl" for segment in segments], Instruction)
    rejected = _rows([segment / "rejected.jsonl" for segment in segments], RejectedInstruction)
    rounds = _tables([segment / "rounds.csv" for segment in segments], names)
    if not pool:
        raise InputError(f"{segments[0] / 'instructions.jsonl'}: holds no instruction")
    return pool, rejected, rounds


def read_instances(segments: Sequence[Path]) -> tuple[list[Instance], pd.DataFrame]:
    """A method's instances and, a row a segment, how many there are and why others are not."""
    names = ("instructions", "parsed", "kept")
    instances = _rows([segment / "instances.jsonl" for segment in segments], Instance)
    return instances, _tables([segment / "counts.csv" for segment in segments], names)


def read_steps(ppo: Path) -> pd.DataFrame:
    """The step and mean reward of each PPO step."""
    path = ppo / "metrics.csv"
    steps = read_table(path, {"step": count, "reward_mean": real})
    if steps.empty:
        raise InputError(f"{path}: holds no step")
    return steps


def read_answers(ppo: Path) -> list[tuple[Answer, Answer]]:
    """The answers to each prompt before and after PPO, in the order of the file."""
    path = ppo / "evaluation.jsonl"
    found: dict[str, dict[str, Answer]] = {"before": {}, "after": {}}
    for line, answer in enumerate(_rows([path], Answer, extra=True), 1):
        where = f"{path}, line {line}"
        scores = [answer.reward, *(getattr(answer, name) or 0.0 for name in COMPONENTS)]
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

    `size` stays text, empty for a baseline.
    """
    columns: dict[str, Callable[[str], Any]] = dict.fromkeys(
        ("method", "size", "task", "category"), str
    )
    columns["instances"] = count
    columns |= dict.fromkeys(("rouge_l", "exact_match", "reply_words", "eos_share"), real)
    scores = read_table(path, columns)
    tasks: dict[tuple[str, str], list[str]] = {}
    for method, size, task in zip(scores["method"], scores["size"], scores["task"], strict=True):
        tasks.setdefault((method, size), []).append(task)
        if method in methods and not (size.isdecimal() and size.isascii()):
            raise InputError(f"{path}: {method!r} with size {shown(size)}, which is no number")
    sizes = {size for method, size in tasks if method in methods}
    if not sizes:
        raise InputError(f"{path}: no row of {' or '.join(methods)}")
    for cell in [("base", ""), *((method, size) for method in methods for size in sorted(sizes))]:
        if cell not in tasks:
            raise InputError(f"{path}: no row of method {cell[0]!r} with size {cell[1]!r}")
    for (method, size), found in tasks.items():
        if sorted(found) != sorted(set(tasks["base", ""])):
            raise InputError(
                f"{path}: {method!r} with size {size!r} has other tasks than 'base', or one twice"
            )
    return scores


def read_truth(path: Path) -> dict[str, Truth]:
    """How many answers before and after PPO are junk, and how many are true."""
    try:
        document = json.loads(_existing(path).read_bytes().decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON in UTF-8 ({error})") from None
    found = {}
    for when in ("before", "after"):
        counts = document.get(when) if isinstance(document, dict) else None
        if not isinstance(counts, dict):
            raise InputError(f"{path}: no object under {when!r}: {shown(document)}")
        for name in Truth.__annotations__:
            if type(counts.get(name)) is not int or counts[name] < 0:
                raise InputError(f"{path}, {when}.{name}: no count: {shown(counts.get(name))}")
        found[when] = Truth(**{name: counts[name] for name in Truth.__annotations__})
    return found


def read_table(
    path: Path,
    columns: Mapping[str, Callable[[str], Any]],
    further: Callable[[str], Any] | None = None,
) -> pd.DataFrame:
    """A CSV file's `columns`, and with `further` all others too, each read by its function.

    InputError names file, line, column and value at the first that a function refuses.
    """
    try:
        with open(_existing(path), encoding="utf-8", newline="") as file:
            reader = csv.reader(file)
            head = next(reader, [])
            lines = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not CSV in UTF-8 ({error})") from None
    for name in columns:
        if head.count(name) != 1:
            raise InputError(f"{path}: not one column {name!r} in {shown(head)}")
    kinds = {name: columns.get(name, further) for name in head}
    rows = []
    for line, row in lines:
        if len(row) != len(head):
            raise InputError(f"{path}, line {line}: {len(row)} values for {len(head)} columns")
        values = {}
        for name, text in zip(head, row, strict=True):
            kind = kinds[name]
            if kind is None:
                continue
            try:
                values[name] = kind(text)
            except ValueError as error:
                raise InputError(f"{path}, line {line}: {name!r} {error}: {shown(text)}") from None
        rows.append(values)
    return pd.DataFrame(rows, columns=[name for name in head if kinds[name]])


def count(text: str) -> int:
    """A whole number of things."""
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("is no count")
    return int(text)


def real(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError("is no finite number")
    return value


def _rows(paths: Sequence[Path], kind: type[Any], *, extra: bool = False) -> list[Any]:
    return [row for path in paths for row in read_records(_existing(path), kind, extra=extra)]


def _tables(paths: Sequence[Path], names: Sequence[str]) -> pd.DataFrame:
    """Tables of counts as one; a column, such as a reason, that one of them lacks is 0 there."""
    tables = [read_table(path, dict.fromkeys(names, count), count) for path in paths]
    table = pd.concat(tables, ignore_index=True).fillna(0).astype(int)
    if table.empty:
        raise InputError(f"{paths[0]}: holds no row")
    return table


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    return path
