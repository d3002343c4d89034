"""Pairs of input and output, read from what a model writes, whatever that is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.prompts.completions import REASONS, Pair, judged, parse_completion, refusal, refusals
from refine_af.prompts.markdown import plain_labels, plain_numbers


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("Output: yes", [Pair("", "yes")]),
        (" Output 1 : yes\n", [Pair("", "yes")]),
        ("Input: 3, 1\nOutput: 1, 3", [Pair("3, 1", "1, 3")]),
        ("Example 1\nList: 3, 1\nOutput: 1, 3", [Pair("List: 3, 1", "1, 3")]),
        (
            "Example 1\nInput: a\nOutput: b\n\nExample 2\nInput 2: c\nOutput: d",
            [Pair("a", "b"), Pair("c", "d")],
        ),
        ("Input: a\nOutput: b\nInput: c\nOutput: d", [Pair("a", "b")]),
        ("Output: a Output: b", [Pair("", "a")]),
        ("Example 1. a poem without the word", [Pair("", "a poem without the word")]),
        ("See Input: no\nOutput: b", [Pair("See Input: no", "b")]),
        ("a plain answer", []),
        ("", []),
        ("Example 1 Example 2", []),
        ("Output:", [Pair("", "")]),
    ],
)
def test_self_instructs_rules(text: str, pairs: list[Pair]) -> None:
    assert parse_completion(text) == pairs


def test_a_truncated_reply_loses_its_last_pair() -> None:
    text = "Example 1\nInput: a\nOutput: b\nExample 2\nInput: c\nOutp"
    assert parse_completion(text, truncated=True) == [Pair("a", "b")]
    assert parse_completion("Output: cut sho", truncated=True) == []
    assert judged(text, truncated=True) == [
        (Pair("a", "b"), None),
        (Pair("", ""), "truncated"),
    ]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (Pair("a", "b"), None),
        (Pair("", "b"), None),
        (Pair("a", "a"), "input equals output"),
        (Pair("", ""), "input equals output"),
        (Pair("a", ""), "empty output"),
        (Pair("List:", "b"), "ends with colon"),
        (Pair("a", "The answer is:"), "ends with colon"),
    ],
)
def test_what_is_no_instance(pair: Pair, reason: str | None) -> None:
    assert refusal(pair) == reason


def test_one_input_with_two_outputs_refuses_all() -> None:
    pairs = [Pair("a", "b"), Pair("a", "c"), Pair("d", "e"), Pair("f", "")]
    assert refusals(pairs) == ["contradictory"] * 3 + ["empty output"]
    assert refusals([Pair("", "b"), Pair("", "c")]) == [None, None], "no input, no contradiction"
    assert refusals([Pair("a", "b"), Pair("d", "e"), Pair("a", "b")]) == [None, None, "duplicate"]


@given(st.lists(st.sampled_from(["Example", "Output", "Input", ":", " ", "\n", "1", ".", "x"])))
def test_never_raises_and_every_pair_is_judged(parts: list[str]) -> None:
    text = "".join(parts)
    for truncated in (False, True):
        verdicts = judged(text, truncated=truncated)
        assert [pair for pair, _ in verdicts] == parse_completion(text)
        assert {reason for _, reason in verdicts} <= {None, *REASONS}


@pytest.mark.parametrize(
    "text",
    [
        "Output" + " " * 1_000_000,
        "Input" + " " * 500_000 + "1" * 500_000,
        "Output: x " + "Input" * 200_000,
        "Output 1" * 125_000,
        "Example" * 140_000,
        "Output:" * 140_000,
        "\0" * 1_000_000 + "Output:\ud800",
    ],
)
def test_a_megabyte_of_anything_is_read_in_linear_time(text: str) -> None:
    start = time.process_time()
    judged(text, truncated=True)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "text",
    [
        "**Input:** a\n**Output:** b",
        "**Input**: a\n**Output**: b",
        "__Input:__ a\n__Output:__ b",
        "***Input:*** a\n***Output:*** b",
        "*Input:* a\n*Output:* b",
        "`Input:` a\n`Output:` b",
        "## Input: a\n## Output: b",
        "### Input\na\n\n### Output\nb",
        "**Input**\na\n**Output**\nb",
        "#### **Input:**\na\n#### **Output:**\nb",
        "- **Input:** a\n- **Output:** b",
        "**Input:** a **Output:** b",
        "**Input: a**\n**Output: b**",
        "**Input 1:** a\n**Output 1:** b",
        "Input: a\nOutput: b\n\n###",
        "Example 1\nInput: a\nOutput: b\n\n**",
        "**Example 1**\n**Input:** a\n**Output:** b",
        "### Example 1:\n**Input:** a\n**Output:** b",
        "**Example 1.**\n1. **Input:** a\n2. **Output:** b",
    ],
)
def test_markdown_around_labels_does_not_count(text: str) -> None:
    assert parse_completion(text) == [Pair("a", "b")]


def test_markdown_parts_examples_too() -> None:
    text = "".join(f"**Example {n}:**\n**Input:** a{n}\n**Output:** b{n}\n\n" for n in range(3))
    assert parse_completion(text) == [Pair(f"a{n}", f"b{n}") for n in range(3)]
    headed = text.replace("**Example", "## Example").replace(":**\n**Inp", "\n**Inp")
    assert parse_completion(headed) == [Pair(f"a{n}", f"b{n}") for n in range(3)]


@pytest.mark.parametrize(
    ("text", "pair"),
    [
        ("Input: **a**\nOutput: **b** c\n# Output of it", Pair("**a**", "**b** c\n# Output of it")),
        ("Output:\n# a comment\nx = a**2 * __b__", Pair("", "# a comment\nx = a**2 * __b__")),
        ("Output: | a |\n|---|\n- b", Pair("", "| a |\n|---|\n- b")),
        ("Output: a\n#", Pair("", "a\n#")),
        ("Output: ```\nx\n```", Pair("", "```\nx\n```")),
        ("Output: ## Inputs\n## Output format\nb", Pair("", "## Inputs\n## Output format\nb")),
    ],
)
def test_markdown_elsewhere_is_the_models_own(text: str, pair: Pair) -> None:
    assert parse_completion(text) == [pair]


@given(st.text(alphabet="aI:n \n\t#`*_-12Output", max_size=60))
def test_a_reply_without_marks_beside_labels_is_read_as_before(text: str) -> None:
    plain = text.replace("*", "x").replace("_", "x").replace("`", "x").replace("##", "x")
    assert plain_labels(plain) == plain


@pytest.mark.parametrize(
    "text", ["**Input:" * 40_000, "## " * 100_000, "**" * 150_000, "_" * 300_000]
)
def test_a_megabyte_of_marks_is_read_in_linear_time(text: str) -> None:
    began = time.perf_counter()
    plain_labels(text)
    plain_numbers(text, "Task {number}:")
    assert time.perf_counter() - began < 5
