"""SHA-256 of files and of texts, in hex: what tells whether two are the same."""

from __future__ import annotations

import hashlib
from pathlib import Path


def sha256_of(path: Path) -> str:
    """The digest of a file's bytes, read piece by piece. OSError where it cannot be read."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_text(text: str) -> str:
    """The digest of a text's UTF-8; lone surrogates, which UTF-8 cannot hold, count too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
