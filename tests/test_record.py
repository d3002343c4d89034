"""What a job says of itself at its end, and how it is read back from its log."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest

from refine_af.errors import InputError
from refine_af.jobs import record
from refine_af.jobs.command_line import run
from refine_af.jobs.record import ASKED_FOR, Record, commit_of, told


def logged(folder: Path, capsys: pytest.CaptureFixture[str]) -> Record | None:
    """The record of a command whose log is what it printed."""

    def main(*, number: int) -> None:
        print(number)

    run(main, arguments=["--number", "5"])
    (folder / "job.log").write_text(capsys.readouterr().out)
    return told(folder / "job.log")


def test_a_job_ends_in_its_record_where_the_workflow_asks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ASKED_FOR, "1")
    found = logged(tmp_path, capsys)
    assert found is not None
    assert found.began <= found.ended and found.began.endswith("Z") and len(found.began) == 20
    assert found.cores >= 1 and found.memory_gb >= 1 and found.cpu_s > 0 and found.cpu
    assert found.python == ".".join(map(str, sys.version_info[:3]))
    assert found.libraries["numpy"] == numpy.__version__


def test_a_job_by_hand_tells_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(ASKED_FOR, raising=False)
    assert logged(tmp_path, capsys) is None
    assert (tmp_path / "job.log").read_text() == "5\n"


def test_a_job_that_fails_ends_in_its_fault_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ASKED_FOR, "1")

    def main(*, number: int) -> None:
        raise InputError(f"{number} is wrong")

    with pytest.raises(SystemExit, match="error: 5 is wrong"):
        run(main, arguments=["--number", "5"])
    assert capsys.readouterr().out == ""


def test_the_gpus_are_those_that_torch_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["NVIDIA A100", "NVIDIA A100"]
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: len(names),
        get_device_name=names.__getitem__,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert record.gpus() == names
    monkeypatch.delitem(sys.modules, "torch")
    assert record.gpus() == []  # of a job that did not compute with it


@pytest.mark.parametrize(
    ("text", "said"),
    [("ran: {", "ends in no record"), ("ran: [1]", "no record"), ("ran: {}", "no 'began'")],
)
def test_a_damaged_record_is_told(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "job.log").write_text(f"words\n{text}\n")
    with pytest.raises(InputError, match=said) as fault:
        told(tmp_path / "job.log")
    assert "job.log" in str(fault.value)


def test_a_log_without_a_record_or_no_log_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "job.log").write_bytes(b"\xff words\nran out of words\n")
    assert told(tmp_path / "job.log") is None and told(tmp_path / "none.log") is None


def test_the_last_record_of_a_long_log_counts(tmp_path: Path) -> None:
    own = Record("a", "b", 1.5, "", False, "3", {}, "s", "c", 1, 2, ["g"])
    lines = ["x" * 200_000, f"ran: {json.dumps(vars(own) | {'began': 'z'})}"]
    (tmp_path / "job.log").write_text("\n".join([*lines, f"ran: {json.dumps(vars(own))}", ""]))
    assert told(tmp_path / "job.log") == own


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.slow
def test_the_commit_and_whether_what_it_holds_was_edited(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "results").mkdir(parents=True)
    assert commit_of(project) == ("", False)
    git(project, "init", "-q")
    assert commit_of(project) == ("", False)  # no commit yet
    (project / "a.py").write_text("a = 1\n")
    git(project, "add", "a.py")
    git(project, "commit", "-q", "-m", "a")
    commit = git(project, "rev-parse", "HEAD")
    (project / "results" / "made").write_text("by a run")
    assert len(commit) == 40 and commit_of(project) == (commit, False)
    (project / "a.py").touch()
    assert commit_of(project) == (commit, False)
    (project / "a.py").write_text("a = 2\n")
    assert commit_of(project) == (commit, True)
    assert commit_of(project / "results") == ("", False)  # within another repository
    assert commit_of(tmp_path / "nowhere") == ("", False)
