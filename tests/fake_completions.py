"""A completions endpoint on this machine that answers as told, fails on command, and remembers."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

os.environ["NO_PROXY"] = "127.0.0.1"

PIECE = b" " * 65536
Page = tuple[int, bytes]
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


@dataclass
class Answer:
    """What becomes of a request, `after` seconds of thought and not before `gate` is set.

    `way` is `whole`, `cut` (half of the body, then the end), `close` (nothing at all), `stall`
    (half, then silence), `drip` (a byte each 50 ms, for as long as anyone listens), `endless` (a
    body without an end), `raw` (the body is all that is sent, in place of HTTP), or `pieces`: its
    events, each after a `pause`, until the client goes.
    """

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    way: str = "whole"
    after: float = 0.0
    gate: threading.Event | None = None
    pause: float = 0.0


def completion(text: str, /, **changes: Any) -> bytes:
    """A whole answer as servers give it; `changes` to the choice, or to the keys of `usage`."""
    usage = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    usage |= {key: changes.pop(key) for key in list(changes) if key in usage}
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": "stop"} | changes
    return json.dumps({"object": "text_completion", "choices": [choice], "usage": usage}).encode()


def events(*texts: str, pause: float = 0.0, **changes: Any) -> Answer:
    """The same as a stream, an event for each text; the last has its end and the counts."""
    whole = json.loads(completion("", **{"completion_tokens": len(texts)} | changes))
    ending = whole["choices"][0] | {"text": ""}
    pieces = [{"choices": [{"index": 0, "text": text}]} for text in texts]
    rows = [*pieces, {"choices": [ending]}, {"choices": [], "usage": whole["usage"]}]
    body = b"".join(b"data: %s\n\n" % json.dumps(row).encode() for row in rows)
    return Answer(body + b"data: [DONE]\n\n", headers=STREAM, way="pieces", pause=pause)


@dataclass
class Request:
    """A request as it came, and when; `ended` is when its answer did, or its client went."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    came: float
    ended: float = 0.0


@dataclass
class FakeCompletions:
    """`answers` by prompt: each is used up by one request, in order; then the prompt is echoed.

    `pages` are what GET gives by path, each a status and a body, of several the next one at each
    look but for the last; `looks` are the paths asked for.
    `most_at_once` requests were in the server's hands at the same time; `sent` counts the bytes
    of endless bodies.
    """

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    thought: float = 0.0
    pages: dict[str, Page | list[Page]] = field(default_factory=dict)
    looks: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    sent: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    closing: threading.Event = field(default_factory=threading.Event)

    def prompts(self) -> list[str]:
        return [request.body["prompt"] for request in self.requests]

    def answer_to(self, prompt: str) -> Answer:
        with self.lock:
            waiting = self.answers.get(prompt, [])
            said = completion(f" echo of {prompt}", prompt_tokens=len(prompt))
            echo = Answer(said, after=self.thought)
            return waiting.pop(0) if waiting else echo


@contextmanager
def serving(fake: FakeCompletions | None = None) -> Iterator[FakeCompletions]:
    made = fake or FakeCompletions()

    class Handler(_Handler):
        fake_completions = made

    class Server(ThreadingHTTPServer):
        request_queue_size = 256

    server = Server(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.closing.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    fake_completions: FakeCompletions
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # which holds a small body back until its headers are received

    def setup(self) -> None:
        super().setup()
        self.fake_completions.connections += 1

    def do_GET(self) -> None:
        fake = self.fake_completions
        fake.looks.append(self.path)
        page = fake.pages.get(self.path, (404, b"{}"))
        if isinstance(page, list):
            page = page.pop(0) if len(page) > 1 else page[0]
        status, body = page
        self.send(Answer(body, status))

    def do_POST(self) -> None:
        fake = self.fake_completions
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = Request(self.path, dict(self.headers), body, time.monotonic())
        with fake.lock:
            fake.requests.append(request)
            fake.at_once += 1
            fake.most_at_once = max(fake.most_at_once, fake.at_once)
        try:
            asked = body["messages"][0]["content"] if "messages" in body else body["prompt"]
            known = isinstance(asked, str)
            answer = fake.answer_to(asked if known else "".join(map(chr, asked)))
            fake.closing.wait(answer.after)
            if answer.gate:
                answer.gate.wait(10)
            # Before its last byte: the client's next request may come right after that.
            if answer.way == "whole":
                self.end(request)
            self.send(answer)
        finally:
            self.end(request)

    def end(self, request: Request) -> None:
        with self.fake_completions.lock:
            if not request.ended:
                request.ended = time.monotonic()
                self.fake_completions.at_once -= 1

    def send(self, answer: Answer) -> None:
        self.close_connection = answer.way != "whole"
        if answer.way in ("close", "raw"):
            self.wfile.write(answer.body)
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.way not in ("endless", "pieces"):
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if answer.way == "whole":
            self.wfile.write(answer.body)
        elif answer.way == "pieces":
            for event in answer.body.split(b"\n\n")[:-1]:
                self.fake_completions.closing.wait(answer.pause)
                self.wfile.write(event + b"\n\n")
                self.fake_completions.sent += 1
        elif answer.way == "endless":
            while not self.fake_completions.closing.is_set():
                self.wfile.write(PIECE)
                self.fake_completions.sent += len(PIECE)
        else:
            self.wfile.write(answer.body[: len(answer.body) // 2])
            if answer.way != "cut":
                self.linger(drips=answer.way == "drip")

    def linger(self, *, drips: bool) -> None:
        """Keep the connection, with a byte now and then or without, until the client goes."""
        self.connection.settimeout(0.05)
        while not self.fake_completions.closing.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return
            if drips:
                self.wfile.write(b" ")

    def handle(self) -> None:
        with suppress(BrokenPipeError, ConnectionResetError):
            super().handle()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass
