"""Rows survive whatever a model wrote, and land whole or not at all."""

from __future__ import annotations

import errno
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.files.landing import check_free, whole_file, whole_folder
from refine_af.files.rows import json_line, read_records, read_rows, write_records
from refine_af.records.cells import Tuned, method_and_replicate, tuned_cell
from refine_af.records.evaluation import Prediction
from refine_af.records.human_tasks import read_seeds
from refine_af.records.instances import Instance

ANY_TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too


@given(texts=st.lists(ANY_TEXT, max_size=5))
def test_any_text_survives_a_file(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("records") / "rows.jsonl"
    scores = (0.1 + 0.2, {"a": 1e-300, "b": -0.0, "c": 5e-324, "d": 1.0})
    rows = [
        Instance(str(i), "i0", "refine-af", text, text, text, text, *scores)
        for i, text in enumerate(texts)
    ]
    write_records(path, rows)
    assert read_records(path, Instance) == rows


@given(
    method=st.sampled_from(["self-instruct", "refine-af"]),
    size=st.integers(1, 10**9),
    ppo=st.integers(1, 1000),
    sft=st.integers(1, 1000),
)
def test_a_cells_name_tells_what_made_it(method: str, size: int, ppo: int, sft: int) -> None:
    cell = Tuned(method, str(size), ppo, sft)
    assert tuned_cell(cell.name) == cell
    assert method_and_replicate(cell.data_set) == (method, ppo)
    first = Tuned(method, str(size))
    assert first.name == f"{method}_{size}" and first.data_set == method
    assert (cell.name == first.name) == (ppo == sft == 1)


def test_what_is_no_cell_or_data_set() -> None:
    for name in (
        "base",
        "refine-af",
        "refine-af_r2",
        "refine-af_5_r",
        "evol_5",
        "refine-af_5_r2_r3",
    ):
        assert tuned_cell(name) is None
    with pytest.raises(InputError, match=r"^'refine-af_2' is no data set of self-instruct, refine"):
        method_and_replicate("refine-af_2")


def test_a_row_is_one_line_whatever_it_holds() -> None:
    line = json_line({"text": "a\nb\r\u2028\u2029\x85\x00é\ud800"})
    assert line.count(b"\n") == 1 and line.endswith(b"\n")
    assert "é" in json_line({"text": "é"}).decode("utf-8")


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ('{"id": "a", "prediction": "b"}', "no 'finished'"),
        ('{"id": "a", "prediction": "b", "finished": 1}', "'finished' is no bool: 1"),
        ('{"id": "a", "prediction": null, "finished": true}', "'prediction' is no str: None"),
        ('{"id": "a", "prediction": "b", "finished": true, "x": 1}', "unknown key 'x'"),
        ('{"id": "a", "id": "b", "prediction": "", "finished": true}', "key 'id' stands twice"),
        ('{"id": "a", "prediction": "", "finished": {"x": 1, "x": 1}}', "key 'x' stands twice"),
        ("[" * 100_000, "not JSON"),
        ("", "an empty line"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, wanted: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "0", "prediction": "", "finished": false}\n' + line + "\n")
    with pytest.raises(InputError) as caught:
        read_records(path, Prediction)
    assert f"{path}, line 2" in str(caught.value) and wanted in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1, "a": 2}', 1),
        ('{\n "b": {"a": "{\\"b\\": 1}"},\n "a": [{"x": 1}, {"x": 1,\n "\\u0078": 2}]\n}', 4),
    ],
)
def test_a_key_that_stands_twice_in_a_document_is_named(
    text: str, line: int, tmp_path: Path
) -> None:
    path = tmp_path / "prompts.json"
    path.write_text(text)
    with pytest.raises(InputError, match=rf"prompts\.json, line {line}: the key .* stands twice"):
        read_document(path)
    path.write_text('{"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}')
    assert read_document(path) == {"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}


def test_a_seed_with_a_key_twice_is_refused_with_file_and_line(tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.jsonl"
    sound = '{"id": "a", "instruction": "Sort the list."}\n'
    seeds.write_text(sound + '{"id": "b", "instruction": "Count.", "instruction": "Name."}\n')
    with pytest.raises(
        InputError, match=r"seeds\.jsonl, line 2: the key 'instruction' stands twic"
    ):
        read_seeds(seeds)


def test_a_file_lands_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"
    with pytest.raises(ZeroDivisionError), whole_file(path) as aside:
        aside.write_text("half")
        _ = 1 / 0
    assert list(path.parent.iterdir()) == []
    with whole_file(path) as aside:
        aside.write_text("whole")
    assert path.read_text() == "whole" and list(path.parent.iterdir()) == [path]


def test_who_comes_later_takes_a_file_over(tmp_path: Path) -> None:
    """The earlier one, an orphan, lands nothing, whenever it ends, and spoils nothing."""
    path = tmp_path / "file"
    for late in (True, False):
        with ExitStack() as earlier, ExitStack() as later:
            with open(earlier.enter_context(whole_file(path)), "w") as orphan:
                orphan.write("old " * 9000)
                later.enter_context(whole_file(path)).write_text("new")
                if late:
                    later.close()
                orphan.write("old " * 9000)
            with pytest.raises(InputError, match="file: another process has begun to write it"):
                earlier.close()
        assert path.read_text() == "new" and list(tmp_path.iterdir()) == [path]
        path.unlink()


def test_a_folder_lands_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    with pytest.raises(ZeroDivisionError), whole_folder(path) as aside:
        (aside / "one").write_text("1")
        _ = 1 / 0
    assert list(tmp_path.iterdir()) == []
    path.mkdir()  # as Snakemake may
    with whole_folder(path) as aside:
        (aside / "deep").mkdir()
        (aside / "deep" / "one").write_text("1")
    assert (path / "deep" / "one").read_text() == "1"
    assert list(tmp_path.iterdir()) == [path]


def test_seeds_keep_upstreams_other_keys_unread(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text('{"id": "a", "instruction": "Sort.", "instances": [], "name": "n"}\n')
    assert [seed.instruction for seed in read_seeds(path)] == ["Sort."]
    path.write_text('{"id": "", "instruction": "Sort."}\n')
    with pytest.raises(InputError, match="line 1: an empty id"):
        read_seeds(path)
    path.write_text('{"id": "i000001", "instruction": "Sort."}\n')
    with pytest.raises(InputError, match="line 1: id 'i000001' is of the form that generated"):
        read_seeds(path)
    path.write_text("")
    with pytest.raises(InputError, match="holds no seed task"):
        read_seeds(path)


def test_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json_line({"text": "one\u2028two\x85three"}) * 2)
    assert [where for where, _ in read_rows(path)] == [f"{path}, line 1", f"{path}, line 2"]


def test_half_a_character_is_refused_in_a_seed(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text('{"id": "a", "instruction": "Sort \\ud800."}\n')
    with pytest.raises(InputError, match="line 1: half a character"):
        read_seeds(path)


def test_a_place_that_is_taken_or_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    check_free(tmp_path / "taken")
    (tmp_path / "taken" / "file").write_text("")
    with pytest.raises(InputError, match="taken: exists already"):
        check_free(tmp_path / "taken")
    with pytest.raises(InputError, match="cannot be written"):
        check_free(tmp_path / "taken" / "file" / "deeper" / "folder")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=r"rows: cannot be written: No space"),
        whole_file(tmp_path / "rows"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
