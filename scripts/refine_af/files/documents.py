"""Files that hold one JSON document: read with every fault named, written whole or not at all."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.landing import whole_file

SURROGATE = re.compile("[\ud800-\udfff]")  # half a character, which no tokenizer reads


def read_document(path: Path) -> dict[str, Any]:
    """The object in a JSON file. InputError, with file, place and value, where there is none."""
    content = path.read_bytes()
    try:
        document = json.loads(content.decode("utf-8"))
    except UnicodeDecodeError as error:
        byte = content[error.start : error.start + 1]
        raise InputError(f"{path}: not UTF-8 at byte {error.start}: {shown(byte)}") from None
    except json.JSONDecodeError as error:
        line = error.doc.splitlines()[error.lineno - 1 : error.lineno]
        raise InputError(f"{path}: not JSON ({error}): {shown(''.join(line))}") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON that can be read: {error}") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: not a JSON object: {shown(document)}")
    return document


def write_json(path: Path, value: object) -> None:
    """Write one JSON document, complete or not at all."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if SURROGATE.search(text):  # UTF-8 cannot hold one: escape all that is not ASCII
        text = json.dumps(value, indent=2)
    with whole_file(path) as aside:
        aside.write_text(text + "\n", encoding="utf-8")
