"""What a job's results depend on is read from the imports, wherever they stand."""

from __future__ import annotations

from pathlib import Path

from refine_af.sources import sources
from tiny import ROOT


def test_imports_are_followed(tmp_path: Path) -> None:
    package = tmp_path / "refine_af"
    (package / "inner").mkdir(parents=True)
    (package / "settings.py").write_text("from refine_af.fields import x\n")
    (package / "stage.py").write_text("def f():\n    from refine_af.inner.deep import x\n")
    (package / "inner" / "deep.py").write_text("import refine_af.plain\nimport json\n")
    (package / "plain.py").write_text("from refine_af.stage import f\n")
    (package / "unused.py").write_text("")
    script = tmp_path / "script.py"
    script.write_text("from refine_af import stage as s\nfrom refine_af.settings import Y\n")
    names = [path.relative_to(tmp_path).as_posix() for path in sources(script)]
    wanted = ["script.py", "refine_af/inner/deep.py", "refine_af/plain.py", "refine_af/stage.py"]
    assert names == wanted


def test_the_stages_depend_on_what_they_compute_with() -> None:
    found = {path.stem for path in sources(ROOT / "scripts" / "ppo.py")}
    assert {"ppo", "generation", "rewards", "completions", "prompts"} <= found
    assert not {"settings", "command_line", "superni", "sft"} & found
