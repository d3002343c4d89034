"""The demo's data in upstream's forms: seeds, user-oriented instructions, held-out tasks."""

from __future__ import annotations

from random import Random
from typing import Any

from refine_af.demo.corpus import Example, Task, draw_example, draw_task
from refine_af.demo.families import CLASSIFYING, FAMILIES, HELD_OUT, TRAINING
from refine_af.randomness import derived_seed
from refine_af.settings.demo import Demo

Row = dict[str, Any]


def seed_tasks(settings: Demo) -> list[Row]:
    """Tasks of the training families, each family as often as any other, give or take one.

    The form is that of self-instruct@0b26ccaa, data/seed_tasks.jsonl.
    """
    random = Random(derived_seed(settings.seed, "seed tasks"))
    families = list(TRAINING.values())
    rows: list[Row] = []
    seen: set[str] = set()
    while len(rows) < settings.seed_tasks:
        if len(rows) % len(families) == 0:
            random.shuffle(families)
        task = draw_task(random, [families[len(rows) % len(families)]])
        if task.instruction in seen:
            continue
        seen.add(task.instruction)
        row: Row = {
            "id": f"seed_task_{len(rows)}",
            "name": task.family.name,
            "instruction": task.instruction,
            "instances": [_instance(draw_example(random, task))],
            "is_classification": task.family.name in CLASSIFYING,
        }
        rows.append(row)
    return rows


def user_oriented_instructions(settings: Demo) -> list[Row]:
    """A task of each held-out family.

    The form is that of self-instruct@0b26ccaa, human_eval/user_oriented_instructions.jsonl.
    """
    random = Random(derived_seed(settings.seed, "user-oriented instructions"))
    rows: list[Row] = []
    for number, (name, category) in enumerate(HELD_OUT.items()):
        task = draw_task(random, [FAMILIES[name]])
        row: Row = {
            "id": f"user_oriented_task_{number}",
            "motivation_app": category,
            "instruction": task.instruction,
            "instances": [_instance(draw_example(random, task))],
        }
        rows.append(row)
    return rows


def superni_tasks(settings: Demo) -> dict[str, Row]:
    """A task of each held-out family under its name.

    The form is that of natural-instructions@55a36563, tasks/*.json.
    """
    tasks = {}
    for number, name in enumerate(HELD_OUT, 1):
        random = Random(derived_seed(settings.seed, "superni", name))
        task = draw_task(random, [FAMILIES[name]])
        tasks[f"task{number:03}_{name}"] = _superni_task(random, task, settings.instances_per_task)
    return tasks


def _superni_task(random: Random, task: Task, instances: int) -> Row:
    examples = list(_distinct_examples(random, task, instances + 2).values())
    return {
        "Contributors": ["refine-af"],
        "Source": ["synthetic"],
        "URL": [],
        "Categories": [HELD_OUT[task.family.name]],
        "Reasoning": [],
        "Definition": [task.instruction],
        "Input_language": ["English"],
        "Output_language": ["English"],
        "Instruction_language": ["English"],
        "Domains": ["Synthetic"],
        "Positive Examples": [
            {**_instance(example), "explanation": "It is what the task asks for."}
            for example in examples[:2]
        ],
        "Negative Examples": [],
        "Instances": [
            {
                "id": f"{task.family.name}-{number:04}",
                "input": example.input,
                "output": [example.output],
            }
            for number, example in enumerate(examples[2:])
        ],
        "Instance License": ["Apache 2.0"],
    }


def _distinct_examples(random: Random, task: Task, wanted: int) -> dict[str, Example]:
    """Examples of a task by their inputs, no two of them alike."""
    examples: dict[str, Example] = {}
    while len(examples) < wanted:
        example = draw_example(random, task)
        examples.setdefault(example.input, example)
    return examples


def _instance(example: Example) -> dict[str, str]:
    return {"input": example.input, "output": example.output}
