"""The server that a job asks: one that runs already, or its own, which lives as long as the job."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from refine_af.errors import InputError
from refine_af.jobs import keeper
from refine_af.jobs.last_lines import last_lines
from refine_af.jobs.progress import duration
from refine_af.settings.servers import PLACEHOLDER, Server, Start

HOST = "127.0.0.1"
POLL_S = 0.2
ASK_S = 10.0  # a server that computes may be slow to say that it lives
MOST = 1 << 20  # bytes of an answer that are read
# No server is to fetch what the pins of config.yaml do not name, or to tell of its use.
QUIET = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


@dataclass(frozen=True)
class ToServe:
    """What a server is to complete: a checkpoint's folder, with the adapters of its requests.

    `adapters` are folders by the name that a request gives as its model, none of them of a rank
    above `rank`, one that servers know: a power of two. The checkpoint's own `name` is the
    server's model where none is given.
    """

    checkpoint: Path
    adapters: Mapping[str, Path]
    rank: int
    name: str = ""


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and what is set for it.

    `check` raises InputError where the server is gone for good. One that the job `started` is asked
    past the environment's proxies.
    """

    url: str
    server: Server
    started: bool
    check: Callable[[], None]


def at_address(server: Server) -> Endpoint:
    """The server that runs at an address. InputError where it is to be started."""
    if server.url is None:
        raise InputError(f"{server.model}: this server has no url, and only a model's is started")
    return Endpoint(server.url, server, started=False, check=lambda: None)


@contextmanager
def serving(server: Server, served: ToServe, log: Path) -> Iterator[Endpoint]:
    """The server to ask, ready: started for the block where `server` says so, and ended after it.

    The process of one that is started, and all that it starts, is gone after the block, and after
    the death of this process of whatever kind; what it prints goes to the file `log`. After a crash
    it is started once more, at the same address. InputError where it is not ready in time.
    """
    if server.start is None:
        yield at_address(server)
        return
    environment = _environment(server.model, server.start.environment)
    with _port() as port:
        words = command(server, server.start, served, port)
        with _running(words, environment, log) as process:
            started = _Started(server, process, log, f"http://{HOST}:{port}")
            started.wait()
            yield Endpoint(f"{started.address}/v1", server, started=True, check=started.check)


def command(server: Server, start: Start, served: ToServe, port: int) -> list[str]:
    """The words that start a server of what is `served` on a port.

    InputError where it takes no adapters, and there are some.
    """
    values = {
        "checkpoint": str(served.checkpoint.absolute()),
        "model": served.name or server.model,
        "port": str(port),
        "rank": str(served.rank),
    }
    words = shlex.split(start.command)
    if served.adapters and start.adapters is None:
        name = min(served.adapters)
        raise InputError(f"{server.model}: start.adapters is null, so it cannot serve {name!r}")
    if served.adapters and start.adapters is not None:
        words += shlex.split(start.adapters)
    named = [f"{name}={folder.absolute()}" for name, folder in served.adapters.items()]
    filled: list[str] = []
    for word in words:
        whole = word == "{adapters}"
        filled += named if whole else [PLACEHOLDER.sub(lambda found: values[found[1]], word)]
    return filled


@contextmanager
def _port() -> Iterator[int]:
    """A port of this machine that the system gives to nobody else during the block.

    It is bound here and not listened on, so that a server can bind it too, at its start and after a
    crash: servers say that they share an address, by one of these two options.
    """
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((HOST, 0))
        yield held.getsockname()[1]


@contextmanager
def _running(
    words: list[str], environment: dict[str, str], log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """The keeper of a server; after the block neither it nor anything that it started runs."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "wb") as said:
        said.write(f"{shlex.join(words)}\n".encode(errors="replace"))
        said.flush()
        process = subprocess.Popen(
            # Isolated, so that the folder of this package does not stand before the libraries.
            [sys.executable, "-I", keeper.__file__, *words],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
            close_fds=False,  # the locks of the GPUs are to be held until the server is gone
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(2 * keeper.GRACE_S + ASK_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode < 0:  # it was killed: the keeper ends by itself what it has started
        left = [each for each in psutil.process_iter() if _in_session(each, process.pid)]
        _, left = psutil.wait_procs(left, 2 * keeper.GRACE_S)
        for each in left:
            with suppress(psutil.Error):
                each.kill()
        psutil.wait_procs(left, ASK_S)


def _in_session(process: psutil.Process, leader: int) -> bool:
    with suppress(OSError):
        return os.getsid(process.pid) == leader
    return False


def _environment(model: str, folder: Path | str | None) -> dict[str, str]:
    """This process's environment, a virtual one's programs first. InputError without such one."""
    made = QUIET | os.environ
    if folder is None:
        return made
    place = Path(folder).absolute()
    if not (place / "bin").is_dir():
        raise InputError(
            f"{model}: start.environment: {place}: there is no virtual environment; in the "
            "project's folder `make vllm` makes one with vLLM, in .vllm"
        )
    made |= {"VIRTUAL_ENV": str(place), "PATH": f"{place / 'bin'}{os.pathsep}{made['PATH']}"}
    for name in ("PYTHONPATH", "PYTHONHOME"):  # this project's, whose libraries are others
        made.pop(name, None)
    return made


class _Started:
    """A server as its job knows it: by its keeper, its log and its address."""

    def __init__(
        self, server: Server, process: subprocess.Popen[bytes], log: Path, address: str
    ) -> None:
        self.address = address
        self._server, self._process, self._log = server, process, log
        name = server.key_variable
        self._key = os.environ.get(name, "") if name else ""

    def wait(self) -> None:
        """Return once it is ready. InputError where it ended, or is not ready in time."""
        assert self._server.start is not None and self._process.stdin is not None
        limit, began = self._server.start.ready_s, time.monotonic()
        print(f"{self._server.model}: starting its server; it says all in {self._log}", flush=True)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        with httpx2.Client(headers=headers, timeout=ASK_S, trust_env=False) as client:
            while not self._ready(client):
                self.check()
                if time.monotonic() - began > limit:
                    raise InputError(self._told(f"is not ready after {limit:g} s (ready_s)"))
                time.sleep(POLL_S)
        with suppress(BrokenPipeError):  # ended just now: the first request will tell
            self._process.stdin.write(b"ready\n")
            self._process.stdin.flush()
        took = duration(time.monotonic() - began)
        print(f"{self._server.model}: its server is ready after {took}", flush=True)

    def check(self) -> None:
        """InputError where the server has ended, and is not started again."""
        if self._process.poll() is not None:
            raise InputError(self._told("has ended"))

    def _ready(self, client: httpx2.Client) -> bool:
        """Whether it knows its models, and is well if it says: some answer before one is loaded."""
        try:
            models = self._status(client, "/v1/models")
            if models in (401, 403):
                wrong = f"answers HTTP {models}: key_variable names no key of its own"
                raise InputError(self._told(wrong))
            return models == 200 and self._status(client, "/health") in (200, 404, 405)
        except httpx2.RequestError:
            return False

    def _status(self, client: httpx2.Client, path: str) -> int:
        """What it answers; of the body, which may have no end, what a server has to say at once."""
        with client.stream("GET", f"{self.address}{path}") as answer:
            until = time.monotonic() + ASK_S
            for _ in answer.iter_raw():  # some complain in their log of one who hangs up
                if answer.num_bytes_downloaded > MOST or time.monotonic() > until:
                    break
            return answer.status_code

    def _told(self, wrong: str) -> str:
        lines = "".join(f"\n  {line}" for line in last_lines(self._log, self._key))
        return f"{self._server.model}: the server that this job started {wrong}. It said:{lines}"
