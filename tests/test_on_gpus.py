"""Which GPUs a job is given, on machines that a made-up nvidia-smi tells of."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tiny import ROOT

TELLS = "import os; print(os.getpid(), os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); input()"
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a job on so many GPUs of the machine's that says which it sees, and waits."""
    jobs = []

    def run(count: int, *machine: str, named: str | None = None) -> subprocess.Popen[str]:
        program = tmp_path / "bin" / "nvidia-smi"
        program.parent.mkdir(exist_ok=True)
        program.write_text("#!/bin/sh\n" + "".join(f"echo {name}\n" for name in machine))
        program.chmod(0o755 if machine else 0o600)
        given = {name: value for name, value in os.environ.items() if name[:5] != "CUDA_"}
        given |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "TMPDIR": str(tmp_path)}
        given |= {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
        command = [sys.executable, ROOT / "scripts" / "on_gpus.py", count, sys.executable, "-c"]
        jobs.append(
            subprocess.Popen(
                [*map(str, command), TELLS],
                env=given,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return jobs[-1]

    yield run
    for job in jobs:
        job.kill()
        job.communicate()


def said(job: subprocess.Popen[str]) -> str:
    assert job.stdout is not None
    return job.stdout.readline().rstrip("\n")


def given(job: subprocess.Popen[str]) -> str:
    """What the job sees; it is the very process that was started."""
    number, seen = said(job).split(" ", 1)
    assert int(number) == job.pid
    return seen


def test_jobs_side_by_side_have_gpus_of_their_own(start: Start) -> None:
    machine = ("GPU-a", "GPU-b", "GPU-c")
    first, second = start(1, *machine), start(2, *machine)
    seen = [set(given(job).split(",")) for job in (first, second)]
    assert sorted(map(len, seen)) == [1, 2] and set.union(*seen) == set(machine)
    third = start(1, *machine)
    assert said(third) == "waiting: fewer than 1 of 3 GPUs are free"
    first.send_signal(signal.SIGKILL)
    assert {given(third)} == seen[0], "a killed job holds nothing"


def test_what_the_environment_names_is_shared_out(start: Start) -> None:
    jobs = [start(1, "GPU-a", "GPU-b", named="2, 3") for _ in range(2)]
    assert sorted(map(given, jobs)) == ["2", "3"]


@pytest.mark.parametrize(
    ("count", "machine", "named", "seen"),
    [
        (1, (), None, "None"),  # no GPU, or none that is NVIDIA's
        (1, ("GPU-a",), None, "None"),
        (2, ("GPU-a", "GPU-b"), None, "None"),
        (1, ("GPU-a", "GPU-b"), "1", "1"),  # as a scheduler's job
        (1, ("GPU-a", "GPU-b"), "", ""),
        (0, ("GPU-a", "GPU-b"), None, "None"),
    ],
)
def test_where_there_is_no_choice_nothing_is_changed_or_held(
    count: int, machine: tuple[str, ...], named: str | None, seen: str, start: Start, tmp_path: Path
) -> None:
    for _ in range(2):
        assert given(start(count, *machine, named=named)) == seen
    assert not list(tmp_path.glob("refine-af-gpus-*"))


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "on_gpus.py"), "1", "no-such-program"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (
        1,
        "error: no-such-program: No such file or directory\n",
    )


def test_it_says_what_it_is_for() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "on_gpus.py")]
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "How many GPUs the command needs." in told
    for words, said in ((["one", "true"], "COUNT: invalid int value: 'one'"), ([], "required")):
        done = subprocess.run([*command, *words], capture_output=True, text=True)
        assert (done.returncode, "Traceback" in done.stderr) == (2, False)
        assert said in done.stderr


def test_what_the_command_is_given_is_its_own() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "on_gpus.py"), "0", "echo", "--help", "-h"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "--help -h\n"
