"""Run a command on GPUs that no other job of this user has: `on_gpus.py COUNT COMMAND ...`.

Snakemake counts a machine's GPUs and says to no job which to use: each of two would take the first.
Here a job holds a lock file for each of its GPUs as long as it lives, and sees no others, by
CUDA_VISIBLE_DEVICES. Where it sees no more than it asks for, as in a scheduler's job, the command
runs as it is.
"""

import argparse
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

POLL_S = 0.5


def main() -> None:
    """Become the command, which inherits the locks and holds them until it ends."""
    count, command = _asked()
    seen = visible() if count else []
    try:
        if count < len(seen):
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(held(seen, count))
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"error: {error.filename or command[0]}: {error.strerror}")


def _asked() -> tuple[int, list[str]]:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("count", type=int, metavar="COUNT", help="How many GPUs the command needs.")
    parser.add_argument("program", metavar="COMMAND", help="The program to run.")
    rest = "What the program is given."
    parser.add_argument("rest", nargs=argparse.REMAINDER, metavar="ARGUMENTS", help=rest)
    given = parser.parse_args()
    return given.count, [given.program, *given.rest]


def visible() -> list[str]:
    """The GPUs that this process may use: those that the environment names, or the machine's."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        with suppress(OSError, subprocess.CalledProcessError):
            query = ["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"]
            named = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    return (named or "").replace(",", " ").split()


def held(seen: Sequence[str], count: int) -> list[str]:
    """The first `count` free GPUs of `seen`; waits until there are as many."""
    folder = Path(tempfile.gettempdir(), f"refine-af-gpus-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    waiting = False
    while len(taken := free(folder, seen, count)) < count:
        for lock in taken.values():
            os.close(lock)
        if not waiting:
            print(f"waiting: fewer than {count} of {len(seen)} GPUs are free", flush=True)
        waiting = True
        time.sleep(POLL_S)
    for lock in taken.values():
        os.set_inheritable(lock, True)
    return list(taken)


def free(folder: Path, seen: Sequence[str], count: int) -> dict[str, int]:
    """Up to `count` GPUs that nobody holds, and the descriptors of their locks, held from now."""
    taken: dict[str, int] = {}
    for name in seen:
        if len(taken) == count:
            break
        lock = os.open(folder / name.replace("/", "_"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken[name] = lock
        except BlockingIOError:
            os.close(lock)
    return taken


if __name__ == "__main__":
    main()
