"""Ids that must differ are told apart by line, and digests are those of the standard."""

from __future__ import annotations

from pathlib import Path

import pytest

from refine_af.errors import InputError, doubled
from refine_af.files.digests import sha256_of, sha256_of_text
from refine_af.files.rows import each_once


def test_entries_listed_more_than_once_are_told_in_order() -> None:
    assert doubled([8, 1, 8, 1, 1, 2]) == ["1", "8"]
    assert doubled(iter("aba")) == ["a"]
    assert doubled([]) == []


def test_rows_come_with_their_lines_up_to_the_first_that_stood_before() -> None:
    came = []
    with pytest.raises(InputError, match=r"^f, line 4: word 'b' stands on line 2 too$"):
        for line, word in each_once(["a", "b", "c", "b", "a"], Path("f"), of=str, called="word"):
            came.append((line, word))
    assert came == [(1, "a"), (2, "b"), (3, "c")]


# FIPS 180-2, appendix B.1, and of nothing.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_digests_are_of_all_bytes(tmp_path: Path) -> None:
    for text, digest in (("abc", ABC), ("", NOTHING)):
        (tmp_path / "f").write_bytes(text.encode())
        assert sha256_of(tmp_path / "f") == sha256_of_text(text) == digest
    assert sha256_of_text("\ud83d") != sha256_of_text("?")
