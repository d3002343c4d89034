"""Runs scripts in processes that are forked from one which has imported what takes seconds.

    python forking.py MODULE ...

imports the modules and reads a request a line, a JSON object with the process's `argv`,
`cwd`, `out` and `err`; it tells in two lines each process's id, and the status with which it ended.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import Lock, Timer

MODELS = ("torch", "transformers.models.auto", "transformers.models.llama.modeling_llama", "peft")
SNAKEMAKE = ("snakemake.cli", "snakemake.dag", "snakemake.workflow", "pydantic", "yaml")
ONE_AT_A_TIME = Lock()  # some tests ask from several threads


def run_forked(
    argv: Sequence[object],
    *,
    cwd: Path,
    timeout_s: float,
    fork: int = 0,
    imported: tuple[str, ...] = MODELS,
    merged: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run a Python file with arguments, or -m and a module: a process, but that it starts at once.

    Processes of another `fork` differ in the order of their sets. `merged` output is one text.
    """
    words = list(map(str, argv))
    with ONE_AT_A_TIME:
        server = _server(fork, imported)
    assert server.stdin and server.stdout
    with tempfile.TemporaryDirectory() as place:
        out, err = Path(place, "out"), Path(place, "out" if merged else "err")
        request = {"argv": words, "cwd": str(cwd), "out": str(out), "err": str(err)}
        with ONE_AT_A_TIME:
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            late = Timer(timeout_s, os.kill, (int(server.stdout.readline()), signal.SIGKILL))
            late.start()
            status = int(server.stdout.readline())
            late.cancel()
        said, errors = out.read_text(), None if merged else err.read_text()
    return subprocess.CompletedProcess(words, status, said, errors)


@cache
def _server(fork: int, imported: tuple[str, ...]) -> subprocess.Popen[str]:
    server = subprocess.Popen(
        [sys.executable, __file__, *imported],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONHASHSEED": str(fork)},
    )
    atexit.register(server.communicate)
    return server


def serve() -> dict[str, object] | None:
    """Fork for every request: None in this process, in the end, and in each new one its request."""
    for name in sys.argv[1:]:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if not child:
            return dict(json.loads(line))
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    return None


def become(request: dict[str, object]) -> None:
    os.environ.pop("PYTHONHASHSEED")
    os.chdir(str(request["cwd"]))
    for descriptor, path in ((0, os.devnull), (1, request["out"]), (2, request["err"])):
        opened = os.open(str(path), os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    argv = request["argv"]
    assert isinstance(argv, list)
    if argv[0] == "-m":
        sys.argv, sys.path[0] = argv[1:], str(Path.cwd())
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, str(Path(argv[0]).parent)
        runpy.run_path(argv[0], run_name="__main__")


if __name__ == "__main__" and (asked := serve()) is not None:
    become(asked)
