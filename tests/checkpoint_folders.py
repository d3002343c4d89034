"""Small checkpoints, the command that fetches one, and what must have landed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from fetching import settings

COMMIT = "0a41f22" + "c" * 33
MODEL = "org/model"
SMALL = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}"}
BIN = {**SMALL, "pytorch_model.bin": b"pickle" * 1000}
SAFE = {**SMALL, "model.safetensors": b"tensor" * 50_000}
INDEX = "model.safetensors.index.json"
SHARDS = {f"model-0000{n}-of-00002.safetensors": b"shard%d" % n for n in (1, 2)}
MAP = {f"layer.{place}": name for place, name in enumerate(SHARDS)}
INDEXED = json.dumps({"weight_map": MAP}).encode()


def git_blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def command(
    tmp_path: Path, revision: str = COMMIT, role: str = "judge", **changes: Any
) -> list[object]:
    section = settings("http://127.0.0.1:9", **changes)
    places = ["--downloads", tmp_path / "downloads", "--folder", tmp_path / "made" / "model"]
    asked = ["--settings", section, "--checkpoint", f"{MODEL}@{revision}", "--role", role]
    return ["checkpoint", *asked, *places]


def landed(tmp_path: Path) -> dict[str, bytes]:
    """The checkpoint's files; nothing else is left beside it or in the downloads."""
    assert [found.name for found in (tmp_path / "made").iterdir()] == ["model"]
    assert not list((tmp_path / "downloads").glob("*"))
    return {path.name: path.read_bytes() for path in (tmp_path / "made" / "model").iterdir()}
