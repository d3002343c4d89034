"""Zero-shot evaluation: a task's definition, an input and a cue, and what a model answers."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any

from refine_af.generation import Completion, generate
from refine_af.models import encode
from refine_af.progress import Progress
from refine_af.prompts import Prompt
from refine_af.records import EvaluationInstance
from refine_af.settings import Sampling, Superni


@dataclass(frozen=True)
class TaskPrompts:
    """A task's prompts: `prefix`, which all share and which holds the definition, then a tail each.

    `shortened` counts the inputs that were cut, `emptied` those of them of which nothing is left.
    """

    prefix: str
    tails: list[str]
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

    for (_, definition), group in groupby(instances, lambda row: (row.task, row.definition)):
        prefix = head.tail(definition=stopped(definition))
        tail = partial(rest.tail, definition=stopped(definition))
        room = settings.max_source_tokens - len(encode(tokenizer, prefix, start=True))
        inputs = [stopped(instance.input) for instance in group]
        kept = _fitted(inputs, tail, room, tokenizer)
        cut = [part for part, text in zip(kept, inputs, strict=True) if part != text]
        yield TaskPrompts(prefix, [tail(input=part) for part in kept], len(cut), cut.count(""))


def answers(
    model: Any,
    tokenizer: Any,
    tasks: Iterable[TaskPrompts],
    settings: Superni,
    *,
    stop: tuple[str, ...],
    progress: Progress,
) -> list[Completion]:
    """What the model says to every prompt, in order: at each token the likeliest one."""
    greedy = Sampling(
        temperature=0.0,
        top_p=1.0,
        presence_penalty=0.0,
        max_new_tokens=settings.max_new_tokens,
        stop=stop,
    )
    replies = []
    for task in tasks:
        replies += generate(
            model,
            tokenizer,
            prefix=task.prefix,
            tails=task.tails,
            sampling=greedy,
            seeds=[0] * len(task.tails),
            progress=progress,
        )
    return replies


def _fitted(
    inputs: Sequence[str], tail: Callable[..., str], room: int, tokenizer: Any
) -> list[str]:
    def fits(text: str) -> bool:
        return len(encode(tokenizer, tail(input=text), start=False)) <= room

    return [longest_beginning(text, fits) for text in inputs]


def longest_beginning(text: str, fits: Callable[[str], bool]) -> str:
    """All of `text` if it fits, else its longest beginning that does, found by bisection."""
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
