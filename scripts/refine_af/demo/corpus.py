"""The demo's corpus: tasks, examples with right and spoilt outputs, and texts to train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

from refine_af.demo import words
from refine_af.demo.families import TRAINING, UNANSWERABLE
from refine_af.demo.phrasings import phrase
from refine_af.demo.solvable import Family, Values, draw_numbers, draw_sentence
from refine_af.metrics.solvers import comma
from refine_af.prompts.task_lists import task_list

NUMBERING = "Task {number}:"
LIST_HEADER = "Come up with a series of tasks:\n"
EXAMPLES_HEADER = "Come up with examples for the following tasks.\n"

LAZY = ("I do not know.", "It depends on many things.", "Sorry, no idea.")
"""What a lazy output says, whatever the task."""


@dataclass(frozen=True)
class Task:
    """An instruction, with the family and the values that it was phrased from."""

    family: Family
    values: Values
    instruction: str


@dataclass(frozen=True)
class Example:
    """A task with one input (empty where it reads none), the input's name, and an output."""

    task: Task
    label: str
    input: str
    output: str


def draw_task(random: Random, families: Sequence[Family] = tuple(TRAINING.values())) -> Task:
    """A task of a random one of the families, in a random phrasing."""
    family = random.choice(families)
    values = family.values(random)
    reads = bool(family.label)
    return Task(family, values, phrase(random, family.phrasing, values, reads=reads))


def draw_example(random: Random, task: Task) -> Example:
    """A task's example with a right output."""
    text, output = task.family.instance(random, task.values)
    return Example(task, task.family.label, text, output)


def spoil(random: Random, example: Example, fault: str) -> Example:
    """The example with one fault, its instruction kept.

    "lazy", "echo", "loop", "garble", "cut", "other" (another task's output) and "wrong" (its own
    task's output on another input) spoil the output; "foreign" (another task's input and output)
    and "missing" (no input) spoil the rest. An example that cannot have a fault gets a near one.
    """
    match fault:
        case "missing" if example.input:
            return replace(example, label="", input="")
        case "foreign" | "missing":
            return replace(_other_example(random, example), task=example.task)
        case _:
            output = _spoilt_output(random, example, fault)
            harmless = output == example.output  # such as the echo of a list that is in order
            return replace(example, output=random.choice(LAZY) if harmless else output)


def _spoilt_output(random: Random, example: Example, fault: str) -> str:
    spoken, instruction = example.output.split(), example.task.instruction
    match fault:
        case "lazy":
            return random.choice(LAZY)
        case "echo":
            return random.choice([example.input, instruction]) or instruction
        case "garble" if len(set(spoken)) > 3:
            return " ".join(_shuffled(random, spoken))
        case "loop" | "garble":
            return " ".join(spoken[: random.randint(1, 3)] * random.randint(3, 6))
        case "cut" if len(spoken) > 3:
            return " ".join(spoken[: random.randint(1, len(spoken) // 2)])
        case "wrong":
            return _wrong_output(random, example)
        case _:
            return _other_example(random, example).output


def _shuffled(random: Random, spoken: list[str]) -> list[str]:
    mixed = spoken
    while mixed == spoken:
        mixed = random.sample(spoken, len(spoken))
    return mixed


def _wrong_output(random: Random, example: Example) -> str:
    for _ in range(20):
        output = draw_example(random, example.task).output
        if output.lower() != example.output.lower():
            return output
    return random.choice(LAZY)


def _other_example(random: Random, example: Example) -> Example:
    """An example of another family, which reads another kind of text and says something else."""
    while True:
        other = draw_example(random, draw_task(random))
        strange = other.label != example.label and other.task.family != example.task.family
        if strange and other.output.lower() != example.output.lower():
            return other


def example_text(example: Example, number: int, *, plain: bool) -> str:
    """An example as stage 2 and 3's prompt shows it; `plain` calls the input just "Input"."""
    if not example.input:
        return f"Output: {example.output}\n"
    label = "Input" if plain else example.label
    return f"Example {number}\n{label}: {example.input}\nOutput: {example.output}\n"


def list_document(random: Random, items: int) -> str:
    """A list of tasks, a few of which no text can answer."""
    families = [*TRAINING.values(), *UNANSWERABLE.values()]
    *shown, last = (draw_task(random, families).instruction for _ in range(items))
    return f"{LIST_HEADER}{task_list(shown, NUMBERING)} {last}\n"


MESS = ("lazy", "lazy", "echo", "loop", "loop", "other", "garble")
"""The faults of pretraining texts, as messy as web text: a judge can tell each of them."""


def examples_document(random: Random, tasks: int, spoilt: float) -> str:
    """Tasks with examples, of whose outputs about the share `spoilt` is bad."""
    parts = [EXAMPLES_HEADER]
    for _ in range(tasks):
        task = draw_task(random)
        plain = random.random() < 0.3
        parts.append(f"Task: {task.instruction}\n")
        for number in range(1, 1 + (random.choice([1, 2, 2, 3]) if task.family.label else 1)):
            example = draw_example(random, task)
            if random.random() < spoilt:
                example = spoil(random, example, random.choice(MESS))
            parts.append(example_text(example, number, plain=plain))
    return "".join(parts)


def copying_document(random: Random) -> str:
    """Lines said twice, which teach a tiny model to copy from its context."""
    table = [*words.WORDS, *words.NAMES, *words.PLACES, *words.JOBS]
    parts = []
    for _ in range(random.randint(2, 5)):
        kind = random.randrange(4)
        if kind == 0:
            text = " ".join(random.sample(table, random.randint(3, 8)))
        elif kind == 1:
            text = comma(random.sample(table, random.randint(2, 6)))
        else:
            text = draw_numbers(random) if kind == 2 else draw_sentence(random)
        parts.append(f"{random.choice(['Note', 'Text', 'Line'])}: {text}\nAgain: {text}\n")
    return "".join(parts)
