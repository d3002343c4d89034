"""Keeps a server for a job: starts it, starts it once more after a crash, ends all of it.

    python keeper.py COMMAND ...

Its input is a pipe that the job alone can write to: a line there says that the server was ready,
the end that the job has ended, in whatever way. It ends as the server did. A process between the
two, since nobody else is left to end a server, and what that has started, after a kill -9 of the
job. What a server starts and leaves behind becomes a child of this process, and ends with it. It is
a guard's own child, which does the same for it: so one of the two may be killed together with the
job.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial

import psutil

POLL_S = 0.1
GRACE_S = 5.0  # from SIGTERM to SIGKILL: vLLM with requests under way would wait for ever
RESTARTS = 1
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
INPUT = 0

LIBC = ctypes.CDLL(None)


def guarded(command: list[str]) -> int:
    """`main` in a child of this process, which ends what a child that was killed has left."""
    for ignored in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):  # the keeper sees to them
        signal.signal(ignored, signal.SIG_IGN)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    guard = os.getpid()
    if not (keeper := os.fork()):
        die_with(guard, signal.SIGTERM)
        return main(command)
    status = os.waitstatus_to_exitcode(os.waitpid(keeper, 0)[1])
    clear()
    return status if status >= 0 else 128 - status


def main(command: list[str]) -> int:
    """Keep a server that `command` starts; the status with which it, or its last heir, ended."""
    signal.signal(signal.SIGTERM, leave)
    for ignored in (signal.SIGINT, signal.SIGHUP):  # the job is told of them, and says what follows
        signal.signal(ignored, signal.SIG_IGN)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        status = kept(command)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # or `leave` could cut the clearing short
        return status
    finally:
        clear()


def kept(command: list[str]) -> int:
    """The same, with what the server leaves behind when the job, or this process, is to end."""
    ready, restarts = False, RESTARTS
    while True:
        status, ready = watched(started(command), ready)
        if status is None:
            return 0
        clear()
        said = f"killed by signal {-status}" if status < 0 else f"status {status}"
        again = ready and restarts > 0
        tell(f"the server ended: {said}{'; it is started once more' if again else ''}")
        if not again:
            return 1
        restarts -= 1


def leave(*_: object) -> None:
    """End as where the job ended; nothing cuts that short."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(143)


def die_with(parent: int, sign: signal.Signals) -> None:
    """Have this process sent `sign` once its parent has ended, however it does."""
    LIBC.prctl(PR_SET_PDEATHSIG, sign, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def started(command: list[str]) -> int:
    """The id of the server's process, which leads a group and dies with this one."""
    try:
        # Its end is read by `ended`, with that of all that it leaves behind.
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            process_group=0,
            preexec_fn=partial(die_with, os.getpid(), signal.SIGKILL),
        ).pid
    except OSError as error:
        tell(f"{command[0]}: {error.strerror}")
        sys.exit(127)


def watched(server: int, ready: bool) -> tuple[int | None, bool]:
    """How the server ended, None where the job ended first; and whether it was ever ready."""
    while True:
        readable = select.select([INPUT], [], [], POLL_S)[0]
        if readable:
            if not os.read(INPUT, 4096):
                return None, ready
            ready = True
        if (status := ended(server)) is not None:
            return status, ready


def ended(server: int) -> int | None:
    """How the server ended, None while it runs; takes note of all other processes that ended."""
    with suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == server:
                return os.waitstatus_to_exitcode(found[1])
    return None


def clear() -> None:
    """End every process below this one: asked first, and killed after GRACE_S."""
    limit = time.monotonic() + GRACE_S
    for process in below():
        with suppress(psutil.Error):
            process.terminate()
    while (left := below()) and time.monotonic() < limit:
        time.sleep(POLL_S / 2)
    while left:  # one of them may start another meanwhile
        for process in left:
            with suppress(psutil.Error):
                process.kill()
        time.sleep(POLL_S / 10)
        left = below()


def below() -> list[psutil.Process]:
    """All processes that this one, and those below it, have started and that have not ended."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    found: list[psutil.Process] = psutil.Process().children(recursive=True)
    return found


def tell(text: str) -> None:
    print(f"keeper: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(guarded(sys.argv[1:]))
