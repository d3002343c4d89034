"""The documented command that pushes the release, on a stand-in of the hub on this machine."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tiny import ROOT

REPOSITORY = "someone/made-up"


class Hub(ThreadingHTTPServer):
    """What the hub answers to an upload of small files, and what it was sent: `files` by path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.files: dict[str, bytes] = {}
        self.created: list[dict[str, Any]] = []
        self.cards: list[str] = []
        self.unknown: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    """The answers of huggingface.co that `hf upload` needs, of a repository without a file."""

    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            self.server.created.append(json.loads(body))
            url = f"{self.server.address}/datasets/{REPOSITORY}"
            self.answer({"url": url, "id": REPOSITORY, "name": REPOSITORY})
        elif path == "/api/validate-yaml":
            self.server.cards.append(json.loads(body)["content"])
            self.answer({"errors": [], "warnings": []})
        elif path == f"/api/datasets/{REPOSITORY}/preupload/main":
            named = [file["path"] for file in json.loads(body)["files"]]
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            self.answer({"files": [{"path": name, **modes} for name in named]})
        elif path == f"/api/datasets/{REPOSITORY}/commit/main":
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    sent = base64.b64decode(line["value"]["content"])
                    self.server.files[line["value"]["path"]] = sent
            url = f"{self.server.address}/datasets/{REPOSITORY}/commit/{'1' * 40}"
            self.answer({"success": True, "commitOid": "1" * 40, "commitUrl": url})
        else:
            self.refuse()

    def do_GET(self) -> None:
        if self.path.startswith(f"/api/datasets/{REPOSITORY}/revision/main"):
            self.answer({"id": REPOSITORY, "sha": "1" * 40, "siblings": []})
        else:
            self.refuse()

    def refuse(self) -> None:
        self.server.unknown.append(f"{self.command} {self.path}")
        self.answer({"error": "not here"}, 404)

    def answer(self, document: dict[str, Any], status: int = 200) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def documented() -> list[str]:
    """The command of docs/how-to.md, in words."""
    text = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"^(hf upload .*)$", text, re.MULTILINE)
    return str(command).split()


@pytest.mark.slow
def test_the_documented_command_pushes_the_whole_folder(hub: Hub, tmp_path: Path) -> None:
    place = tmp_path / "results" / "release"
    made = {
        "README.md": "---\nlicense: other\n---\n# Made-up é\n".encode(),
        "one_refine-af/train-00000-of-00001.parquet": bytes(range(256)) * 5000,
        "prompts/instances.txt": b"Do {instruction}\n",
        "figures/ppo_one.png": b"\x89PNG\r\n\x1a\n\0",
    }
    for name, content in made.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    words = [REPOSITORY if word == "my-name/my-data" else word for word in documented()]
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.address,
        "HF_HUB_OFFLINE": "0",
        "HF_TOKEN": "hf_made_up",
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    }
    done = subprocess.run(
        [str(Path(sys.executable).parent / words[0]), *words[1:]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, (done.stderr, hub.unknown)
    assert hub.files == made
    assert [each["type"] for each in hub.created] == ["dataset"]
    assert hub.cards == [made["README.md"].decode()]
    assert not [asked for asked in hub.unknown if asked.startswith("POST")]
