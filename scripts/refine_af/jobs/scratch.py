"""Where a long stage keeps its progress: a folder that one process at a time holds."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from refine_af.errors import InputError
from refine_af.files.digests import sha256_of, sha256_of_text
from refine_af.files.landing import check_free, to_disk, write_faults

# Files of a folder below this size are compared by content, the others by size and time.
READ_WHOLE = 1 << 20
LANDED = "landed"
POLL_S = 0.5

Given = str | int | Path | Sequence[Path] | None


@dataclass(frozen=True)
class Place:
    """A progress folder, held by this process.

    `waited_for` is None where the folder was free. Otherwise it is the stamp of the last process
    that held it, "" where that is not known: one with the same stamp may have made this output.
    """

    folder: Path
    waited_for: str | None


@contextmanager
def scratch(folder: Path, stamp: str) -> Iterator[Place]:
    """Hold `folder`, which keeps the progress of one output, and give the place of `stamp` in it.

    One process at a time holds it, whatever its stamp: a killed Snakemake leaves its job running,
    and both would land the same output. A second one says whom it waits for, and waits. What stands
    in the folder stays: Snakemake may count a job that ended well as failed, and delete its output.
    InputError where the folder cannot be made or locked.
    """
    with _lock(folder / "lock", stamp) as waited_for:
        place = folder / stamp[:16]
        _make(place)
        yield Place(place, waited_for)


@contextmanager
def resumable(folder: Path, stamp: str, output: Path) -> Iterator[Path | None]:
    """Hold `folder`, and give the place of `stamp` in it while a block lands the folder `output`.

    None where the process that was waited for has landed this very output, so that nothing is left
    to do. Otherwise InputError where something stands at `output`. A block that ends well leaves a
    mark that it has landed, for a process that waits for this one.
    """
    with scratch(folder, stamp) as place:
        mark = place.folder / LANDED
        landed = mark.exists() and output.is_dir() and any(output.iterdir())
        if landed and place.waited_for == stamp:
            print(f"{output}: written by the process that this one waited for")
            yield None
            return
        mark.unlink(missing_ok=True)
        check_free(output)
        yield place.folder
        mark.touch()


def last_stamp(folder: Path) -> str | None:
    """The stamp under which `folder` is held, or was last; None where none can be read."""
    lock = folder / "lock"
    for _ in range(100):
        try:
            with open(lock, "rb", buffering=0) as file:
                stamp = _holder(file)[2]
        except FileNotFoundError:
            return None
        if stamp:
            return stamp
        time.sleep(0.01)  # a process has just taken it, and is about to sign
    return None


def fingerprint(given: Mapping[str, Given], *, code: str) -> str:
    """64 hex digits for all that an output depends on, wherever the files stand.

    `given` are the stage's values by name. A file counts with its content; a folder with its
    files' names and contents, of which those of 1 MiB or more count with size and time of change.
    `code` is what `code_digest` gives.
    """
    account = {
        "given": {name: _account(value) for name, value in given.items()},
        "code": code,
    }
    return sha256_of_text(json.dumps(account, sort_keys=True))


def _account(value: Given) -> Any:
    if value is None or isinstance(value, str | int):
        return value
    if not isinstance(value, Path):
        return [_account(path) for path in value]
    if not value.is_dir():
        return {"file": sha256_of(value)}
    files = [path for path in value.rglob("*") if path.is_file()]
    return {"folder": {path.relative_to(value).as_posix(): _state(path) for path in files}}


def _state(path: Path) -> Any:
    found = path.stat()
    return sha256_of(path) if found.st_size < READ_WHOLE else [found.st_size, found.st_mtime_ns]


@contextmanager
def _lock(path: Path, stamp: str) -> Iterator[str | None]:
    """Hold the lock file, which says who holds it; gives the stamp of the process waited for."""
    waited_for = None
    while True:
        with _opened(path) as lock:
            holder = _take(lock, stamp)
            waited_for = waited_for if holder is None else holder
            if _signed(lock, path, stamp):
                yield waited_for
                return


def _opened(path: Path) -> FileIO:
    _make(path.parent)
    with write_faults(path):
        return open(path, "a+b", buffering=0)


def _signed(lock: FileIO, path: Path, stamp: str) -> bool:
    """Whether what was locked is still the lock file, which then holds this process's name."""
    with write_faults(path):
        if not (path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat())):
            return False  # it was deleted during the wait: the next process opens another file
        lock.truncate(0)
        lock.write(f"{os.getpid()} {os.uname().nodename} {stamp}\n".encode())
        return True


def _take(lock: FileIO, stamp: str) -> str | None:
    """Take the lock, saying whom that waits for; gives the last holder's stamp, None if free."""
    if _locked(lock):
        return None
    process, host, other = _holder(lock)
    why = "" if other == stamp else ", which has other settings, inputs or code"
    who = f"process {process} on {host}{why}" if process else "another process"
    print(f"{Path(lock.name).parent}: waiting for {who}", flush=True)
    # Polled: a signal that comes just before a blocking call would be handled only after it.
    while not _locked(lock):
        time.sleep(POLL_S)
    return _holder(lock)[2]


def _locked(lock: FileIO) -> bool:
    """Whether the lock could be had, and is this process's from now on."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # Going on without one would be noticed only when two jobs have spoilt each other's files.
        raise InputError(
            f"{lock.name}: cannot be locked: {error.strerror}. Without a lock two jobs could write "
            "here at once: let the folder be a link to a file system that has flock"
        ) from None
    return True


def _holder(lock: FileIO) -> tuple[str, str, str]:
    """Process, host and stamp of the last process that held the lock, empty where unknown."""
    lock.seek(0)
    parts = lock.read(1000).decode("utf-8", "replace").split(" ")
    if len(parts) != 3 or not parts[2].endswith("\n"):
        return "", "", ""
    return parts[0], parts[1], parts[2].strip()


def _make(folder: Path) -> None:
    """Make a folder and those above it, their entries on disk."""
    missing = [place for place in [folder, *folder.parents] if not place.exists()]
    with write_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for place in missing:
            to_disk(place.parent)
