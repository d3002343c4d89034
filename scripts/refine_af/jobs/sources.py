"""Which code a script's results depend on, and its digest: what an edit must change to count."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from refine_af.errors import InputError

# What decides what a job says, how it is called and where it keeps its progress, and never what it
# computes: an edit there reruns nothing.
LEFT_OUT = ("refine_af.errors", "refine_af.jobs", "refine_af.settings")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_digest(script: Path) -> str:
    """64 hex digits for all code that the results of a script depend on.

    They cover what the interpreter reads: comments, docstrings and layout do not count, and every
    version of Python gives the same digits. `script` stands beside refine_af/, or in it.
    """
    folder = _scripts(script)
    account = [(path.relative_to(folder).as_posix(), digest_of(path)) for path in sources(script)]
    return hashlib.sha256(repr(account).encode("utf-8")).hexdigest()


def sources(script: Path) -> list[Path]:
    """The script, and every module of refine_af that it imports, directly or not, in order.

    An import counts wherever it stands, within a function too.
    """
    found: set[Path] = set()
    waiting = _imported(script)
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= _imported(module) - found
    return [script, *sorted(found)]


def digest_of(path: Path) -> str:
    """64 hex digits for the code in one file. InputError where it is no Python."""
    return _read(path).digest


class _Code(NamedTuple):
    """What a file's code is, as a digest, and the names that it imports."""

    digest: str
    imported: frozenset[str]


def _read(path: Path) -> _Code:
    try:
        return _analysed(path.read_bytes())  # in the encoding that the file itself states
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"{path}{line}: no Python: {error.msg}") from None
    except (ValueError, RecursionError) as error:  # a NUL, or too many brackets
        raise InputError(f"{path}: no Python: {error}") from None


@cache
def _analysed(content: bytes) -> _Code:
    texts: list[str] = []
    names: set[str] = set()
    _write(ast.parse(content), texts, names)
    written = "\n".join(texts).encode("utf-8", "surrogatepass")
    return _Code(hashlib.sha256(written).hexdigest(), frozenset(names))


def _write(node: ast.AST, texts: list[str], names: set[str]) -> None:
    """Add the nodes of a syntax tree from `node` down, a text each, and the names imported there.

    Not `ast.dump`: what it writes differs between versions of Python.
    """
    texts.append(type(node).__name__)
    for name in node._fields:
        value: Any = getattr(node, name, None)
        if name == "body" and _documented(node):
            value = value[1:]
        # An absent field and an empty one are the same: later versions of Python add some.
        if value is None or value == [] or name in ("kind", "type_comment"):
            continue
        texts.append(name)
        for entry in value if isinstance(value, list) else [value]:
            if isinstance(entry, ast.AST):
                _write(entry, texts, names)
            else:
                texts.append(f"{type(entry).__name__} {entry!r}")
    texts.append(".")
    if isinstance(node, ast.ImportFrom) and node.module:
        names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    elif isinstance(node, ast.Import):
        names |= {alias.name for alias in node.names}


def _documented(node: ast.AST) -> bool:
    return isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None


def _imported(path: Path) -> set[Path]:
    folder, names = _scripts(path), filter(_counts, _read(path).imported)
    files = {folder / f"{name.replace('.', '/')}.py" for name in names}
    return {file for file in files if file.is_file()}


def _scripts(path: Path) -> Path:
    return next(folder for folder in path.parents if (folder / "refine_af").is_dir())


def _counts(module: str) -> bool:
    ours = module.startswith("refine_af.")
    return ours and not any(f"{module}.".startswith(f"{left}.") for left in LEFT_OUT)
