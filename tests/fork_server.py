"""Imports what takes seconds, once, and forks for every process that is asked for.

    python fork_server.py SOCKET MODULE ...

imports the modules and answers on the listening SOCKET, a descriptor's number, until its input
ends. Its clients are tests/forked_job.py: each hands over three files and a line of JSON, and is
told in two lines the process's id, and the status with which it ended.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

# What is read while Python starts and modules are imported: a process that is to have other values
# than this one cannot be forked from it. Numbers of threads are set after the fork.
READ_AT_START = ("ATEN_", "HF_", "LD_", "MALLOC_", "OMP_", "PYTHON", "TOKENIZERS_", "TRANSFORMERS_")
SET_LATER = {"OMP_NUM_THREADS", "PYTHONHASHSEED"}

Request = dict[str, Any]


class Server:
    """Forks, and tells who asked how each process ended. State: who waits for which process."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._events = selectors.DefaultSelector()
        self._events.register(listener, selectors.EVENT_READ, self._fork)
        self._events.register(sys.stdin, selectors.EVENT_READ, None)
        self._running: set[int] = set()

    def serve(self) -> Request | None:
        """None in this process, when its input has ended, and in each new one what it is to be."""
        while True:
            for key, _ in self._events.select():
                if key.data is None:
                    for pid in self._running:
                        os.kill(pid, signal.SIGKILL)
                    return None
                if (request := key.data()) is not None:
                    return dict(request)

    def _fork(self) -> Request | None:
        client, _ = self._listener.accept()
        _, files, _, _ = socket.recv_fds(client, 1, 3)
        with client.makefile() as lines:
            request = json.loads(lines.readline())
        pid = os.fork()
        if not pid:
            client.close()
            self._leave()
            return dict(request, files=files)
        for file in files:
            os.close(file)
        self._running.add(pid)
        self._tell(client, pid)
        ended = os.pidfd_open(pid)
        self._events.register(client, selectors.EVENT_READ, partial(self._gone, client, pid))
        self._events.register(ended, selectors.EVENT_READ, partial(self._ended, client, pid, ended))
        return None

    def _leave(self) -> None:
        """Close what is this server's alone, in a new process."""
        for key in [*self._events.get_map().values()]:
            if key.fileobj is not sys.stdin:
                close: Callable[[], None] = getattr(key.fileobj, "close", partial(os.close, key.fd))
                close()
        self._events.close()

    def _gone(self, client: socket.socket, pid: int) -> None:
        if pid in self._running:
            self._events.unregister(client)
            os.kill(pid, signal.SIGKILL)

    def _ended(self, client: socket.socket, pid: int, ended: int) -> None:
        self._events.unregister(ended)
        os.close(ended)
        if client in self._events.get_map():
            self._events.unregister(client)
        self._running.remove(pid)
        self._tell(client, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        client.close()

    def _tell(self, client: socket.socket, number: int) -> None:
        with suppress(BrokenPipeError):  # who is gone has its process killed, by `_gone`
            client.sendall(f"{number}\n".encode())


def become(request: Request) -> None:
    """Be the process that is asked for."""
    for place, file in enumerate(request["files"]):
        os.dup2(file, place)
        os.close(file)
    os.chdir(request["cwd"])
    wanted: dict[str, str] = request["environment"]
    check_start(wanted)
    os.environ.clear()
    os.environ.update(wanted)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(int(wanted["OMP_NUM_THREADS"]))
    sys.executable = request["executable"]
    argv = request["argv"]
    if argv[0] == "-m":
        sys.argv, sys.path[0] = argv[1:], str(Path.cwd())
        runpy.run_module(argv[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = argv, str(Path(argv[0]).parent)
        runpy.run_path(argv[0], run_name="__main__")


def check_start(wanted: dict[str, str]) -> None:
    """That a process with this environment would have started as this one did."""
    for name in sorted({*os.environ, *wanted} - SET_LATER):
        if name.startswith(READ_AT_START) and os.environ.get(name) != wanted.get(name):
            sys.exit(
                f"no process can be forked whose {name} is {wanted.get(name)!r}:"
                f" the fork server started with {os.environ.get(name)!r}"
            )


def end(request: Request) -> NoReturn:
    """Be that process to its end, which is Python's own but for what gives back memory.

    To take apart all that was imported touches every page of it, which costs more than most
    scripts do. An exception goes the long way.
    """
    status: Any = 0
    try:
        become(request)
    except SystemExit as left:
        status = left.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status & 0xFF)


def main(descriptor: str, *names: str) -> None:
    """Import the modules, then serve."""
    for name in names:
        importlib.import_module(name)
    threads = [*Path("/proc/self/task").iterdir()]
    assert len(threads) == 1, "a thread that an import started is in no forked process"
    gc.collect()
    gc.freeze()
    listener = socket.socket(fileno=int(descriptor))
    request = Server(listener).serve()
    if request is None:
        shutil.rmtree(Path(listener.getsockname()).parent)
    else:
        end(request)


if __name__ == "__main__":
    main(*sys.argv[1:])
