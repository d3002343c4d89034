"""A process that a fork server makes; as a program, what stands for it: the `python` of a PATH.

    python -IS forked_job.py SCRIPT ARGUMENT ...

asks the server whose socket REFINE_AF_TEST_FORKS names to run the script in its own place: with
its arguments, folder, environment and three files. It takes on signals for the process, ends as
that ended, and takes it along where it is killed itself. Without a server it fails.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

ADDRESS = "REFINE_AF_TEST_FORKS"
RECORD = "REFINE_AF_TEST_JOBS"  # a file to which each process adds its words, beginning and end


class Forked:
    """A process that runs a Python file, or -m and a module, forked by the server at `address`.

    It lives no longer than this object's connection, so that whoever is killed leaves none behind.
    """

    def __init__(
        self,
        address: str,
        argv: Sequence[str],
        *,
        cwd: str,
        environment: Mapping[str, str],
        files: tuple[int, int, int],
        executable: str | None = None,
    ) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(address)
        request = {"argv": argv, "cwd": cwd, "environment": dict(environment)}
        request["executable"] = executable or sys.executable
        socket.send_fds(self._connection, [b"\n"], files)
        self._connection.sendall(json.dumps(request).encode() + b"\n")
        self._told = self._connection.makefile()
        self.pid = self._number()

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return not select.select([self._connection], [], [], 0)[0]

    def kill(self) -> None:
        """End it, if it has not ended."""
        self._connection.close()
        self._told.close()

    def wait(self) -> int:
        """How the process ended, as `subprocess` gives it: a signal is a number below 0."""
        with self._connection, self._told:
            return self._number()

    def _number(self) -> int:
        line = self._told.readline()
        if not line:
            raise ConnectionError("the fork server is gone")
        return int(line)


def main() -> int:
    """Be the process that the server forks."""
    began = time.time()
    words = sys.argv[1:]
    if not words or (words[0].startswith("-") and words[0] != "-m"):
        sys.exit(f"forked_job.py runs a script or -m and a module, not: python {' '.join(words)}")
    if ADDRESS not in os.environ:
        sys.exit(f"forked_job.py: {ADDRESS} names no fork server")
    job = Forked(
        os.environ[ADDRESS], words, cwd=str(Path.cwd()), environment=os.environ, files=(0, 1, 2)
    )
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda got, _: os.kill(job.pid, got))
    status = job.wait()
    if RECORD in os.environ:
        with open(os.environ[RECORD], "a") as file:
            file.write(json.dumps([words, began, time.time()]) + "\n")
    if status < 0:
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


if __name__ == "__main__":
    sys.exit(main())
