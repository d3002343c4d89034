"""Runs a script, and kills it with SIGKILL at one of its writes below a folder.

    python kill_at_write.py ROOT TRACE AT HOW SCRIPT [ARGUMENT ...]

TRACE gets a line for every write below ROOT; the AT-th, counted from 1, is the last that begins
(0: the script runs to its end). HOW says whether it takes place: not at all (before), by half
(within, where bytes are written) or wholly (after).
"""

from __future__ import annotations

import builtins
import io
import os
import runpy
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"

Act = Callable[[], Any]

SYSTEM = {name: getattr(os, name) for name in dir(os) if callable(getattr(os, name))}
ON_DESCRIPTORS = ("fsync", "fdatasync", "ftruncate", "sendfile", "pwrite", "writev")
ON_ENTRIES = ("mkdir", "rmdir", "unlink", "remove")
ON_TWO_PATHS = ("replace", "rename", "link")
OPEN = open


class Writes:
    """Counts the writes below `root`, tells each to the trace, and dies at number `at`."""

    def __init__(self, root: Path, trace: Path, at: int, how: str) -> None:
        self._root = root.resolve()
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._at = at
        self._how = how
        self._count = 0
        self._counting = threading.RLock()

    def counts(self, path: str) -> bool:
        return Path(path).is_relative_to(self._root)

    def do(self, name: str, paths: list[str], act: Act, half: Act | None = None) -> Any:
        """Do what `act` does, in the manner asked for where this is the write to die at."""
        if not any(map(self.counts, paths)):
            return act()
        with self._counting:
            self._count += 1
            fatal = self._count == self._at
            seen = [os.path.relpath(path, self._root) for path in paths]
            SYSTEM["write"](self._trace, f"{' '.join([name, *seen])}\n".encode())
            if fatal:
                self._die(act, half)
        return act()

    def _die(self, act: Act, half: Act | None) -> None:
        try:
            if self._how == "after":
                act()
            elif self._how == "within" and half is not None:
                half()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)


def place(target: Any, folder: int | None = None) -> str:
    """The path of a descriptor, or of a path; a link at its end is itself meant."""
    if isinstance(target, int):
        try:
            return str(Path(f"/proc/self/fd/{target}").readlink())
        except OSError:
            return ""
    start = place(folder) if folder is not None else str(Path.cwd())
    whole = Path(start, os.fsdecode(target))
    return str(whole.parent.resolve() / whole.name)


def replace_system_calls(writes: Writes) -> None:
    """Let every function of `os` that changes a file or folder pass through `writes`."""

    def write(descriptor: int, data: Any) -> int:
        content = memoryview(data).cast("B")
        act = partial(SYSTEM["write"], descriptor, content)
        half = partial(SYSTEM["write"], descriptor, content[: len(content) // 2])
        return int(writes.do("write", [place(descriptor)], act, half))

    def of_one(name: str) -> Callable[..., Any]:
        def call(target: Any, *others: Any, dir_fd: int | None = None, **named: Any) -> Any:
            if dir_fd is not None:
                named["dir_fd"] = dir_fd
            path = place(target, dir_fd)
            # Making what is there and removing what is not change nothing: they are no writes.
            futile = name in ON_ENTRIES and os.path.lexists(path) == (name == "mkdir")
            act = partial(SYSTEM[name], target, *others, **named)
            return act() if futile else writes.do(name, [path], act)

        return call

    def of_two(name: str) -> Callable[..., Any]:
        def call(source: Any, target: Any, **named: Any) -> Any:
            paths = [
                place(source, named.get("src_dir_fd")),
                place(target, named.get("dst_dir_fd")),
            ]
            return writes.do(name, paths, partial(SYSTEM[name], source, target, **named))

        return call

    calls: dict[str, Callable[..., Any]] = {"write": write}
    calls |= {name: of_one(name) for name in ("truncate", *ON_DESCRIPTORS, *ON_ENTRIES)}
    calls |= {name: of_two(name) for name in ON_TWO_PATHS}
    for name, call in calls.items():
        if SYSTEM[name] in os.supports_dir_fd:
            os.supports_dir_fd.add(call)  # shutil asks
        setattr(os, name, call)


class PlainFile(io.FileIO):
    """A file whose bytes go through os.write, as those of `open` do not."""

    def write(self, data: Any) -> int:
        return os.write(self.fileno(), data)

    def truncate(self, size: int | None = None) -> int:
        wanted = self.tell() if size is None else size
        os.ftruncate(self.fileno(), wanted)
        return wanted


def replace_open(writes: Writes) -> None:
    """Let `open` give files below the root whose every flush is a write of its own."""

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if not set(mode) & set("wax+") or not writes.counts(place(file)):
            return OPEN(file, mode, buffering, encoding, errors, newline, closefd, opener)
        raw = PlainFile(file, "".join(sorted(set(mode) - set("bt"))), closefd, opener)
        if buffering == 0:
            return raw
        size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
        buffer = (io.BufferedRandom if "+" in mode else io.BufferedWriter)(raw, size)
        if "b" in mode:
            return buffer
        return io.TextIOWrapper(buffer, encoding, errors, newline, line_buffering=buffering == 1)

    builtins.open = io.open = opened


def main(root: str, trace: str, at: str, how: str, *command: str) -> None:
    """Run the script as python does, with scripts/ in the place of its own folder."""
    writes = Writes(Path(root), Path(trace), int(at), how)
    replace_system_calls(writes)
    replace_open(writes)
    sys.argv = list(command)
    sys.path[0] = str(SCRIPTS)
    runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__":
    main(*sys.argv[1:])
