"""One process at a time holds a progress folder, and a stamp changes with all that counts."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_af.errors import InputError
from refine_af.jobs import scratch as module
from refine_af.jobs.scratch import (
    READ_WHOLE,
    Place,
    fingerprint,
    last_stamp,
    resumable,
    scratch,
)
from refine_af.jobs.sources import code_digest
from tiny import ROOT

MINE, OTHER = "ab" * 32, "cd" * 32
LIMIT_S = 30.0

# A stage that holds the folder until it is told to go on, by a file or by a signal.
HOLDER = """
import sys, time
from pathlib import Path
from refine_af.jobs.command_line import run
from refine_af.jobs.scratch import scratch

def main(*, folder: Path, stamp: str, go: Path) -> None:
    with scratch(folder, stamp) as place:
        print("held", place.folder.name, place.waited_for, flush=True)
        while not go.exists():
            time.sleep(0.01)
    print("left", flush=True)

run(main)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that holds tmp_path/cell under a stamp until tmp_path/go stands."""
    started = []

    def run(stamp: str = MINE) -> subprocess.Popen[str]:
        arguments = ["--folder", tmp_path / "cell", "--stamp", stamp, "--go", tmp_path / "go"]
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, *map(str, arguments)],
            env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
            stdout=subprocess.PIPE,
            text=True,
        )
        limit = threading.Timer(LIMIT_S, process.kill)
        limit.start()
        started.append((process, limit))
        return process

    yield run
    for process, limit in started:
        limit.cancel()
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    """The next line of a process."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def locked(folder: Path) -> bool:
    with open(folder / "lock", "rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_free_folder_is_taken_and_kept(tmp_path: Path) -> None:
    cell = tmp_path / "results" / "cell"
    with scratch(cell, MINE) as place:
        assert place.folder == cell / "abababababababab" and place.waited_for is None
        assert locked(cell)
        (place.folder / "rows.jsonl").write_text("kept")
    assert not locked(cell)
    with scratch(cell, OTHER) as place:
        assert place.waited_for is None and list(place.folder.iterdir()) == []
    with scratch(cell, MINE) as place:
        assert (place.folder / "rows.jsonl").read_text() == "kept"


def test_a_fault_in_the_block_frees_the_folder(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), scratch(tmp_path, MINE):
        raise OSError("mine")
    assert not locked(tmp_path)


def test_the_second_waits_and_learns_for_whom(start: Start, tmp_path: Path) -> None:
    first = start()
    assert said(first) == "held abababababababab None"
    second = start()
    host = os.uname().nodename
    assert said(second) == f"{tmp_path / 'cell'}: waiting for process {first.pid} on {host}"
    (tmp_path / "go").touch()
    assert said(first) == "left"
    assert said(second) == f"held abababababababab {MINE}"


def test_one_with_another_stamp_is_waited_for_too(start: Start, tmp_path: Path) -> None:
    first = start(OTHER)
    assert said(first) == "held cdcdcdcdcdcdcdcd None"
    second = start(MINE)
    assert said(second).endswith(
        f"waiting for process {first.pid} on {os.uname().nodename}, "
        "which has other settings, inputs or code"
    )
    (tmp_path / "go").touch()
    assert said(second) == f"held abababababababab {OTHER}"


def test_kill_9_of_the_holder_frees_the_folder(start: Start, tmp_path: Path) -> None:
    first = start()
    assert said(first).startswith("held")
    second = start()
    assert "waiting for" in said(second)
    first.send_signal(signal.SIGKILL)
    assert said(second) == f"held abababababababab {MINE}"
    second.send_signal(signal.SIGKILL)
    assert second.wait(LIMIT_S) == -9
    with scratch(tmp_path / "cell", MINE) as place:
        assert place.waited_for is None


@pytest.mark.parametrize(("name", "status"), [("SIGTERM", 143), ("SIGINT", 130)])
def test_a_wait_can_be_ended(name: str, status: int, start: Start, tmp_path: Path) -> None:
    first = start()
    assert said(first).startswith("held")
    second = start()
    assert "waiting for" in said(second)
    second.send_signal(signal.Signals[name])
    assert second.wait(LIMIT_S) == status
    assert first.poll() is None and locked(tmp_path / "cell")


def test_of_many_that_start_at_once_one_holds_it_at_a_time(tmp_path: Path) -> None:
    """Each reads a number and writes the next: none is lost where no two do so at once."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "import refine_af.jobs.scratch\n"
        "from refine_af.jobs.scratch import scratch\n"
        "refine_af.jobs.scratch.POLL_S = 0.001\n"
        "for _ in range(10):\n"
        "    with scratch(Path('deep/cell'), sys.argv[1]) as place:\n"
        "        file = place.folder.parent / 'count'\n"
        "        count = int(file.read_text()) if file.exists() else 0\n"
        "        time.sleep(0.002)\n"
        "        file.write_text(str(count + 1))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number) * 64],
            env=os.environ | {"PYTHONPATH": str(ROOT / "scripts")},
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
        )
        for number in range(4)
    ]
    assert [process.wait(LIMIT_S) for process in processes] == [0] * 4
    assert (tmp_path / "deep" / "cell" / "count").read_text() == "40"


def test_a_folder_deleted_during_the_wait_is_made_anew(start: Start, tmp_path: Path) -> None:
    first = start()
    assert said(first).startswith("held")
    second = start()
    assert "waiting for" in said(second)
    shutil.rmtree(tmp_path / "cell")
    first.send_signal(signal.SIGKILL)
    assert said(second) == f"held abababababababab {MINE}"
    assert locked(tmp_path / "cell")  # not the deleted file, which holds nobody back


def test_who_took_the_new_folder_meanwhile_is_waited_for(start: Start, tmp_path: Path) -> None:
    first = start()
    assert said(first).startswith("held")
    second = start()
    assert "waiting for" in said(second)
    shutil.rmtree(tmp_path / "cell")
    third = start(OTHER)
    assert said(third) == "held cdcdcdcdcdcdcdcd None"
    first.send_signal(signal.SIGKILL)
    assert f"waiting for process {third.pid} on " in said(second)
    third.send_signal(signal.SIGKILL)
    assert said(second) == f"held abababababababab {OTHER}"


@pytest.mark.parametrize("content", ["", "12", "12 node " + MINE[:9], "\0" * 80 + "\n"])
def test_an_unreadable_lock_file_names_nobody(content: str, start: Start, tmp_path: Path) -> None:
    cell = tmp_path / "cell"
    cell.mkdir()
    with open(cell / "lock", "w") as lock:
        lock.write(content)
        lock.flush()
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = start()
        assert said(waiting) == f"{cell}: waiting for another process"
    assert said(waiting) == "held abababababababab "


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_is_refused(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    wanted = f"{tmp_path}/lock: cannot be locked: {os.strerror(number)}. Without a lock"
    with pytest.raises(InputError, match=wanted), scratch(tmp_path, MINE):
        raise AssertionError("must not run")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="file/cell: cannot be written: Not a directory"),
        scratch(tmp_path / "file" / "cell", MINE),
    ):
        raise AssertionError("must not run")


@contextmanager
def waiting(folder: Path, stamp: str, for_whom: str | None) -> Iterator[Place]:
    """Held as `scratch` does, after a wait for a process of another stamp, or of the same."""
    with scratch(folder, stamp) as place:
        yield Place(place.folder, for_whom)


def test_only_what_the_other_landed_under_the_same_stamp_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, output = tmp_path / "kept", tmp_path / "segment"

    def given(for_whom: str | None) -> bool:
        """Whether a process that has waited has work to do, which it does not."""
        with monkeypatch.context() as patched:
            patched.setattr(module, "scratch", partial(waiting, for_whom=for_whom))
            with resumable(kept, MINE, output) as place:
                assert place in (None, kept / MINE[:16])
                return place is not None

    assert given(MINE), "nothing stands there"
    with resumable(kept, MINE, output):
        output.mkdir()
    assert given(MINE), "an empty folder is no output"
    with resumable(kept, MINE, output) as place:
        assert place == kept / MINE[:16]
        (output / "file").touch()
    capsys.readouterr()
    assert not given(MINE)
    said = capsys.readouterr().out
    assert said == f"{output}: written by the process that this one waited for\n"
    assert not given(MINE), "the mark stays"
    for for_whom in (OTHER, "", None):
        with pytest.raises(InputError, match="exists already"):
            given(for_whom)
    # The next one who waits for this process finds that it has landed nothing.
    with pytest.raises(InputError, match="exists already"):
        given(MINE)


def test_a_block_that_fails_has_landed_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="mine"), resumable(tmp_path, MINE, tmp_path / "segment"):
        raise OSError("mine")
    assert list((tmp_path / MINE[:16]).iterdir()) == [] and not locked(tmp_path)


def test_the_last_stamp_is_that_of_who_held_the_folder_last(start: Start, tmp_path: Path) -> None:
    cell = tmp_path / "cell"
    assert last_stamp(cell) is None
    with scratch(cell, OTHER):
        assert last_stamp(cell) == OTHER, "and of who holds it"
    assert last_stamp(cell) == OTHER
    first = start(MINE)
    assert said(first).startswith("held")
    assert last_stamp(cell) == MINE
    (tmp_path / "go").touch()
    assert said(first) == "left"
    assert last_stamp(cell) == MINE


def test_a_lock_that_is_being_signed_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "lock"
    lock.write_text("")
    assert last_stamp(tmp_path) is None, "nobody signs"
    monkeypatch.setattr(time, "sleep", lambda _: lock.write_text(f"12 node {OTHER}\n"))
    assert last_stamp(tmp_path) == OTHER


def project(place: Path) -> Path:
    """A checkpoint of two small files and a large one, an input file and two files of code."""
    (place / "model" / "deep").mkdir(parents=True)
    (place / "model" / "config.json").write_text("{}")
    (place / "model" / "deep" / "empty").write_text("")
    (place / "model" / "weights").write_bytes(bytes(READ_WHOLE))
    (place / "empty").mkdir()
    (place / "seeds.jsonl").write_bytes(b"s" * 2 * READ_WHOLE)
    (place / "prompt.txt").write_text("Task:")
    (place / "refine_af").mkdir()
    (place / "stage.py").write_text("import refine_af.module")
    (place / "refine_af" / "module.py").write_text("")
    for path in place.rglob("*"):
        os.utime(path, ns=(0, 1_000_000_007))
    return place


def stamp(place: Path, **given: object) -> str:
    usual = {
        "settings": '{"seed":1}',
        "number": 3,
        "model": place / "model",
        "seeds": place / "seeds.jsonl",
        "adapter": None,
        "earlier": [place / "prompt.txt", place / "empty"],
    }
    return fingerprint(usual | given, code=code_digest(place / "stage.py"))  # type: ignore[arg-type]


CHANGES: dict[str, Callable[[Path], object]] = {
    "a small file's content": lambda place: (place / "model/config.json").write_text("[]"),
    "a large file's size": lambda place: rewrite(place / "model/weights", bytes(READ_WHOLE + 1)),
    "a large file's time, by a nanosecond": lambda place: os.utime(
        place / "model/weights", ns=(0, 1_000_000_008)
    ),
    "a large file that is small now": lambda place: (place / "model/weights").write_bytes(b""),
    "a new file": lambda place: (place / "model/adapter.json").write_text(""),
    "a file less": lambda place: (place / "model/deep/empty").unlink(),
    "a file's name": lambda place: (place / "model/deep/empty").rename(place / "model/deep/e"),
    "a file's folder": lambda place: (place / "model/deep/empty").rename(place / "model/empty"),
    "a large input's last byte": lambda place: rewrite(
        place / "seeds.jsonl", b"s" * (2 * READ_WHOLE - 1) + b"t"
    ),
    "an input that is a folder now": lambda place: turn_into_folder(place / "seeds.jsonl"),
    "the code": lambda place: (place / "stage.py").write_text("import refine_af.module, sys"),
    "a module": lambda place: (place / "refine_af" / "module.py").write_text("pass"),
    "two files' contents, exchanged": lambda place: exchange(
        place / "prompt.txt", place / "model" / "config.json"
    ),
}


def rewrite(path: Path, content: bytes) -> None:
    """Change a file and leave its times."""
    found = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


def turn_into_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def exchange(one: Path, other: Path) -> None:
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)


@pytest.mark.parametrize("what", CHANGES)
def test_each_change_changes_the_stamp(what: str, tmp_path: Path) -> None:
    place = project(tmp_path / "project")
    before = stamp(place)
    assert before == stamp(place) and len(before) == 64
    CHANGES[what](place)
    assert stamp(place) != before


def test_values_of_every_kind_are_told_apart(tmp_path: Path) -> None:
    place = project(tmp_path / "project")
    empty = tmp_path / "nothing"
    empty.write_text("")
    values: list[Any] = [
        None,
        "",
        0,
        1,
        "1",
        True,
        [],
        place / "empty",
        empty,
        place / "prompt.txt",
    ]
    values += [[place / "prompt.txt"], [place / "empty"], [place / "empty"] * 2, place / "model"]
    values += [hashlib.sha256(b"").hexdigest()]
    values += [[place / "prompt.txt", empty], [empty, place / "prompt.txt"], "null", "[]", "{}"]
    stamps = {stamp(place, adapter=value) for value in values}
    stamps |= {stamp(place, settings='{"seed":2}'), stamp(place, other=None)}
    assert len(stamps) == len(values) + 2


@given(
    one=st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.none(), max_size=3),
    other=st.dictionaries(st.text(max_size=3), st.text(max_size=3) | st.none(), max_size=3),
)
def test_only_equal_values_have_equal_stamps(
    one: dict[str, str | None], other: dict[str, str | None]
) -> None:
    assert (fingerprint(one, code="") == fingerprint(other, code="")) == (one == other)
    assert fingerprint(dict(reversed(one.items())), code="") == fingerprint(one, code="")


def test_moving_and_touching_change_nothing(tmp_path: Path) -> None:
    place = project(tmp_path / "project")
    before = stamp(place)
    moved = place.rename(tmp_path / "elsewhere")
    assert stamp(moved) == before
    copied = shutil.copytree(moved, tmp_path / "copied")  # with times
    assert stamp(copied) == before
    for name in ("model/config.json", "seeds.jsonl", "prompt.txt", "stage.py"):
        (copied / name).touch()
    assert stamp(copied) == before
    with in_folder(copied):
        assert stamp(Path()) == before
    (tmp_path / "link").symlink_to(copied, target_is_directory=True)
    assert stamp(tmp_path / "link") == before


@contextmanager
def in_folder(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def test_an_input_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        fingerprint({"seeds": tmp_path / "no-such-file"}, code="")
