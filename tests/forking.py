"""Runs scripts in processes that are forked from one which has imported what takes seconds."""

from __future__ import annotations

import atexit
import fcntl
import hashlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import Timer
from typing import IO

from forked_job import Forked

HERE = Path(__file__).parent
SNAKEMAKE = (
    "snakemake.cli",
    "snakemake.dag",
    "snakemake.workflow",
    "snakemake.storage",
    "snakemake.report.html_reporter",
    "smart_open",
    "yte",
    "pydantic",
    "yaml",
    "psutil",
)
MODELS = (
    "torch",
    "transformers.models.auto",
    "transformers.models.llama.modeling_llama",
    "transformers.models.gpt_neox.modeling_gpt_neox",
    "transformers.models.t5.modeling_t5",
    "peft",
    "datasets",
    "trl.trainer.sft_trainer",
    "pydantic",
    "yaml",
    "numpy",
    "pandas",
    "scipy.stats",
    "rapidfuzz.distance",
    "rouge_score.rouge_scorer",
    "matplotlib.pyplot",
)
SERVERS = "REFINE_AF_TEST_SERVERS"  # the folder that tells which servers there are, where shared
# Nothing may start a thread before the fork.
QUIET = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}


def run_forked(
    argv: Sequence[object],
    *,
    cwd: Path,
    timeout_s: float,
    fork: int = 0,
    imported: tuple[str, ...] = MODELS,
    merged: bool = False,
    environment: dict[str, str] | None = None,
    executable: str | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a Python file with arguments, or -m and a module: a process, but that it starts at once.

    Processes of another `fork` differ in the order of their sets. `merged` output is one text.
    What is in `environment` is so beside this process's own.
    """
    words = list(map(str, argv))
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        open(os.devnull) as empty,
    ):
        job = Forked(
            fork_server(fork, imported),
            words,
            cwd=str(cwd),
            environment=os.environ | (environment or {}),
            files=(empty.fileno(), out.fileno(), (out if merged else err).fileno()),
            executable=executable,
        )
        late = Timer(timeout_s, os.kill, (job.pid, signal.SIGKILL))
        late.start()
        status = job.wait()
        late.cancel()
        out.seek(0)
        err.seek(0)
        said, errors = out.read(), None if merged else err.read()
    return subprocess.CompletedProcess(words, status, said, errors)


@contextmanager
def shared_servers() -> Iterator[None]:
    """Let the processes that this one starts share their fork servers, which end with it.

    A server reads its input to the end, and this process alone could write there.
    """
    with tempfile.TemporaryDirectory(prefix="servers-") as folder:
        os.mkfifo(Path(folder, "life"))
        life = os.open(Path(folder, "life"), os.O_RDWR)
        os.environ[SERVERS] = folder
        try:
            yield
        finally:
            del os.environ[SERVERS]
            os.close(life)


@cache
def fork_server(fork: int = 0, imported: tuple[str, ...] = MODELS) -> str:
    """The address of a server that lives as long as this process, and removes its folder then.

    Where `shared_servers` holds, it is the one server of all processes, and lives as long.
    """
    if SERVERS not in os.environ:
        address, server = _started(fork, imported, subprocess.PIPE)
        atexit.register(server.communicate)
        return address
    name = hashlib.sha256(repr((fork, imported)).encode()).hexdigest()
    known = Path(os.environ[SERVERS], name)
    with open(known.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not known.exists():
            with open(known.with_name("life")) as life:
                known.write_text(_started(fork, imported, life)[0])
    return known.read_text()


def _started(
    fork: int, imported: tuple[str, ...], life: IO[str] | int
) -> tuple[str, subprocess.Popen[bytes]]:
    """The address of a new server, and its process; it ends with its input, `life`."""
    place = Path(tempfile.mkdtemp(prefix="forks-"))
    client = shlex.join([sys.executable, "-IS", str(HERE / "forked_job.py")])
    python = place / "python"
    python.write_text(f'#!/bin/sh\nexec {client} "$@"\n')
    python.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place / "socket"))
        listener.listen(64)
        server = subprocess.Popen(
            [sys.executable, HERE / "fork_server.py", str(listener.fileno()), *imported],
            stdin=life,
            pass_fds=[listener.fileno()],
            env=os.environ | QUIET | {"PYTHONHASHSEED": str(fork)},
        )
    return str(place / "socket"), server


def forking_python(address: str) -> str:
    """A `python` whose scripts the server forks, where REFINE_AF_TEST_FORKS is its address."""
    return str(Path(address).with_name("python"))
