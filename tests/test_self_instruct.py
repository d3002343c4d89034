"""The experiment in examples/self-instruct/ follows Self-Instruct's rules, told by its own code.

What is compared with is yizhongw/self-instruct@0b26ccaa, self_instruct/bootstrap_instructions.py,
written down anew; where REFINE_AF_MIRROR names its data, with the seeds that it ships.
"""

from __future__ import annotations

import json
import os
import re
import string
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.instances.rounds import parts_of
from refine_af.metrics.novelty import NoveltyPool
from refine_af.prompts.class_labels import is_classification
from refine_af.prompts.task_lists import decoding, items, refusal, task_list
from refine_af.prompts.templates import read_prompt
from refine_af.records.human_tasks import read_seed_instances
from refine_af.records.instructions import Instruction
from refine_af.settings.instructions import Instructions
from refine_af.workflow.configuration import read_configuration, read_experiment
from tiny import ROOT

EXPERIMENT = read_experiment(
    read_configuration(ROOT / "examples" / "self-instruct" / "config.yaml")
)
RULES = EXPERIMENT.instructions
PROMPT = read_prompt(ROOT / EXPERIMENT.prompts.instructions, {"tasks"})
# The words that its find_word_in_string looks for, but "go to".
WORDS = "image images graph graphs picture pictures file files map maps draw plot"


def their_prompt(instructions: Sequence[str]) -> str:
    """encode_prompt, without classification."""
    lines = ["Come up with a series of tasks:\n"]
    for place, text in enumerate(instructions, 1):
        lines.append(f"{place}. " + re.sub(r"\s+", " ", text).strip().rstrip(":") + "\n")
    return "".join(lines) + f"{len(instructions) + 1}."


def their_instructions(text: str, finish: str) -> list[str]:
    """post_process_gpt3_response."""
    if finish == "length":
        return []
    kept = []
    for part in re.split(r"\n\d+\s?\. ", text):
        line = re.sub(r"\s+", " ", part).strip().capitalize()
        if line == "" or not 3 < len(line.split()) <= 150:
            continue
        if any(
            re.search(rf"\b({word})\b", line, re.IGNORECASE) for word in [*WORDS.split(), "go to"]
        ):
            continue
        if line.startswith("Write a program") or line[0] in string.punctuation:
            continue
        if line[0].isascii():
            kept.append(line)
    return kept


def our_instructions(text: str, finish: str, rules: Instructions = RULES) -> list[str]:
    found = items(text, rules, truncated=finish == "length")
    return [item for item, whole in found if whole and not refusal(item, rules.filter)]


REPLIES = [
    " Name a big RIVER of Asia.\n10. Sort these words, please.\n11 . Say who wrote it.",
    " Name a big river now\n10.\tSort these words, please.\n 11. Say who wrote it.\n12.No space.",
    " Name a big river now\n10.  Sort these words, please.\n11\t. Say who wrote it\n\n12. X y z w",
    " a b c d" + "".join(f"\n{number}. e f g {number}" for number in (10, 10, 1, 2, 3, 4, 5, 6)),
    " Draw a nice big cat\n10. Write a program that sorts lists\n11. - begin with a dash\n12. Élan "
    "vital is this",
    "- 10.\n10\n10 **11. Sort** these\n**12. Name the rivers of Asia**",
]
PARTS = ["\n", "10", "9", ".", " .", ". ", " ", "\t", "Sort the LIST", "a b c d", "draw", "-", "É"]


@pytest.mark.parametrize("finish", ["stop", "length"])
@pytest.mark.parametrize("text", REPLIES)
def test_a_reply_gives_the_instructions_that_it_gives_there(text: str, finish: str) -> None:
    assert our_instructions(text, finish) == their_instructions(text, finish)


@given(st.lists(st.sampled_from(PARTS), max_size=40), st.sampled_from(["stop", "length"]))
@pytest.mark.slow
def test_any_reply_does(parts: list[str], finish: str) -> None:
    text = "".join(parts)
    assert our_instructions(text, finish) == their_instructions(text, finish)


def test_spaces_and_tabs_tell_the_two_ways_of_splitting_apart() -> None:
    spaced = RULES.model_copy(update={"splitting": "spaced"})
    assert our_instructions(REPLIES[1], "stop", spaced) != their_instructions(REPLIES[1], "stop")
    named = RULES.model_copy(update={"numbering": "Task {number}:"})
    text = " Name a river now\nTask 10: Sort the words now\nTask 11:Say who wrote it"
    assert our_instructions(text, "stop", named) == [
        "Name a river now",
        "Sort the words now task 11:say who wrote it",
    ]


def test_the_prompt_is_theirs_byte_for_byte() -> None:
    texts = [f"Name\n {number}  things: " for number in range(8)]
    assert PROMPT.fill(tasks=task_list(texts, RULES.numbering)) == their_prompt(texts)


