"""Prompt files: slots are filled once, and what fills them is never read again."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.errors import InputError
from refine_af.jobs.progress import duration
from refine_af.prompts.templates import prompt_of, read_prompt
from refine_af.randomness import derived_seed


def test_the_prefix_is_what_all_prompts_share() -> None:
    prompt = prompt_of("Do this.\nTask: {instruction}\n", {"instruction"}, "here")
    assert prompt.prefix == "Do this.\nTask:"
    assert prompt.tail(instruction="Sort.") == " Sort.\n"
    assert prompt.fill(instruction="Sort.") == "Do this.\nTask: Sort.\n"


@given(first=st.text(), second=st.text())
def test_a_value_is_never_a_slot(first: str, second: str) -> None:
    prompt = prompt_of("<{a}|{b}>", {"a", "b"}, "here")
    assert prompt.fill(a=first, b=second) == f"<{first}|{second}>"
    assert prompt.fill(a="{b}", b="\\1") == "<{b}|\\1>"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("no slot", "{instruction} is missing"), ("{instruction} {input}", "unknown slot {input}")],
)
def test_wrong_slots(tmp_path: Path, text: str, wanted: str) -> None:
    path = tmp_path / "prompt.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=wanted) as caught:
        read_prompt(path, {"instruction"})
    assert str(path) in str(caught.value)


def test_a_prompt_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "prompt.txt"
    path.write_bytes(b"{instruction}\xff")
    with pytest.raises(InputError, match="not UTF-8 at byte 13"):
        read_prompt(path, {"instruction"})
    path.write_text("{instruction}", encoding="utf-8-sig")
    with pytest.raises(InputError, match="begins with a byte order mark"):
        read_prompt(path, {"instruction"})


def test_seeds_differ_by_purpose_and_never_by_history() -> None:
    seeds = {derived_seed(0, "sampling", a, b) for a in range(30) for b in range(30)}
    assert len(seeds) == 900
    assert derived_seed(0, "a", 12) != derived_seed(0, "a1", 2)
    assert derived_seed(0, "x", 1) == derived_seed(0, "x", 1) < 2**63


def test_durations_in_words() -> None:
    assert [duration(s) for s in (0.4, 59, 61, 3725)] == ["0 s", "59 s", "1 min 1 s", "1 h 2 min"]
