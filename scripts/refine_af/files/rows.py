"""The rows that stages hand on: read with every fault named, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any, TypeVar

from refine_af.errors import InputError, shown
from refine_af.files.documents import RepeatedKeyError, parsed
from refine_af.files.landing import whole_file

Record = TypeVar("Record")
Named = TypeVar("Named")


def read_records(path: Path, kind: type[Record], *, extra: bool = False) -> list[Record]:
    """The rows of a JSON Lines file as `kind`; `extra` lets unknown keys pass unread.

    Raises InputError naming file, line and value at the first row that is not a `kind`.
    """
    return as_records(read_rows(path), kind, extra=extra)


def as_records(
    rows: Iterable[tuple[str, Mapping[str, Any]]], kind: type[Record], *, extra: bool = False
) -> list[Record]:
    """Rows, each with its place, as `kind`; faults as in `read_records`."""
    hints = typing.get_type_hints(kind)
    optional = {name for name in hints if hasattr(kind, name)}  # those with a default
    records = []
    for where, row in rows:
        missing = [name for name in hints if name not in row and name not in optional]
        unknown = [name for name in row if name not in hints]
        if missing:
            raise InputError(f"{where}: no {missing[0]!r} in {shown(row)}")
        if unknown and not extra:
            raise InputError(f"{where}: unknown key {unknown[0]!r} in {shown(row)}")
        given = {name: hint for name, hint in hints.items() if name in row}
        for name, hint in given.items():
            if not _fits(row[name], hint):
                wanted = getattr(hint, "__name__", str(hint))
                raise InputError(f"{where}: {name!r} is no {wanted}: {shown(row[name])}")
        records.append(kind(**{name: row[name] for name in given}))
    return records


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each line's object with its place, `file, line n`.

    InputError at the first line that holds none; a blank line is one.
    """
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            where = f"{path}, line {number}"
            if not line.strip():
                raise InputError(f"{where}: an empty line")
            try:
                row = parsed(line.decode("utf-8"))
            except UnicodeDecodeError as error:
                byte = line[error.start : error.start + 1]
                raise InputError(
                    f"{where}: not UTF-8 at byte {error.start}: {shown(byte)}"
                ) from None
            except RepeatedKeyError as error:
                raise InputError(f"{where}: {error}") from None
            except (ValueError, RecursionError) as error:
                raise InputError(f"{where}: not JSON ({error}): {shown(line)}") from None
            if not isinstance(row, dict):
                raise InputError(f"{where}: not a JSON object: {shown(row)}")
            yield where, row


def _fits(value: object, hint: Any) -> bool:
    if typing.get_origin(hint) is list:
        inner = typing.get_args(hint)[0]
        return isinstance(value, list) and all(_fits(entry, inner) for entry in value)
    if typing.get_origin(hint) is dict:
        inner = typing.get_args(hint)[1]
        return isinstance(value, dict) and all(_fits(entry, inner) for entry in value.values())
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool))


def write_records(path: Path, rows: Iterable[Any]) -> None:
    """Write dataclass rows as JSON Lines, complete or not at all."""
    write_rows(path, (dataclasses.asdict(row) for row in rows))


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write mappings as JSON Lines, complete or not at all."""
    with whole_file(path) as aside, open(aside, "wb") as file:
        file.writelines(json_line(row) for row in rows)


def json_line(row: Mapping[str, Any]) -> bytes:
    """A row as one line of UTF-8; a lone surrogate, which UTF-8 cannot hold, stays escaped."""
    try:
        return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:
        return (json.dumps(row) + "\n").encode("ascii")


def each_once(
    rows: Iterable[Named],
    path: Path,
    *,
    of: Callable[[Named], str] = attrgetter("id"),
    called: str = "id",
) -> Iterator[tuple[int, Named]]:
    """The rows of a file with their lines, from 1.

    `of` gives what must differ from row to row, and `called` is its name. InputError at the first
    row that repeats it, naming file, value and both lines.
    """
    first: dict[str, int] = {}
    for line, row in enumerate(rows, 1):
        earlier = first.setdefault(of(row), line)
        if earlier != line:
            name = f"{called} {shown(of(row))}"
            raise InputError(f"{path}, line {line}: {name} stands on line {earlier} too")
        yield line, row
