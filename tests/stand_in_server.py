"""A server of completions as a program: it starts late, crashes, has children, as it is told.

    python stand_in_server.py --port PORT [--model NAME] [--late SECONDS] [--crashes FILE]
        [--family FILE] [--deaf] [--key KEY] [--unwell]

Its replies depend on the prompt alone. `--crashes` names a file of counts, a line each: a process
that begins takes the first line away, and ends with status 3 at the request of that number. With
`--family` it starts a child, and one in a session of its own, and writes its id, theirs and its
parent's, a line for each start; `--deaf` are all three to SIGTERM. `--unwell` it stays, by its own
word.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SLEEPER = [sys.executable, "-ISc", "import time; time.sleep(600)"]
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
WORDS = ["write", "list", "find", "name", "sort", "describe", "compare", "explain", "count"]
BEGAN = time.monotonic()


def asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--crashes", type=Path)
    parser.add_argument("--family", type=Path)
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--unwell", action="store_true")
    parser.add_argument("--key", default="")
    parser.add_argument("rest", nargs="*")
    return parser.parse_args()


def crash_of(file: Path | None) -> int:
    """The number of the request at which this process is to end; 0 for never."""
    if file is None or not (lines := file.read_text().splitlines()):
        return 0
    file.write_text("".join(f"{line}\n" for line in lines[1:]))
    return int(lines[0])


def completion(prompt: str | list[int]) -> bytes:
    draw = random.Random(str(prompt))
    lines = [" ".join(draw.choices(WORDS, k=6)) for _ in range(3)]
    text = "".join(f" {line}\nTask {10 + n}:" for n, line in enumerate(lines))
    choice = {"index": 0, "text": text, "finish_reason": "stop"}
    usage = {"prompt_tokens": len(prompt), "completion_tokens": 5}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    given: argparse.Namespace
    crash = 0
    count = 0
    lock = threading.Lock()

    def do_GET(self) -> None:
        if time.monotonic() - BEGAN < self.given.late:
            self.say(503, b"loading")
        elif self.refused():
            self.say(401, b"whose key?")
        elif self.path == "/v1/models":
            self.say(200, json.dumps({"data": [{"id": self.given.model}]}).encode())
        else:
            self.say(500 if self.given.unwell else 200, b"")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            Handler.count += 1
            if Handler.count == self.crash:
                print("out of memory", flush=True)
                os._exit(3)
        if self.refused():
            self.say(401, b"whose key?")
        else:
            self.say(200, completion(body["prompt"]))

    def refused(self) -> bool:
        key = self.given.key
        return bool(key) and self.headers.get("Authorization") != f"Bearer {key}"

    def say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


def main() -> None:
    given = asked()
    if given.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if given.family:
        sleeper = [*SLEEPER[:2], DEAF] if given.deaf else SLEEPER
        child = subprocess.Popen(sleeper)
        apart = subprocess.Popen(sleeper, start_new_session=True)
        with open(given.family, "a") as file:
            file.write(f"{os.getpid()} {child.pid} {apart.pid} {os.getppid()}\n")
    Handler.given, Handler.crash = given, crash_of(given.crashes)
    print(f"listening, with {given.rest}", flush=True)
    ThreadingHTTPServer(("127.0.0.1", given.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