def test_the_numbers_are_theirs() -> None:
    sampling = decoding(RULES)
    assert sampling.stop == ("\n\n", "\n16", "16.", "16 .")
    assert (sampling.temperature, sampling.top_p, sampling.max_new_tokens) == (0.7, 0.5, 1024)
    assert sampling.presence_penalty == 2.0 and RULES.prompts_per_round == 5
    assert (RULES.human_demonstrations, RULES.machine_demonstrations) == (6, 2)
    assert set(RULES.filter.keywords) == {*WORDS.split(), "go to"}
    instances = EXPERIMENT.instances
    assert instances.sampling.stop == ("Example 6", "Task:")
    assert (instances.sampling.temperature, instances.sampling.presence_penalty) == (0.0, 1.5)
    assert instances.sampling.max_new_tokens == 350 and instances.prompts_per_round == 5
    assert instances.per_instruction == 5 and EXPERIMENT.sft.include_seeds
    assert (EXPERIMENT.sft.epochs, EXPERIMENT.sft.strip_label_share) == (2, 0.5)
    assert EXPERIMENT.superni.max_new_tokens == EXPERIMENT.users.max_new_tokens == 1024
    assert EXPERIMENT.users.stop == () and EXPERIMENT.superni.end_of_text
    assert EXPERIMENT.subsets.order == "random"


def test_the_branch_for_classification_tasks_is_theirs() -> None:
    branch = EXPERIMENT.instances.classification
    assert branch is not None and branch.methods == ("self-instruct",)
    told = branch.identification
    assert (told.temperature, told.presence_penalty, told.max_new_tokens) == (0.0, 0.0, 3)
    assert told.stop == ("\n", "Task")
    rows = [Instruction(f"i{n:06d}", "x", 0, 0, [], "", 0.0, "", 0.0, 0, 0) for n in range(5)]
    for tasks in (set(), {"i000003"}, {row.id for row in rows}):
        parts = parts_of(rows, EXPERIMENT.instances, tasks)
        limit = 300 if tasks else 350
        assert all(part.sampling.max_new_tokens == limit for part in parts)
        assert all(part.sampling.presence_penalty == 1.5 for part in parts)
        asked = {rows[n].id: part.template for part in parts for n in part.places}
        assert {name for name, how in asked.items() if how == "output first"} == tasks


# encode_instance, as prompt and completion without <|endoftext|>.
WITH_INPUT = [
    ("{instruction}\nInput: {input}\nOutput:", " {output}"),
    ("{instruction}\n\nInput: {input}\n\nOutput:", " {output}"),
    ("Task: {instruction}\nInput: {input}\nOutput:", " {output}"),
    ("{instruction}\n\n{input}\n\nOutput:", " {output}"),
    ("{instruction}\n\n{input}\n\n", "{output}"),
    ("{instruction}\n{input}\n\n", "{output}"),
    ("Task: {instruction}\n\n{input}\n\n", "{output}"),
]
WITHOUT_INPUT = [
    ("{instruction} Output:", " {output}"),
    ("{instruction}\nOutput:", " {output}"),
    ("{instruction}\n\nOutput:", " {output}"),
    ("{instruction}\n", "{output}"),
    ("{instruction}\n\n", "{output}"),
    ("Task: {instruction}\n\n", "{output}"),
]


def test_the_encodings_of_fine_tuning_are_theirs() -> None:
    stated = json.loads((ROOT / EXPERIMENT.prompts.sft).read_text())
    for kind, theirs in (("with_input", WITH_INPUT), ("without_input", WITHOUT_INPUT)):
        assert [(each["prompt"], each["completion"]) for each in stated[kind]] == theirs


def test_exactly_the_threshold_is_kept() -> None:
    """7 of 10 words in common, both ways: `if max(...) > 0.7: continue`."""
    first = "one two three four five six seven eight nine ten"
    rules = RULES.novelty
    pool = NoveltyPool([first], threshold=rules.threshold, tie=rules.tie, tokens=rules.tokens)
    tied = "one two three four five six seven red green blue"
    near = "one two three four five six seven eight green blue"
    assert pool.offer(tied).reason is None and pool.offer(near).reason == "similar"


SAID_OF = {" Yes": True, "yes": True, "\nYES ": True, "Yes.": False, "No": False, "": False}


@pytest.mark.parametrize("text", SAID_OF)
def test_a_classification_task_is_told_as_there(text: str) -> None:
    """`data["is_classification"].strip() in ["Yes", "yes", "YES"]`."""
    assert (is_classification(text) is True) is SAID_OF[text]


@pytest.mark.skipif("REFINE_AF_MIRROR" not in os.environ, reason="REFINE_AF_MIRROR is not set")
def test_their_own_seeds_make_the_prompt_and_are_trained_on() -> None:
    path = Path(os.environ["REFINE_AF_MIRROR"], "seed_tasks.jsonl")
    rows = [json.loads(line) for line in path.open(encoding="utf-8")]
    texts = [row["instruction"] for row in rows]
    for start in range(0, 168, 8):
        shown = texts[start : start + 8]
        assert PROMPT.fill(tasks=task_list(shown, RULES.numbering)) == their_prompt(shown)
    instances = read_seed_instances(path)
    assert len(rows) == len(instances) == 175
    assert sum(not row.input for row in instances) == 50
