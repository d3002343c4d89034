"""Classification tasks: what a reply to the question says, and the pairs that a label begins.

What is compared with is yizhongw/self-instruct@0b26ccaa, self_instruct/prepare_for_finetuning.py,
written down anew.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.prompts.class_labels import is_classification, parse_class_labels
from refine_af.prompts.completions import Pair, judged, parse_completion


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" Yes", True),
        ("yes\n", True),
        ("YES", True),
        ("\tNo ", False),
        ("no", False),
        ("NO", False),
        ("yEs", None),  # none of the three spellings
        ("Yes.", None),
        ("Yes, it is", None),
        ("No\nYes", None),
        ("", None),
        (" Ja", None),
        ("\ud800\0\u2028", None),
    ],
)
def test_three_spellings_say_yes(text: str, says: bool | None) -> None:
    assert is_classification(text) is says


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Class label: Positive\nSentence: nice", [Pair("Sentence: nice", "Positive")]),
        (
            "Class label: a\nText: x\nClass label: b\nText: y\nand more\n\n",
            [Pair("Text: x", "a"), Pair("Text: y\nand more", "b")],
        ),
        ("Class label: Montreal", [Pair("", "Montreal")]),
        ("before it\nClass label: a", [Pair("", "a")]),  # what stands before is dropped
        ("Class label: a Class label: b", [Pair("", "a"), Pair("", "b")]),
        # the label's line is the first with anything in it
        ("Class label:\n\n  a \n x", [Pair("x", "a")]),
        ("Class label:a\r\nx\r\n", [Pair("x", "a")]),
        ("Class label:", [Pair("", "")]),
        ("Class label:\nClass label: a", [Pair("", ""), Pair("", "a")]),
        ("class label: a", []),  # upper and lower case count
        ("Class label : a", []),
        ("Class  label: a", []),
        ("Label: a", []),
        ("Example 1\nInput: a\nOutput: b", []),
        ("", []),
        ("Class label: Output: a\nInput: x", [Pair("Input: x", "Output: a")]),
    ],
)
def test_self_instructs_rules(text: str, pairs: list[Pair]) -> None:
    assert parse_class_labels(text) == pairs


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ("Class label: a\nx\nClass label: b\ny", [None, None]),
        ("Class label: a\nx\nClass label: b\nx", ["contradictory"] * 2),
        ("Class label: a\nx\nClass label: a\nx", [None, "duplicate"]),
        ("Class label: a\nClass label: b", [None, None]),  # without an input nothing contradicts
        ("Class label: a\na\nClass label: b\nx", ["input equals output", None]),
        ("Class label:\nClass label: b\nx", ["input equals output", None]),
        ("Class label: a:\nx\nClass label: b\nText:", ["ends with colon"] * 2),
        # one that is refused by itself contradicts no other
        ("Class label: a:\nx\nClass label: b\nx", ["ends with colon", None]),
    ],
)
def test_what_is_refused(text: str, reasons: list[str | None]) -> None:
    assert [why for _, why in judged(text, truncated=False, parse=parse_class_labels)] == reasons


def test_a_truncated_reply_loses_its_last_pair() -> None:
    text = "Class label: a\nx\nClass label: b\nunfini"
    assert parse_class_labels(text, truncated=True) == [Pair("x", "a")]
    assert judged(text, truncated=True, parse=parse_class_labels) == [
        (Pair("x", "a"), None),
        (Pair("unfini", "b"), "truncated"),
    ]
    # what is cut off contradicts nothing, as in the source
    same = "Class label: a\nx\nClass label: b\nx"
    assert [why for _, why in judged(same, truncated=True, parse=parse_class_labels)] == [
        None,
        "truncated",
    ]
    assert parse_class_labels("Class label: a", truncated=True) == []


@pytest.mark.parametrize(
    "text",
    [
        "**Class label:** a\nx\n**Class label**: b\ny",
        "### Class label: a\nx\n\n### Class label: b\ny",
        "- **Class label:** a\nx\n- **Class label:** b\ny",
        "**Class label: a**\nx\n__Class label: b__\ny",
    ],
)
def test_markdown_around_labels_does_not_count(text: str) -> None:
    assert parse_class_labels(text) == [Pair("x", "a"), Pair("y", "b")]


def test_each_prompt_has_labels_of_its_own() -> None:
    assert parse_completion("**Class label:** a") == []
    assert parse_class_labels("**Output:** a\nClass label: b\n**x**") == [Pair("**x**", "b")]


Texts = tuple[str, str]


def their_pairs(text: str, finish: str) -> set[Texts]:
    """parse_instances_for_classification_task, with its two filters."""
    if "Class label:" not in text:
        return set()
    found: list[Texts] = []
    for part in text.split("Class label:")[1:]:
        lines = part.strip().split("\n", 1)
        given = lines[1].strip() if len(lines) == 2 else ""
        found.append((given, lines[0].strip()))
    if finish == "length":
        found = found[:-1]
    found = [
        (given, label)
        for given, label in found
        if given != label and label and not given.endswith(":") and not label.endswith(":")
    ]
    for index, (given, label) in enumerate(found):
        if given and any(given == x and label != y for x, y in found[:index]):
            return set()
    return set(found)


PARTS = [
    "Class label:",
    "Class label: ",
    "\n",
    " ",
    "a",
    "b",
    "x:",
    "Text: y",
    "\r",
    "Output:",
    ":",
]
PARTS += ["class label:", "é", "\ud800", "\u2028"]


@given(st.lists(st.sampled_from(PARTS), max_size=30), st.sampled_from(["stop", "length"]))
def test_any_reply_gives_the_pairs_that_it_gives_there(parts: list[str], finish: str) -> None:
    text = "".join(parts)
    found = judged(text, truncated=finish == "length", parse=parse_class_labels)
    assert {(pair.input, pair.output) for pair, why in found if not why} == their_pairs(
        text, finish
    )


@given(st.text(st.characters(exclude_categories=())), st.booleans())
def test_hostile_replies_are_read_all_the_same(text: str, truncated: bool) -> None:
    assert is_classification(text) in (True, False, None)
    for reply in (text, f"Class label:{text}\n{text}Class label:"):
        for pair in parse_class_labels(reply, truncated=truncated):
            assert pair.input == pair.input.strip() and pair.output == pair.output.strip()


def test_a_long_reply_takes_no_longer_than_its_length() -> None:
    began = time.monotonic()
    for text in (
        "Class label:" * 20_000,
        "**Class label " * 20_000,
        "\n*" * 50_000 + "\t" * 50_000,
    ):
        parse_class_labels(text)
    assert time.monotonic() - began < 5
