"""Files that hold one JSON object, read with every fault named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown


def read_document(path: Path) -> dict[str, Any]:
    """The object in a JSON file. InputError names file, place and value where there is none."""
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
