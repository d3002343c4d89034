"""Folders of parsers: what can be said of one before it is loaded, and which one it is."""

from __future__ import annotations

import json
from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.digests import sha256_of, sha256_of_text
from refine_af.files.documents import read_document

# The files by which a parser's folder is known, by what reads it.
FILES = {"benepar": ("config.json", "benepar_model.bin"), "spacy": ("meta.json", "config.cfg")}
KINDS = {"benepar": "a parser of benepar", "spacy": "a pipeline of spaCy"}


def check_parser(folder: Path, backend: str) -> None:
    """InputError unless a folder holds a parser that `backend` reads: benepar or spacy."""
    if not folder.exists():
        raise InputError(f"{folder}: no such folder of a parser")
    if not folder.is_dir():
        raise InputError(f"{folder}: a parser is a folder, and this is a file")
    missing = [name for name in FILES[backend] if not (folder / name).is_file()]
    if missing:
        others = (name for name in FILES if all((folder / file).is_file() for file in FILES[name]))
        other = next(others, None)
        hint = f"; it is {KINDS[other]}, which diversity.backend: {other} reads" if other else ""
        raise InputError(f"{folder}: no {missing[0]}, so this is not {KINDS[backend]}{hint}")
    if backend == "benepar":
        _check_benepar(folder)


def _check_benepar(folder: Path) -> None:
    stated = read_document(folder / "config.json")
    if not isinstance(stated.get("benepar"), dict):
        raise InputError(f"{folder / 'config.json'}: no object 'benepar', so this is no parser")
    for path in (folder / "config.json", folder / "tokenizer_config.json"):
        if path.is_file() and "auto_map" in read_document(path):
            raise InputError(f"{path}: 'auto_map' asks for code of its own, which is never run")


def parser_digest(folder: Path) -> str:
    """64 hex digits for the names and contents of all files of a parser's folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    account = [(path.relative_to(folder).as_posix(), sha256_of(path)) for path in files]
    return sha256_of_text(json.dumps(account))
