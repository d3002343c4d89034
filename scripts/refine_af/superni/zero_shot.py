"""Zero-shot prompts: a task's definition, an input and a cue."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from refine_af.engines.replies import Group
from refine_af.models.chat import Chat
from refine_af.models.encoding import encode, encode_after
from refine_af.prompts.templates import Prompt
from refine_af.records.evaluation import EvaluationInstance
from refine_af.settings.superni import Superni

Tokens = Callable[[str], int]


@dataclass(frozen=True)
class TaskPrompts:
    """A task's prompts, whose prefix holds the definition.

    `shortened` counts the inputs that were cut, `emptied` those that were cut to nothing.
    """

    group: Group
    shortened: int
    emptied: int


def task_prompts(
    instances: Sequence[EvaluationInstance],
    prompt: Prompt,
    settings: Superni,
    tokenizer: Any,
    chat: Chat | None = None,
) -> Iterator[TaskPrompts]:
    """The prompts of task after task, in the order of `instances`.

    Where a prompt has more than `max_source_tokens` tokens its input is cut at the end, down to
    nothing; definition and cue stay whole. The prefix ends before the white space ahead of the
    input, where prefix and tail tokenised apart give the tokens of the whole. Prompts are given
    without the markup of a `chat`, which counts among their tokens.
    """
    before, slot, after = (prompt.prefix + prompt.rest).partition("{input}")
    shared = before.rstrip()
    head, rest = Prompt("", shared), Prompt("", before[len(shared) :] + slot + after)
    stopped = full_stopped if settings.full_stop else str.strip

    for (_, definition), rows in groupby(instances, lambda row: (row.task, row.definition)):
        prefix = head.tail(definition=stopped(definition))
        tail = partial(rest.tail, definition=stopped(definition))
        inputs = [stopped(row.input) for row in rows]
        kept = _fitted(inputs, tail, settings, _counter(prefix, tokenizer, chat))
        cut = [part for part, text in zip(kept, inputs, strict=True) if part != text]
        group = Group(prefix, [tail(input=part) for part in kept])
        yield TaskPrompts(group, len(cut), cut.count(""))


def longest_prompt(tasks: Sequence[TaskPrompts], tokenizer: Any, chat: Chat | None = None) -> int:
    """How many tokens the longest of all prompts has, 0 where there is none."""
    return max(
        (
            max(map(_counter(task.group.prefix, tokenizer, chat), task.group.tails))
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
    inputs: Sequence[str], tail: Callable[..., str], settings: Superni, tokens: Tokens
) -> list[str]:
    def fits(text: str) -> bool:
        return tokens(tail(input=text)) <= settings.max_source_tokens

    return [longest_beginning(text, fits) for text in inputs]


def _counter(prefix: str, tokenizer: Any, chat: Chat | None) -> Tokens:
    """What counts the tokens of a prompt by its tail, the two parts encoded apart."""
    head = chat.turn(prefix, "")[0] if chat else prefix
    shared = len(encode(tokenizer, head, start=True)) if head else 0

    def tokens(tail: str) -> int:
        own = chat.turn(prefix, tail)[1] if chat else tail
        return shared + len(encode_after(tokenizer, head, own))

    return tokens


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
