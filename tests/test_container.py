"""The container is made as `make setup` does, and jobs run in it where that is asked."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tiny import ROOT, tiny_config, write_experiment
from workflow import snakemake

DEFINITION = ROOT / "envs" / "container.def"
IMAGE = ROOT / "envs" / "refine-af.sif"
# Options of `apptainer build`, such as those that name another base; 1 for none.
OPTIONS = os.environ.get("REFINE_AF_CONTAINER", "")
BUILDS = shutil.which("apptainer") and OPTIONS


def sections() -> dict[str, list[str]]:
    """The definition's lines by section, without comments; the head's by an empty name."""
    found: dict[str, list[str]] = {"": []}
    name = ""
    for line in DEFINITION.read_text().splitlines():
        if line.startswith("%"):
            name = line[1:]
            found[name] = []
        elif line.strip() and not line.strip().startswith("#"):
            found[name].append(line.strip())
    return found


def test_the_definition_has_known_sections_and_a_python_that_the_project_takes() -> None:
    found = sections()
    assert found.keys() == {"", "arguments", "files", "post", "environment", "test"}
    assert found[""] == ["Bootstrap: {{ bootstrap }}", "From: {{ from }}"]
    base = dict(line.split("=", 1) for line in found["arguments"])
    assert base["bootstrap"] == "docker"
    version = re.fullmatch(r"python:(3\.\d+)-slim-\w+", base["from"])
    least = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text())
    assert version and least and version[1] == least[1], "what the lock is resolved for"


def test_make_setup_needs_no_other_file_than_those_that_are_copied(tmp_path: Path) -> None:
    """Its steps, unrun, in a folder of these alone; the image's PATH is the environment there."""
    found = sections()
    folders = set()
    for line in found["files"]:
        source, target = line.split()
        shutil.copy(ROOT / source, tmp_path / Path(target).name)
        folders.add(str(Path(target).parent))
    (folder,) = folders
    assert f"cd {folder}" in found["post"] and found["post"][-1] == "make setup"
    assert f"export PATH={folder}/.venv/bin:$PATH" in found["environment"]
    done = subprocess.run(
        ["make", "-n", "setup", f"PYTHON={sys.executable}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--require-hashes -r requirements.txt" in done.stdout


@pytest.mark.slow
def test_jobs_run_in_the_image_where_that_is_asked(world: Path, tmp_path: Path) -> None:
    """By a stand-in for Apptainer that writes down its words and runs the command outside."""
    program, told = tmp_path / "bin" / "apptainer", tmp_path / "told"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/bash\n"
        'if [[ $1 == --version ]]; then echo "apptainer version 1.3.4"; exit; fi\n'
        f'echo "$*" >> {told}\nexec bash -c "${{@: -1}}"\n'
    )
    program.chmod(0o755)
    folder = write_experiment(tmp_path / "experiment", tiny_config(world))
    done = snakemake(
        *("results/superni_instances.jsonl", "--directory", folder, "--cores", 1),
        *("--sdm", "apptainer", "--apptainer-args=--nv"),
        environment={"PATH": f"{program.parent}:{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stdout[-4000:]
    (words,) = told.read_text().splitlines()
    assert re.search(rf" exec --home \S+ --nv\b.* {re.escape(str(IMAGE))} \w+ -c ", f" {words}")
    assert "superni_replies.py instances" in words


@pytest.mark.slow
@pytest.mark.skipif(not BUILDS, reason="no apptainer, or REFINE_AF_CONTAINER is not set")
def test_the_image_is_built(tmp_path: Path) -> None:
    options = [] if OPTIONS == "1" else shlex.split(OPTIONS)
    command = ["apptainer", "build", *options, str(tmp_path / "image.sif"), str(DEFINITION)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]  # its %test has imported the libraries
