"""Figure 8: which verbs and nouns it shows, how wide, and that its words are only words."""

from __future__ import annotations

import re
import warnings
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

from refine_af.report.verb_ring import commonest, shown_word, slices, verb_ring


def table(*rows: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["verb", "noun", "instructions"])


PAIRS = table(
    ("sort", "word", 4),
    ("sort", "list", 3),
    ("write", "poem", 3),
    ("sort", "name", 2),
    ("ask", "way", 3),
    ("go", "home", 2),
)


def test_the_commonest_verbs_with_their_commonest_nouns() -> None:
    shown = commonest(PAIRS, 3, 2).itertuples(index=False)
    assert [tuple(row) for row in shown] == [
        ("sort", "word", 4),
        ("sort", "list", 3),
        ("ask", "way", 3),  # as common as write, and before it in the alphabet
        ("write", "poem", 3),
    ]
    assert len(commonest(PAIRS, 20, 4)) == len(PAIRS)
    assert commonest(PAIRS[:0], 20, 4).empty


def test_a_wedge_is_as_wide_as_its_pair_is_common_and_a_verbs_as_its_nouns() -> None:
    inner, outer = slices(commonest(PAIRS, 2, 2))  # 4 + 3 of sort and 3 of ask: 36 degrees each
    assert [(w.word, round(w.start, 6), round(w.end, 6)) for w in outer] == [
        ("word", -54, 90),
        ("list", -162, -54),
        ("way", -270, -162),
    ]
    assert [(w.word, round(w.start, 6), round(w.end, 6)) for w in inner] == [
        ("sort", -162, 90),
        ("ask", -270, -162),
    ]
    assert [w.verb for w in outer] == [0, 0, 1]


def drawn(pairs: pd.DataFrame) -> Any:
    run: Any = SimpleNamespace(name="tiny", sources={"diversity": ["diversity_tiny"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return verb_ring(run, pairs, 20, 4)


def test_the_same_bytes_and_every_word_that_has_room() -> None:
    many = table(*((f"verb{v:02}", f"noun{n}", 1 + v + n) for v in range(30) for n in range(6)))
    first, second = drawn(many), drawn(many)
    assert (first.svg, first.png) == (second.svg, second.png)
    words = re.findall(r">(verb\d\d|noun\d)</text>", first.svg.decode())
    assert len(set(words) - {f"noun{n}" for n in range(6)}) == 20
    assert "verb29" in words and "verb09" not in words, "the 20 commonest"
    assert len(words) == 20 + 80
    assert list(first.numbers["instructions"][:4]) == [35, 34, 33, 32]


def test_a_wedge_too_narrow_for_its_word_has_none() -> None:
    svg = drawn(table(("sort", "word", 2000), ("sort", "list", 1))).svg.decode()
    assert re.findall(r">(sort|word|list)</text>", svg) == ["sort", "word"]


@pytest.mark.parametrize(
    "word", ["$x^2$", "a_b", "<b>&amp;", "\u202eright", "\x00\x1b", "语言", "\ue000", "x" * 999]
)
def test_a_models_word_is_a_word_and_no_markup(word: str) -> None:
    svg = drawn(table((word, word, 1))).svg.decode()
    said = shown_word(word).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert svg.count(f">{said}</text>") == 2
    assert not re.search("[\x00-\x08\x1b\u202e]", svg)


def test_words_are_cut_short_and_what_cannot_be_seen_is_marked() -> None:
    assert shown_word("a\tb\u200b") == "a\ufffdb\ufffd"
    assert shown_word("x" * 16) == "x" * 16 and shown_word("x" * 17) == "x" * 16 + "…"
