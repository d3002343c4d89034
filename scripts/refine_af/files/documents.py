"""Files that hold one JSON document: read with every fault named, written whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.landing import whole_file

KEY = re.compile(r'"(?:[^"\\]|\\.)*"(?P<key>\s*:)?|[{}]', re.DOTALL)
SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer reads


class RepeatedKeyError(ValueError):
    """A key stands twice in one JSON object: a reader would keep the last in silence."""


def parsed(text: str) -> Any:
    """What a JSON text holds. ValueError where it is none, or a key stands twice in an object."""
    return json.loads(text, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RepeatedKeyError(f"the key {shown(twice)} stands twice in one object")
    return found


def line_of_repeated_key(text: str) -> int:
    """The line, from 1, on which a key first stands in an object that has it already."""
    objects: list[set[str]] = []
    for found in KEY.finditer(text):
        if found[0] == "{":
            objects.append(set())
        elif found[0] == "}":
            objects.pop()
        elif found["key"]:
            name = json.loads(found[0].removesuffix(found["key"]))
            if name in objects[-1]:
                return text.count("\n", 0, found.start()) + 1
            objects[-1].add(name)
    raise ValueError("no key stands twice")


def read_document(path: Path) -> dict[str, Any]:
    """The object in a JSON file. InputError, with file, place and value, where there is none."""
    content = path.read_bytes()
    try:
        document = parsed(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        byte = content[error.start : error.start + 1]
        raise InputError(f"{path}: not UTF-8 at byte {error.start}: {shown(byte)}") from None
    except RepeatedKeyError as error:
        line_number = line_of_repeated_key(content.decode("utf-8"))
        raise InputError(f"{path}, line {line_number}: {error}") from None
    except json.JSONDecodeError as error:
        line = error.doc.split("\n")[error.lineno - 1].rstrip("\r")
        raise InputError(f"{path}: not JSON ({error}): {shown(line)}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: not a JSON object: {shown(document)}")
    return document


def read_text(path: Path) -> str:
    """A file's text, without a byte order mark. InputError where it is not UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start : error.start + 1]
        raise InputError(f"{path}: not UTF-8 at byte {error.start}: {shown(byte)}") from None


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, complete or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if SURROGATE.search(text):  # UTF-8 cannot hold one: escape all that is not ASCII
        text = json.dumps(value, indent=2)
    with whole_file(path) as aside:
        aside.write_text(text + "\n", encoding="utf-8")
