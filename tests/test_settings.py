"""settings/ is what a person may set, and computes nothing."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from refine_af.settings.fields import Section
from tiny import ROOT

FILES = sorted((ROOT / "scripts" / "refine_af" / "settings").glob("*.py"))
VALIDATORS = {"field_validator", "model_validator"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
PLAIN = (ast.FunctionDef, ast.Import, ast.ImportFrom, ast.Assign)


def module_of(file: Path) -> object:
    return import_module(f"refine_af.settings.{file.stem}")


def sections() -> list[type[Section]]:
    """Every section of config.yaml, however deep."""
    for file in FILES:
        module_of(file)
    found: list[type[Section]] = []
    for kind in Section.__subclasses__():
        found += [kind, *kind.__subclasses__()]
    return [kind for kind in found if kind.__module__.startswith("refine_af.settings.")]


def decorators(node: Function) -> set[str]:
    calls = [mark.func if isinstance(mark, ast.Call) else mark for mark in node.decorator_list]
    return {ast.unparse(call) for call in calls}


def is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def is_configuration(node: ast.AST) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "model_config"


def misplaced(file: Path) -> Iterator[str]:
    """What stands in a file of settings that is no field, validator, kind of value or constant."""
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, Function) and not node.name.startswith("_"):
            yield f"function {node.name}"
        elif isinstance(node, ast.ClassDef):
            yield from (f"{node.name}: {part}" for part in misplaced_in(node))
        elif not (isinstance(node, PLAIN) or is_text(node)):
            yield ast.unparse(node)


def misplaced_in(section: ast.ClassDef) -> Iterator[str]:
    for part in section.body:
        if isinstance(part, Function):
            if not decorators(part) & VALIDATORS:
                yield f"{part.name} validates nothing"
        elif not (isinstance(part, ast.AnnAssign) or is_text(part) or is_configuration(part)):
            yield ast.unparse(part)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.stem))
def test_settings_hold_fields_and_validators_alone(file: Path) -> None:
    assert list(misplaced(file)) == []
    for name, found in vars(module_of(file)).items():
        if isinstance(found, type) and found.__module__ == f"refine_af.settings.{file.stem}":
            assert issubclass(found, Section), name


@pytest.mark.parametrize("section", sections(), ids=lambda section: str(section.__name__))
def test_every_field_says_what_it_is_in_a_sentence(section: type[Section]) -> None:
    for name, field in section.model_fields.items():
        said = field.description or ""
        assert re.fullmatch(r"[A-ZΛλ].* \(.+\)\.", said), f"{section.__name__}.{name}: {said!r}"


def test_what_computes_is_seen(tmp_path: Path) -> None:
    file = tmp_path / "made_up.py"
    file.write_text(
        "class A(Section):\n    x: int\n    y = 3\n    @property\n    def z(self): return 1\n"
        "    def w(self): return 2\ndef f(): pass\ndef _g(): pass\nfor a in b: pass\n"
    )
    found = list(misplaced(file))
    assert found[:3] == ["A: y = 3", "A: z validates nothing", "A: w validates nothing"]
    assert found[3:] == ["function f", "for a in b:\n    pass"]
