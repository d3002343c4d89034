"""What a long stage has done so far: rows at the end of a file that kill -9 cannot spoil."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from refine_af.errors import InputError
from refine_af.files.landing import to_disk, write_faults
from refine_af.files.rows import Record, as_records, json_line, read_rows

NEWLINE = b"\n"


class Journal:
    """A JSON Lines file that only grows, open in one process at a time.

    `rows` are those that stood in it when it was opened, each with its place, `file, line n`. What
    a kill or a power cut left of an unfinished append is cut off, with a message. InputError names
    the line of any other damage, or a file that cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with write_faults(path):
            path.touch()
            to_disk(path.parent)
            _cut_off_unfinished(path)
        self.rows: list[tuple[str, dict[str, Any]]] = list(read_rows(path))
        with write_faults(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)

    def records(self, kind: type[Record]) -> list[Record]:
        """`rows` as `kind`. InputError names file, line and value of the first that is none."""
        return as_records(self.rows, kind)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write rows at the end: safe from kill -9 on return, from a power cut after `sync`.

        InputError where they cannot be written, as on a full disk; the journal is then closed
        after its last whole line.
        """
        data = memoryview(b"".join(map(json_line, rows)))
        written = 0
        with write_faults(self._path):
            start = os.fstat(self._descriptor).st_size
            try:
                while written < len(data):
                    written += os.write(self._descriptor, data[written:])
            except OSError:
                self._end_at(start + bytes(data[:written]).rfind(b"\n") + 1)
                raise

    def sync(self) -> None:
        """Return once every row is on disk."""
        with write_faults(self._path):
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _end_at(self, size: int) -> None:
        with suppress(OSError):  # the next opening cuts off what stays of the torn line
            os.ftruncate(self._descriptor, size)
        self.close()


def _cut_off_unfinished(path: Path) -> None:
    # No line of JSON holds a NUL byte. One here means that a power cut came when the file had grown
    # on disk, and its last bytes had not yet arrived.
    content = path.read_bytes()
    lost = content.find(b"\0")
    whole = content.rfind(b"\n", 0, len(content) if lost < 0 else lost) + 1
    if any(map(_is_row, content[whole:].split(NEWLINE)[1:-1])):
        raise InputError(
            f"{path}, line {content.count(NEWLINE, 0, whole) + 1}: holds a NUL byte, and whole "
            "lines follow. Where a power cut left it, delete the file from this line on"
        )
    if whole < len(content):
        print(f"{path}: cut off {len(content) - whole} bytes of an unfinished append", flush=True)
        os.truncate(path, whole)
        to_disk(path)


def _is_row(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
