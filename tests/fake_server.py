"""A web server on this machine that serves given bytes, fails on command, and remembers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    method: str
    path: str
    start: int | None
    token: str | None


@dataclass
class FakeServer:
    """`files` by path. `faults` by path: each is used up by one request, in order.

    A fault is a status code, or `cut` or `stall` after half of what was asked for, `slow`,
    `wrong` (other bytes), `unsized` (cut, without having said how much there is).
    """

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    faults: dict[str, list[int | str]] = field(default_factory=dict)
    ranges: bool = True
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    address: str = ""
    ended: threading.Event = field(default_factory=threading.Event)

    def asked(self, path: str) -> list[int | None]:
        """The first byte that each request of `path` asked for, None where it asked for all."""
        return [r.start for r in self.requests if r.path == path and r.method == "GET"]


@contextmanager
def serving() -> Iterator[FakeServer]:
    fake = FakeServer()

    class Handler(_Handler):
        server_state = fake

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    fake.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        fake.ended.set()
        server.shutdown()
        server.server_close()


def closed_address() -> str:
    """An address on this machine where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


class _Handler(BaseHTTPRequestHandler):
    server_state: FakeServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server_state.connections += 1

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        fake, path = self.server_state, self.path.partition("?")[0]
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else None
        fake.requests.append(Request(self.command, path, start, self.headers.get("Authorization")))
        waiting = fake.faults.get(path, [])
        fault = waiting.pop(0) if waiting else None
        if path not in fake.files and fault is None:
            fault = 404
        if isinstance(fault, int):
            self.answer(fault, b"", fake.headers.get(path, {}))
            return
        body, first, status = fake.files[path], 0, 200
        if start is not None and fake.ranges:
            if start >= len(body):
                self.answer(416, b"", {})
                return
            first, status = start, 206
        self.send(status, body, first, fault, fake.headers.get(path, {}))

    def send(
        self, status: int, body: bytes, first: int, fault: str | None, extra: dict[str, str]
    ) -> None:
        sent = body[first:] if fault != "wrong" else b"?" * (len(body) - first)
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if fault == "unsized":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(sent)))
        for name, value in extra.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        half = len(sent) // 2
        if fault in ("cut", "stall", "unsized"):
            self.wfile.write(sent[:half])
            self.wfile.flush()
            if fault == "stall":
                self.server_state.ended.wait(60)
            self.close_connection = True
        elif fault == "slow":
            for place in range(0, len(sent), 64 * 1024):
                self.wfile.write(sent[place : place + 64 * 1024])
                time.sleep(0.02)
        else:
            self.wfile.write(sent)

    def answer(self, status: int, body: bytes, extra: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **extra}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):  # a client may be killed
            super().handle()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
