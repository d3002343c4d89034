"""The house: who may import whom, how long a file may be, and that the map names every room."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tiny import ROOT

SCRIPTS = ROOT / "scripts"
MODULES = SCRIPTS / "refine_af"
CODE = sorted(SCRIPTS.rglob("*.py"))
RULE_FILES = sorted((ROOT / "rules").glob("*.smk"))

# Whom each folder of refine_af/ may import, from the ground up: only what stands above it here.
GROUND = {"errors", "randomness", "words"}
SHARED: dict[str, set[str]] = {
    "errors": set(),
    "randomness": set(),
    "words": set(),
    "settings": set(),
    "files": set(),
    "jobs": {"settings", "files"},
    "pages": {"files"},
    "records": {"settings", "files"},
    "prompts": {"settings"},
    "metrics": {"files", "records"},
    "models": {"settings", "files", "prompts"},
    "engines": {"settings", "files", "jobs", "models"},
    "rewards": {"settings", "files", "jobs", "prompts", "models", "engines"},
    "exports": {"settings", "files", "pages", "records", "rewards"},
    "forecast": {"settings", "files", "jobs", "records", "metrics", "models", "engines"},
}
STAGES = [
    "fetch",
    "instructions",
    "neighbours",
    "ppo",
    "instances",
    "sft",
    "superni",
    "users",
    "overlap",
    "diversity",
    "browser",
    "ratings",
    "cost",
    "report",
    "release",
    "demo",
]
# What the Snakefile asks looks into every room's files, and imports no stage.
ABOVE = {"workflow": set(SHARED)}
FOLDERS = {**SHARED, **{stage: set(SHARED) - {"exports"} for stage in STAGES}, **ABOVE}
FOLDERS["release"] = set(SHARED)  # the exports of all models in one


def imports(file: Path) -> set[str]:
    """Every module that a Python file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
    return found


def test_every_folder_stands_in_the_table() -> None:
    found = {path.stem for path in MODULES.iterdir() if not path.name.startswith("__")}
    assert found == FOLDERS.keys()


def test_the_table_has_no_circle() -> None:
    standing: set[str] = set()
    for folder, below in FOLDERS.items():
        assert below <= standing, folder
        standing.add(folder)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_imports_only_what_stands_below_it(folder: str) -> None:
    place = MODULES / folder
    files = place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]
    for file in files:
        for name in imports(file):
            parts = name.split(".")
            if parts[0] == "refine_af" and len(parts) > 1 and parts[1] != folder:
                assert parts[1] in FOLDERS[folder] | GROUND, f"{file} imports {name}"


def test_a_script_imports_no_other_stage() -> None:
    for file in SCRIPTS.glob("*.py"):
        own = re.sub("_(replies|kinds|parses|sizes)$", "", file.stem)  # what comes first in a stage
        for name in imports(file):
            stage = name.split(".")[1] if name.startswith("refine_af.") else ""
            assert stage not in set(STAGES) - {own}, f"{file} imports {name}"


def test_the_digest_of_code_sees_all_code() -> None:
    """jobs/sources.py follows the imports of modules, into no __init__.py and no other script."""
    scripts = {file.stem for file in SCRIPTS.glob("*.py")}
    for file in [*SCRIPTS.glob("*.py"), *MODULES.rglob("*.py")]:
        assert scripts.isdisjoint(imports(file)), f"{file} imports a script"
    for file in MODULES.rglob("__init__.py"):
        (said,) = ast.parse(file.read_text(encoding="utf-8")).body
        assert isinstance(said, ast.Expr) and isinstance(said.value, ast.Constant), file


def test_only_the_shell_knows_of_command_lines_and_snakemake() -> None:
    for file in MODULES.rglob("*.py"):
        tops = {name.split(".")[0] for name in imports(file)}
        assert "snakemake" not in tops, file
        assert "argparse" not in tops or file.name == "command_line.py", file


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(SCRIPTS)))
def test_files_and_functions_stay_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 250
    tree = ast.parse(text)
    assert ast.get_docstring(tree) or not tree.body
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > 40} == {}


@pytest.mark.parametrize("file", CODE, ids=lambda file: str(file.relative_to(SCRIPTS)))
def test_no_fault_is_swallowed_whole(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert {"Exception", "BaseException"}.isdisjoint(ast.unparse(node.type).split())


def test_no_text_is_split_where_no_line_of_a_file_ends() -> None:
    """str.splitlines also splits at U+0085, U+2028 and others, which a model may write."""
    for file in [*SCRIPTS.glob("*.py"), *MODULES.rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute):
                assert node.attr != "splitlines", f"{file}, line {node.lineno}"


def test_the_map_names_every_room() -> None:
    tree = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    for file in [*SCRIPTS.glob("*.py"), *RULE_FILES]:
        assert re.search(rf"(^|\s){re.escape(file.name)}\s", tree), file
    rooms = [
        line.split()[0] for line in tree.splitlines() if line.startswith("    ") and line[4] > " "
    ]
    assert rooms == [f"{name}.py" if name in GROUND else f"{name}/" for name in FOLDERS]


def test_a_benchmark_and_its_log_have_one_name() -> None:
    """So that what a job says in its log is told of the right job."""
    for file in RULE_FILES:
        text = file.read_text(encoding="utf-8")
        benchmarks = re.findall(r'"results/benchmarks/(.*)\.tsv"', text)
        logs = re.findall(r'"results/logs/(.*)\.log"', text)
        assert set(benchmarks) <= set(logs), file
