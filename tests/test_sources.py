"""What a job's results depend on is read from the imports, and counts as what Python reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from refine_af.errors import InputError
from refine_af.jobs.sources import LEFT_OUT, code_digest, digest_of, sources
from refine_af.rewards.own_code import own_code
from tiny import ROOT

SCRIPTS = ROOT / "scripts"


def test_imports_are_followed(tmp_path: Path) -> None:
    package = tmp_path / "refine_af"
    (package / "inner").mkdir(parents=True)
    (package / "settings").mkdir()
    (package / "settings" / "stage.py").write_text("from refine_af.unused import x\n")
    (package / "errors.py").write_text("")
    (package / "stage.py").write_text("def f():\n    from refine_af.inner.deep import x\n")
    (package / "inner" / "deep.py").write_text("import refine_af.plain\nimport json\n")
    (package / "inner" / "settings.py").write_text("X = 1\n")
    (package / "plain.py").write_text("from refine_af.stage import f\n")
    (package / "unused.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text(
        "from refine_af import errors, stage as s\nfrom refine_af.settings.stage import Y\n"
        "from refine_af.inner import settings\n"
    )
    names = [path.relative_to(tmp_path).as_posix() for path in sources(script)]
    inner = ["refine_af/inner/deep.py", "refine_af/inner/settings.py"]
    assert names == ["script.py", *inner, "refine_af/plain.py", "refine_af/stage.py"]


def test_the_stages_depend_on_what_they_compute_with() -> None:
    folder = SCRIPTS / "refine_af"
    found = {path.relative_to(folder).as_posix() for path in sources(SCRIPTS / "ppo.py")[1:]}
    used = {"ppo/learner.py", "engines/generation.py", "rewards/scorer.py", "metrics/novelty.py"}
    assert used - {"metrics/novelty.py"} <= found
    left_out = tuple(name.removeprefix("refine_af.") for name in LEFT_OUT)
    assert not [name for name in found if name.startswith((*left_out, "superni/", "sft/"))]


CODE = """
def rate(tokens, seconds, *, least=1e-9):
    return f"{tokens / max(seconds, least):.1f} a second" + "!"

class Counts:
    total: int = 0
"""

SAME = {
    "a comment": CODE.replace("    return", "    # tokens are never negative\n    return"),
    "a docstring of the module": f'"""How fast."""\n{CODE}',
    "a docstring of a function": CODE.replace("    return", '    """Text."""\n    return'),
    "a docstring of a class": CODE.replace("    total", '    """So many."""\n\n    total'),
    "empty lines and indents": CODE.replace("\n\n", "\n\n\n").replace("    ", "  "),
    "brackets and a last comma": CODE.replace(
        "(tokens, seconds, *, least=1e-9)",
        "(\n    tokens,\n    seconds,\n    *,\n    least=1e-9,\n)",
    ).replace('+ "!"', '+ ("!")'),
    "quotes, and a text in two parts": CODE.replace('"!"', "('' '!')"),
}
OTHER = {
    "a number": CODE.replace("1e-9", "1e-8"),
    "a default that is another type": CODE.replace("= 0", "= 0.0"),
    "a format": CODE.replace(":.1f", ":.2f"),
    "a text's end": CODE.replace('"!"', '"! "'),
    "an operator": CODE.replace("tokens / max", "tokens // max"),
    "a name": CODE.replace("total", "sum_of_all"),
    "a decorator": CODE.replace("class Counts", "@final\nclass Counts"),
    "a text that is no docstring": CODE.replace("total: int = 0", 'total: int = 0\n    "text"'),
    "two statements, exchanged": CODE[CODE.index("class") :] + CODE[: CODE.index("class")],
}


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "code.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("what", SAME)
def test_what_python_does_not_read_does_not_count(what: str, tmp_path: Path) -> None:
    assert SAME[what] != CODE
    before = digest_of(written(tmp_path, CODE))
    assert digest_of(written(tmp_path, SAME[what])) == before


@pytest.mark.parametrize("what", OTHER)
def test_every_other_edit_counts(what: str, tmp_path: Path) -> None:
    assert OTHER[what] != CODE
    before = digest_of(written(tmp_path, CODE))
    assert digest_of(written(tmp_path, OTHER[what])) != before


@pytest.mark.parametrize("text", ["def f(:\n", "x = 1\0"])
def test_what_is_no_python_is_named(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"code\.py.*no Python"):
        digest_of(written(tmp_path, text))


def test_a_scorer_of_the_users_own_counts_as_its_code(tmp_path: Path) -> None:
    written(tmp_path, CODE)
    before = own_code("code.Counts", [tmp_path])
    written(tmp_path, SAME["a comment"])
    assert own_code("code.Counts", [tmp_path]) == before != ""
    assert own_code("elsewhere.Counts", [tmp_path]) == ""


def pythons() -> list[str]:
    """Other versions of Python on this machine, that can read the project."""
    ask = "import sys; print(sys.version_info >= (3, 11))"
    found = []
    for minor in (11, 12, 13, 14):
        name = f"python3.{minor}"
        try:
            done = subprocess.run([name, "-c", ask], capture_output=True, text=True, timeout=60)
        except FileNotFoundError:
            continue
        if done.stdout.strip() == "True":
            found.append(name)
    return found


@pytest.mark.parametrize("python", pythons() or [None])
def test_every_version_of_python_gives_the_same_digits(python: str | None) -> None:
    """Else another interpreter, in an environment of --sdm say, would rerun all that is done."""
    if python is None:
        pytest.skip("no python3.11 or later under a name of its own")
    scripts = sorted(SCRIPTS.glob("*.py"))
    program = (
        "import sys; from pathlib import Path; from refine_af.jobs.sources import code_digest\n"
        "for name in sys.argv[1:]: print(code_digest(Path(name)))"
    )
    done = subprocess.run(
        [python, "-c", program, *map(str, scripts)],
        env={"PYTHONPATH": str(SCRIPTS), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [code_digest(script) for script in scripts]
