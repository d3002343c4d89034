"""What stands for a process that is forked ends, is ended and fails as the process would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from subprocess import PIPE

import pytest

from forked_job import ADDRESS, RECORD
from forking import SERVERS, fork_server, forking_python, run_forked

TELLS = "import os, sys\nprint(sys.argv[1:], os.getcwd(), os.environ['NAME'], sys.stdin.read())\n"
WAITS = """
import os, signal, sys, time
def end(*_):
    print("ended", flush=True)
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def python() -> str:
    return forking_python(fork_server(imported=()))


@pytest.fixture
def environment() -> dict[str, str]:
    """Where a server that has imported nothing forks what the `python` is to run."""
    return os.environ | {ADDRESS: fork_server(imported=())}


def test_a_process_has_its_own_words_folder_environment_and_files(
    python: str, environment: dict[str, str], tmp_path: Path
) -> None:
    script = tmp_path / "tells.py"
    script.write_text(TELLS + "print('no', file=sys.stderr)\nsys.exit(3)\n")
    record = tmp_path / "record.jsonl"
    done = subprocess.run(
        [python, script, "a b", "-c"],
        cwd=tmp_path,
        env=environment | {"NAME": "é", RECORD: str(record)},
        input="said",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (3, "no\n")
    assert done.stdout == f"['a b', '-c'] {tmp_path} é said\n"
    assert f'["{script}", "a b", "-c"]' in record.read_text()


def test_a_signal_reaches_the_process(environment: dict[str, str], tmp_path: Path) -> None:
    with waiting(environment, tmp_path) as job:
        assert job.stdout is not None
        job.stdout.readline()
        job.terminate()
        assert job.stdout.read() == "ended\n"
        assert job.wait() == 7


def test_who_dies_takes_the_process_along(environment: dict[str, str], tmp_path: Path) -> None:
    with waiting(environment, tmp_path) as job:
        assert job.stdout is not None
        pid = int(job.stdout.readline())
        job.kill()
        assert job.stdout.read() == "", "its end closes this"
        assert gone(pid)


def test_a_process_that_is_killed_shows(environment: dict[str, str], tmp_path: Path) -> None:
    with waiting(environment, tmp_path) as job:
        assert job.stdout is not None
        os.kill(int(job.stdout.readline()), signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL


def waiting(environment: dict[str, str], folder: Path) -> subprocess.Popen[str]:
    python = forking_python(environment[ADDRESS])
    script = folder / "waits.py"
    script.write_text(WAITS)
    return subprocess.Popen([python, script], env=environment, stdout=PIPE, text=True)


def gone(pid: int) -> bool:
    """Whether a process is none any more within a minute."""
    limit = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    return not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize(
    ("words", "change", "said"),
    [
        (["x.py"], {ADDRESS: "/no/such/socket"}, "No such file"),
        (["x.py"], {"MALLOC_TRIM_THRESHOLD_": "1"}, "no process can be forked whose MALLOC_TRIM"),
        (["-c", "print()"], {}, "runs a script or -m and a module, not: python -c print()"),
        ([], {}, "runs a script or -m and a module"),
    ],
)
def test_what_cannot_be_forked_fails(
    words: list[str],
    change: dict[str, str],
    said: str,
    python: str,
    environment: dict[str, str],
    tmp_path: Path,
) -> None:
    (tmp_path / "x.py").write_text("print('run')\n")
    command, given = [python, *words], environment | change
    done = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert said in done.stderr


def test_without_a_server_nothing_runs(python: str, tmp_path: Path) -> None:
    done = subprocess.run([python, "x.py"], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{ADDRESS} names no fork server" in done.stderr


@pytest.mark.parametrize(
    ("last", "status", "said"),
    [
        ("", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('a fault')", 1, "a fault\n"),
        ("raise ValueError('a fault')", 1, "ValueError: a fault\n"),
        ("os.kill(os.getpid(), signal.SIGINT)", -signal.SIGINT, "KeyboardInterrupt\n"),
    ],
)
def test_a_process_ends_as_python_does(last: str, status: int, said: str, tmp_path: Path) -> None:
    """Threads are waited for, then what is to be done at the end is, and all that was said shows.

    The same holds where Python starts as a person starts it.
    """
    script = tmp_path / "ends.py"
    script.write_text(
        "import atexit, os, signal, sys, threading, time\n"
        # What a shell starts in the background ignores SIGINT, and so do its children.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "atexit.register(print, 'at exit')\n"
        "def work():\n    time.sleep(0.05)\n    print('worked')\n"
        f"threading.Thread(target=work).start()\n{last}\n"
    )
    forked = run_forked([script], cwd=tmp_path, timeout_s=60, imported=())
    usual = subprocess.run([sys.executable, script], capture_output=True, text=True)
    for done in (forked, usual):
        assert (done.returncode, done.stdout) == (status, "worked\nat exit\n")
        assert done.stderr.endswith(said) and bool(done.stderr) == bool(said)


def test_python_itself_can_be_another(tmp_path: Path) -> None:
    script = tmp_path / "which.py"
    script.write_text("import sys\nprint(sys.executable)\n")
    for named, found in ((None, sys.executable), ("/some/python", "/some/python")):
        done = run_forked([script], cwd=tmp_path, timeout_s=60, imported=(), executable=named)
        assert done.stdout == f"{found}\n"


SERVES = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from forked_job import Forked
from forking import fork_server, shared_servers
"""


def told_by(program: str) -> str:
    """What a program says that shares no server with these tests."""
    environment = {name: value for name, value in os.environ.items() if name != SERVERS}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, stdout=PIPE, text=True).stdout


def test_a_server_ends_with_who_started_it(tmp_path: Path) -> None:
    """Killed, too; what it forked goes with it."""
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    program = f"""{SERVES}
address = fork_server(imported=())
job = Forked(address, [{str(script)!r}], cwd="/", environment=os.environ, files=(0, 2, 2))
print(job.pid, address, flush=True)
os.kill(os.getpid(), 9)
"""
    pid, address = told_by(program).split()
    assert gone(int(pid)) and not Path(address).parent.exists()


def test_processes_side_by_side_share_a_server(tmp_path: Path) -> None:
    """It outlives the one that asked for it first, and ends with the one that started them all."""
    asks = f"{SERVES}\nprint(fork_server(imported=()), flush=True)\nos._exit(0)\n"
    program = f"""{SERVES}
import subprocess
with shared_servers():
    for _ in range(2):
        subprocess.run([sys.executable, "-c", {asks!r}], check=True)
    files = (0, os.open(os.devnull, os.O_WRONLY), 2)
    job = Forked(fork_server(imported=()), [], cwd="/", environment=os.environ, files=files)
    print(job.pid, flush=True)
"""
    first, second, pid = told_by(program).split()
    assert first == second
    assert gone(int(pid)) and not Path(first).parent.exists()
