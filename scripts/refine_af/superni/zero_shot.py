"""Zero-shot prompts: a task's definition, an input and a cue."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from refine_af.engines.replies import Group
from refine_af.models.backbones import encode
from refine_af.prompts.templates import Prompt
from refine_af.records.evaluation import EvaluationInstance
from refine_af.settings.superni import Superni


@dataclass(frozen=True)
class TaskPrompts:
    """A task's prompts, whose prefix holds the definition.

    `shortened` counts the inputs that were cut, `emptied` those that were cut to nothing.
    """

    group: Group
    shortened: int
    emptied: int


def task_prompts(
    instances: Sequence[EvaluationInstance], prompt: Prompt, settings: Superni, tokenizer: Any
) -> Iterator[TaskPrompts]:
    """The prompts of task after task, in the order of `instances`.

    Where a prompt has more than `max_source_tokens` tokens its input is cut at the end, down to
    nothing; definition and cue stay whole. The prefix ends before the white space ahead of the
    input, where prefix and tail tokenised apart give the tokens of the whole.
    """
    before, slot, after = (prompt.prefix + prompt.rest).partition("{input}")
    shared = before.rstrip()
    head, rest = Prompt("", shared), Prompt("", before[len(shared) :] + slot + after)
    stopped = full_stopped if settings.full_stop else str.strip

    for (_, definition), rows in groupby(instances, lambda row: (row.task, row.definition)):
        prefix = head.tail(definition=stopped(definition))
        tail = partial(rest.tail, definition=stopped(definition))
        room = settings.max_source_tokens - len(encode(tokenizer, prefix, start=True))
        inputs = [stopped(row.input) for row in rows]
        kept = _fitted(inputs, tail, room, tokenizer)
        cut = [part for part, text in zip(kept, inputs, strict=True) if part != text]
        group = Group(prefix, [tail(input=part) for part in kept])
        yield TaskPrompts(group, len(cut), cut.count(""))


def longest_prompt(tasks: Sequence[TaskPrompts], tokenizer: Any) -> int:
    """How many tokens the longest of all prompts has, 0 where there is none."""
    return max(
        (
            len(encode(tokenizer, task.group.prefix, start=True))
            + max(len(encode(tokenizer, tail, start=False)) for tail in task.group.tails)
            for task in tasks
        ),
        default=0,
    )


def rounds_of(tasks: Sequence[TaskPrompts], requests: int) -> list[list[TaskPrompts]]:
    """The tasks in rounds: whole ones, as long as a round has at most `requests` prompts.

    Prompts of several tasks are answered side by side, so that a task's longest reply does not hold
    up the others. A task with more prompts is a round by itself.
    """
    rounds: list[list[TaskPrompts]] = []
    room = 0
    for task in tasks:
        room -= len(task.group.tails)
        if room < 0 or not rounds:
            rounds.append([])
            room = requests - len(task.group.tails)
        rounds[-1].append(task)
    return rounds


def _fitted(
    inputs: Sequence[str], tail: Callable[..., str], room: int, tokenizer: Any
) -> list[str]:
    def fits(text: str) -> bool:
        return len(encode(tokenizer, tail(input=text), start=False)) <= room

    return [longest_beginning(text, fits) for text in inputs]


def longest_beginning(text: str, fits: Callable[[str], bool]) -> str:
    """All of `text` if it fits, otherwise its longest beginning that does, found by bisection."""
    if fits(text):
        return text
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(text[:middle]) else (low, middle)
    return text[:low]


def full_stopped(text: str) -> str:
    """`text` stripped, with a full stop unless it ends in ASCII punctuation.

    Source: Tk-Instruct@7c0e4000, src/ni_collator.py, where an empty text becomes a full stop too.
    """
    text = text.strip()
    return text if text and text[-1] in string.punctuation else text + "."
