"""What a journal has taken is there again, whenever the process before was killed."""

from __future__ import annotations

import errno
import math
import os
import random
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from killing import HOWS, How, draws, killed, landed_from, writes
from refine_af.errors import InputError
from refine_af.files.journal import Journal
from refine_af.files.rows import json_line

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ROWS = st.lists(st.dictionaries(st.text(), VALUES, max_size=3), max_size=5)


@dataclass(frozen=True)
class Scored:
    """A row as stages keep them."""

    request: int
    finish: Literal["stop", "length"]
    score: float | None


def held(path: Path) -> list[dict[str, Any]]:
    with Journal(path) as journal:
        return [row for _, row in journal.rows]


@pytest.mark.slow
@given(batches=st.lists(ROWS, max_size=4))
def test_rows_are_there_at_the_next_opening(
    batches: list[list[dict[str, Any]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "rows.jsonl"
    for number, batch in enumerate(batches):
        with Journal(path) as journal:
            assert [row for _, row in journal.rows] == list(chain(*batches[:number]))
            journal.append(batch)
            journal.sync()
    assert held(path) == list(chain(*batches))


@given(rows=ROWS, more=ROWS, data=st.data())
def test_a_file_cut_anywhere_keeps_its_whole_lines(
    rows: list[dict[str, Any]],
    more: list[dict[str, Any]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("journal") / "rows.jsonl"
    content = b"".join(map(json_line, rows))
    part = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(part)
    whole = part.count(b"\n")
    with Journal(path) as journal:
        assert journal.rows == [
            (f"{path}, line {number}", row) for number, row in enumerate(rows[:whole], 1)
        ]
        journal.append(more)
    assert held(path) == rows[:whole] + more


@given(synced=ROWS, later=ROWS, data=st.data())
def test_a_power_cut_takes_nothing_that_was_synced(
    synced: list[dict[str, Any]],
    later: list[dict[str, Any]],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Of what came after the sync any block may be missing, and reads as zeros, or the end.

    Where whole rows stand behind a lost one, a person decides, and nothing is cut off.
    """
    path = tmp_path_factory.mktemp("journal") / "rows.jsonl"
    safe, rest = (b"".join(map(json_line, rows)) for rows in (synced, later))
    rest = rest[: data.draw(st.integers(0, len(rest)))]
    blocks = [rest[start : start + 8] for start in range(0, len(rest), 8)]
    path.write_bytes(
        safe + b"".join(data.draw(st.sampled_from((b, b"\0" * len(b)))) for b in blocks)
    )
    spoilt = path.read_bytes()
    try:
        rows = held(path)
    except InputError as error:
        assert "holds a NUL byte, and whole lines follow" in str(error)
        assert path.read_bytes() == spoilt
    else:
        assert rows == (synced + later)[: len(rows)] and len(rows) >= len(synced)


@pytest.mark.parametrize(
    "torn",
    [
        b'{"row": 2',
        b'{"row": 2}',  # whole but for its newline, which may not be all that is missing
        b"\xff\xfe",
        b"\0" * 5000,
        b'{"row": 2}\0\0\0',
        b'{"row\0\0\0\0\n{"row": 3',
    ],
)
def test_what_an_unfinished_append_left_is_cut_off(
    torn: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"row": 1}\n' + torn)
    assert held(path) == [{"row": 1}]
    said = capsys.readouterr().out
    assert said == f"{path}: cut off {len(torn)} bytes of an unfinished append\n"
    assert path.read_bytes() == b'{"row": 1}\n'
    assert held(path) == [{"row": 1}] and capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"row": "\xff"}', "not UTF-8 at byte 9"),
        (b'{"row": 2', "not JSON"),
        (b"", "an empty line"),
        (b'{"row": "\0"}', "holds a NUL byte, and whole lines follow"),
        (b"[2]", "not a JSON object"),
    ],
)
def test_other_damage_is_refused_and_left_alone(line: bytes, wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    content = b'{"row": 1}\n' + line + b'\n{"row": 3}\n'
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        Journal(path)
    assert str(caught.value).startswith(f"{path}, line 2: {wanted}")
    assert path.read_bytes() == content


def test_figures_that_are_no_numbers_come_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "rows.jsonl") as journal:
        journal.append([{"a": math.nan, "b": -math.inf, "c": 0.1 + 0.2, "d": "\ud800"}])
    (row,) = held(tmp_path / "rows.jsonl")
    assert math.isnan(row["a"]) and row["b"] == -math.inf
    assert (row["c"], row["d"]) == (0.30000000000000004, "\ud800")


def test_rows_are_read_as_records(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    rows = [{"request": 0, "finish": "stop", "score": 1}]
    rows += [{"request": 1, "finish": "length", "score": None}]
    path.write_bytes(b"".join(map(json_line, rows)))
    with Journal(path) as journal:
        assert journal.records(Scored) == [Scored(0, "stop", 1), Scored(1, "length", None)]


@pytest.mark.parametrize(
    ("row", "wanted"),
    [
        ({"request": 0, "finish": "stop"}, "no 'score'"),
        ({"request": 0, "finish": "eos", "score": 1.0}, "'finish' is no .*: 'eos'"),
        ({"request": 0, "finish": ["stop"], "score": 1.0}, "'finish' is no "),
        ({"request": 0, "finish": "stop", "score": "1"}, "'score' is no .*: '1'"),
        ({"request": True, "finish": "stop", "score": 1.0}, "'request' is no int: True"),
    ],
)
def test_a_row_that_is_no_record_is_named(row: dict[str, Any], wanted: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(json_line({"request": 0, "finish": "stop", "score": 0.5}) + json_line(row))
    with Journal(path) as journal, pytest.raises(InputError, match=f"{path}, line 2: {wanted}"):
        journal.records(Scored)


def test_short_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system = os.write
    monkeypatch.setattr(os, "write", lambda file, data: system(file, data[:3]))
    with Journal(tmp_path / "rows.jsonl") as journal:
        journal.append([{"row": 1}, {"text": "ééé"}])
    assert (tmp_path / "rows.jsonl").read_bytes() == '{"row": 1}\n{"text": "ééé"}\n'.encode()


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses bytes past `size`, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("repairable", [True, False])
def test_where_the_disk_is_full_the_last_whole_line_stays(
    repairable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    path = tmp_path / "rows.jsonl"
    journal = Journal(path)
    journal.append([{"row": 1}])
    monkeypatch.setattr(os, "ftruncate", os.ftruncate if repairable else refuse)
    with (
        pytest.raises(InputError, match=f"{path}: cannot be written: File too large"),
        largest_file(30),  # two lines of 11 bytes, and 8 of the third
    ):
        journal.append([{"row": 2}, {"row": 3}])
    assert path.stat().st_size == (22 if repairable else 30)
    with pytest.raises(InputError, match="cannot be written"):
        journal.append([{"row": 3}])  # would stand on the torn line
    assert held(path) == [{"row": 1}, {"row": 2}]


def test_a_row_that_is_no_json_leaves_no_trace(tmp_path: Path) -> None:
    with Journal(tmp_path / "rows.jsonl") as journal, pytest.raises(TypeError):
        journal.append([{"row": 1}, {"row": object()}])
    assert (tmp_path / "rows.jsonl").read_bytes() == b""


def test_a_disk_that_fails_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(InputError, match=r"rows\.jsonl: cannot be written: No such file"):
        Journal(tmp_path / "nowhere" / "rows.jsonl")
    with Journal(tmp_path / "rows.jsonl") as journal:
        monkeypatch.setattr(os, "fsync", refuse)
        with pytest.raises(InputError, match=r"rows\.jsonl: cannot be written: Input/output error"):
            journal.sync()


# A stage in small: it keeps six numbers, two at a time, and lands them in a folder.
STAGE = """
import sys
from pathlib import Path
from refine_af.files.journal import Journal
from refine_af.files.landing import whole_folder
from refine_af.files.rows import write_rows
from refine_af.jobs.scratch import scratch

with scratch(Path("progress"), "5eed" * 16) as place, Journal(place.folder / "rows.jsonl") as kept:
    rows = [row for _, row in kept.rows]
    while len(rows) < 6:
        batch = [{"n": n, "square": n * n} for n in range(len(rows), min(6, len(rows) + 2))]
        kept.append(batch)
        kept.sync()
        rows += batch
    with whole_folder(Path("out")) as folder:
        write_rows(folder / "rows.jsonl", rows)
        (folder / "sum.txt").write_text(f"{sum(row['square'] for row in rows)}\\n")
"""
KEPT = "progress/5eed5eed5eed5eed/rows.jsonl"


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """The small stage as a script, outside the folder that it runs in."""
    path = tmp_path / "stage.py"
    path.write_text(STAGE)
    return path


def new_folder(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


def finish(stage: Path, root: Path) -> list[str]:
    """Run the stage as Snakemake does after a kill: what there is of the output is deleted."""
    shutil.rmtree(root / "out", ignore_errors=True)
    return writes(stage, root=root)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a folder but the lock, which names a process."""
    files = [path for path in root.rglob("*") if path.is_file() and path.name != "lock"]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_what_the_small_stage_writes(stage: Path, tmp_path: Path) -> None:
    root = new_folder(tmp_path / "whole")
    operations = writes(stage, root=root)
    # The folders and the journal are on disk before the first row counts as kept.
    kept = [f"write {KEPT}", f"fsync {KEPT}"]
    assert operations[:14] == [
        *("mkdir progress", "fsync ."),
        *("ftruncate progress/lock", "write progress/lock"),
        *("mkdir progress/5eed5eed5eed5eed", "fsync progress"),
        "fsync progress/5eed5eed5eed5eed",
        *kept * 3,
        "mkdir .out.partial",
    ]
    assert landed_from(operations) == 14
    assert operations[-2:] == ["replace .out.partial out", "fsync ."]
    squares = [0, 1, 4, 9, 16, 25]
    rows = "".join(f'{{"n": {n}, "square": {square}}}\n' for n, square in enumerate(squares))
    wanted = {KEPT: rows.encode(), "out/rows.jsonl": rows.encode(), "out/sum.txt": b"55\n"}
    assert contents(root) == wanted


def test_a_torn_line_is_cut_off_on_disk_before_anything_follows_it(
    stage: Path, tmp_path: Path
) -> None:
    root = new_folder(tmp_path / "torn")
    (root / KEPT).parent.mkdir(parents=True)
    (root / KEPT).write_bytes(b'{"n": 0, "square": 0}\n{"n": 1')
    operations = writes(stage, root=root)
    start = operations.index(f"truncate {KEPT}")
    assert operations[start + 1 : start + 3] == [f"fsync {KEPT}", f"write {KEPT}"]


def test_killed_anywhere_a_stage_ends_with_the_same_bytes(stage: Path, tmp_path: Path) -> None:
    root = new_folder(tmp_path / "whole")
    operations = writes(stage, root=root)
    wanted = contents(root)
    rng = random.Random("two kills")
    for at, operation in enumerate(operations, 1):
        for how in HOWS:
            if how == "within" and not operation.startswith("write "):
                continue
            root = new_folder(tmp_path / "killed")
            assert killed(stage, root=root, at=at, how=how) == operations[:at]
            rows = (root / KEPT).read_bytes().count(b"\n") if (root / KEPT).exists() else 0
            before = shutil.copytree(root, tmp_path / "before", dirs_exist_ok=False)
            resumed = finish(stage, root)
            assert contents(root) == wanted, (operation, how)
            # What was kept is not computed again: each append is of two rows.
            assert resumed.count(f"write {KEPT}") == math.ceil((6 - rows) / 2), (operation, how)

            if rng.random() < 1 / 3:  # of the processes, which cost most of the time
                again, manner = rng.randint(1, len(resumed)), rng.choice(HOWS)
                shutil.rmtree(before / "out", ignore_errors=True)
                killed(stage, root=before, at=again, how=manner)
                finish(stage, before)
                assert contents(before) == wanted, (operation, how, resumed[again - 1], manner)
            shutil.rmtree(before)


def test_a_stage_that_can_be_spoilt_is_found_out(tmp_path: Path) -> None:
    careless = tmp_path / "careless.py"
    careless.write_text(
        "from pathlib import Path\n"
        "with open('kept', 'a+', buffering=1) as kept:\n"
        "    kept.seek(0)\n"
        "    for n in range(len(kept.readlines()), 3):\n"
        "        kept.write(f'number {n}\\n')\n"
    )
    root = new_folder(tmp_path / "root")
    assert writes(careless, root=root) == ["write kept"] * 3
    assert (root / "kept").read_text() == "number 0\nnumber 1\nnumber 2\n"
    root = new_folder(root)
    killed(careless, root=root, at=2, how="within")
    writes(careless, root=root)
    assert (root / "kept").read_text() == "number 0\nnumbnumber 2\n"


@pytest.mark.parametrize(
    "save",
    [
        "os.write(os.open('file', os.O_WRONLY | os.O_CREAT), b'abcdefgh')",
        "Path('file').write_text('abcdefgh')",
        "file = open('file', 'wb'); file.writelines([b'abc', b'defgh']); file.close()",
        "print('abcdefgh', end='', file=open('file', 'w'))",
    ],
)
def test_bytes_reach_a_file_not_at_all_by_half_or_wholly(save: str, tmp_path: Path) -> None:
    script = tmp_path / "save.py"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script.write_text(
        "import os\nfrom pathlib import Path\nprint('not counted', flush=True)\n"
        f"Path({str(elsewhere)!r}, 'file').write_text('nor this')\n"
        f"{save}\nos.rename('file', 'renamed')\n"
    )
    root = new_folder(tmp_path / "root")
    assert writes(script, root=root) == ["write file", "rename file renamed"]
    ends: tuple[tuple[int, How, dict[str, bytes]], ...] = (
        (1, "before", {"file": b""}),
        (1, "within", {"file": b"abcd"}),
        (1, "after", {"file": b"abcdefgh"}),
        (2, "before", {"file": b"abcdefgh"}),
        (2, "within", {"file": b"abcdefgh"}),
        (2, "after", {"renamed": b"abcdefgh"}),
    )
    for at, how, wanted in ends:
        root = new_folder(root)
        killed(script, root=root, at=at, how=how)
        assert contents(root) == wanted, (at, how)


def test_a_kill_that_does_not_come_is_no_kill(tmp_path: Path) -> None:
    script = tmp_path / "save.py"
    script.write_text("from pathlib import Path\nPath('file').write_text('abc')\n")
    root = new_folder(tmp_path / "root")
    with pytest.raises(AssertionError, match="after 1 writes, wanted a death at number 2"):
        killed(script, root=root, at=2, how="before")
    script.write_text("import os\nos.kill(os.getpid(), 9)\n")
    with pytest.raises(AssertionError, match="after 0 writes, wanted a death at number 1"):
        killed(script, root=root, at=1, how="before")
    with pytest.raises(AssertionError, match="status -9"):
        writes(script, root=root)


OPERATIONS = [*["write kept", "fsync kept"] * 20, "mkdir .out.partial", "write .out.partial/rows"]
OPERATIONS += ["fsync .out.partial/rows", "replace .out.partial out", "fsync ."]


@pytest.mark.parametrize("kills", [None, 2, 30, 1000])
def test_kills_are_drawn_from_the_first_write_to_the_last(
    kills: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REFINE_AF_KILLS", raising=False)
    if kills:
        monkeypatch.setenv("REFINE_AF_KILLS", str(kills))
    assert landed_from(OPERATIONS) == 41
    for number in range(100):
        chosen = draws(OPERATIONS, f"test {number}")
        # 45 writes, two points each, and a third where there are bytes.
        assert len(chosen) == len(set(chosen)) == min(kills or 5, 45 * 2 + 21)
        assert any(how == "within" and OPERATIONS[at - 1][:6] == "write " for at, how in chosen)
        assert max(at for at, _ in chosen) >= 41
        assert kills == 2 or min(at for at, _ in chosen) <= 15
        assert draws(OPERATIONS, f"test {number}") == chosen
    assert len({tuple(draws(OPERATIONS, str(number))) for number in range(9)}) > 1 or kills == 1000
