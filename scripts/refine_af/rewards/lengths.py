"""How a scorer's texts are cut to `reward.max_length` tokens, and which models can read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from refine_af.errors import InputError
from refine_af.models.shapes import check_length, room_of, text_config


def fitted(task: list[int], output: list[int], room: int) -> tuple[list[int], list[int], bool]:
    """Task and output cut on the right to `room` tokens, and whether anything was.

    The output is cut where it has more than half of them and more than the task leaves, and then
    the task to what the output leaves.
    """
    kept = output[: max(room // 2, room - len(task))]
    return task[: room - len(kept)], kept, len(task) + len(output) > room


def check_room(model: Any, folder: Path, length: int) -> None:
    """InputError where a model cannot read texts of `length` tokens, beside others and alone."""
    check_length(model, length, "scoring")
    room = room_of(text_config(model))
    if room and room < length:
        raise InputError(
            f"reward.max_length {length}: {folder} reads texts of at most {room} tokens"
        )


def say_cut(scorer: str, cut: int, texts: int, length: int) -> None:
    """One line in the log where texts were cut."""
    if cut:
        print(f"{scorer}: {cut} of {texts} texts are cut to reward.max_length {length}", flush=True)
