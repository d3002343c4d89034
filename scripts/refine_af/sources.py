"""Which Python files a script's results depend on: its own, and all that it imports of ours."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

# Modules that decide how a job is called, what it prints and where it keeps its progress, and never
# what it computes: an edit there reruns nothing.
PLUMBING = {"command_line", "configuration", "errors", "experiment", "fields", "progress"}
PLUMBING |= {"door", "journal", "landing", "scratch", "settings", "sources"}


def sources(script: Path) -> list[Path]:
    """The script, and every module of refine_af that it imports, directly or not, in order.

    An import counts wherever it stands, within a function too. `script` stands beside refine_af/.
    """
    found: set[Path] = set()
    waiting = set(_imported(script))
    while waiting:
        module = waiting.pop()
        found.add(module)
        waiting |= _imported(module) - found
    return [script, *sorted(found)]


def homes() -> tuple[Path, Path]:
    """Where a module of the user's own may stand: the experiment's folder, the project's root."""
    return Path.cwd(), Path(__file__).resolve().parents[2]


def module_file(dotted: str, folders: Iterable[Path]) -> Path | None:
    """The file in which `dotted`, a dotted path to a name, is found from one of the folders.

    None where it is in none of them: what the environment holds changes with its lock.
    """
    parts = dotted.split(".")[:-1]
    for folder in folders:
        place = folder.joinpath(*parts)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    return None


@cache
def _imported(path: Path) -> frozenset[Path]:
    scripts = next(folder for folder in path.parents if (folder / "refine_af").is_dir())
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    ours = {name for name in names if name.startswith("refine_af.")}
    files = {scripts / f"{name.replace('.', '/')}.py" for name in ours}
    return frozenset(file for file in files if file.is_file() and file.stem not in PLUMBING)
