"""Checkpoints come from the hub at a commit, or from its cache, and are what they must be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from checkpoint_folders import (
    BIN,
    COMMIT,
    INDEX,
    INDEXED,
    MODEL,
    SAFE,
    SHARDS,
    SMALL,
    command,
    git_blob,
    landed,
    write,
)
from fake_server import FakeServer, closed_address, serving
from fetching import refused, sha256
from tiny import ROOT

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run_script() -> Script:
    """A process that imports for itself: huggingface_hub reads the environment as it begins."""

    def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        script = [sys.executable, str(ROOT / "scripts" / f"{name}.py")]
        command = [*script, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300)

    return run


class Hub:
    """A fake hub that holds one model."""

    def __init__(self, server: FakeServer) -> None:
        self.server = server

    def info(self, revision: str) -> str:
        return f"/api/models/{MODEL}/revision/{revision}"

    def at(self, name: str) -> str:
        return f"/{MODEL}/resolve/{COMMIT}/{name}"

    def hold(self, files: dict[str, bytes], revision: str = COMMIT, **lfs: str) -> None:
        """Hold `files`; those that end in an LFS format record `lfs`'s sha256, or their own."""
        siblings = []
        for name, content in files.items():
            sibling: dict[str, Any] = {"rfilename": name, "size": len(content)}
            sibling["blobId"] = git_blob(content)
            if name.endswith((".bin", ".safetensors")) and lfs.get("sha256") != "":
                digest = lfs.get("sha256", sha256(content))
                sibling["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 134}
            siblings.append(sibling)
            self.server.files[self.at(name)] = content
            self.server.headers[self.at(name)] = {"X-Repo-Commit": COMMIT, "ETag": '"e"'}
        answer = {"id": MODEL, "sha": COMMIT, "siblings": siblings}
        self.server.files[self.info(revision)] = json.dumps(answer).encode()

    def refuse(self, path: str, status: int, code: str = "") -> None:
        self.server.faults[path] = [status] * 4
        self.server.headers[path] = {"X-Error-Code": code} if code else {}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with serving() as server:
        online(monkeypatch, tmp_path, server.address)
        yield Hub(server)


def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")


def test_only_what_is_needed_is_downloaded(hub: Hub, tmp_path: Path, run_script: Script) -> None:
    needed = {**SAFE, "tokenizer.model": b"sentencepiece", "generation_config.json": b"{}"}
    others = ["pytorch_model.bin", "consolidated.safetensors", "README.md", "modeling.py"]
    hub.hold({**needed, **dict.fromkeys([*others, "onnx/model.safetensors"], b"?")})
    done = run_script("fetch", *command(tmp_path))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == needed
    asked = {request.path for request in hub.server.requests}
    assert asked == {hub.info(COMMIT), *map(hub.at, needed)}
    assert {request.token for request in hub.server.requests} == {"Bearer hf_secret"}


def test_a_short_revision_is_resolved_and_must_begin_the_commit(
    hub: Hub, tmp_path: Path, run_script: Script
) -> None:
    hub.hold(SAFE, revision="0a41f22")
    hub.hold(SAFE, revision="1111111")
    refused(run_script("fetch", *command(tmp_path, "1111111")), f"{MODEL}@1111111", COMMIT)
    done = run_script("fetch", *command(tmp_path, "0a41f22"))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == SAFE


def test_an_interrupted_checkpoint_is_continued_and_its_token_stays_at_home(
    hub: Hub, tmp_path: Path, run_script: Script
) -> None:
    hub.hold(SAFE)
    weights = SAFE["model.safetensors"]
    aside = tmp_path / "downloads" / f"org--model--{COMMIT}"
    aside.mkdir(parents=True)
    (aside / "model.safetensors.partial").write_bytes(weights[:1000])
    (aside / "config.json").write_bytes(SAFE["config.json"])
    (aside / "stale.partial").write_bytes(b"")
    with serving() as store:
        store.files["/blob"] = weights
        path = hub.at("model.safetensors")
        hub.server.faults[path] = [302]
        hub.server.headers[path] = {"Location": f"{store.address}/blob"}
        done = run_script("fetch", *command(tmp_path))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == SAFE
    assert [(r.start, r.token) for r in store.requests] == [(1000, None)]
    assert hub.server.asked(hub.at("config.json")) == []


def test_a_pickle_is_taken_only_where_there_is_nothing_else_and_its_digest_is_known(
    hub: Hub, tmp_path: Path, run_script: Script
) -> None:
    digest = sha256(BIN["pytorch_model.bin"])
    hub.hold(BIN, sha256="")
    refused(run_script("fetch", *command(tmp_path)), "'pytorch_model.bin'", "weights_sha256", MODEL)
    hub.hold(BIN)
    wrong = command(tmp_path, weights_sha256={MODEL: "0" * 64})
    refused(run_script("fetch", *wrong), "fetch.weights_sha256: " + MODEL, "0" * 64, digest)
    done = run_script("fetch", *command(tmp_path, weights_sha256={MODEL: digest}))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == BIN


def test_shards_come_with_their_index_and_all_of_them(
    hub: Hub, tmp_path: Path, run_script: Script
) -> None:
    sharded = {**SMALL, **SHARDS, INDEX: INDEXED}
    hub.hold({name: sharded[name] for name in [*SMALL, next(iter(SHARDS)), INDEX]})
    refused(run_script("fetch", *command(tmp_path)), MODEL, "1 of 2")
    hub.hold(sharded)
    done = run_script("fetch", *command(tmp_path))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == sharded


def test_a_backbone_in_pickles_is_refused_before_it_is_downloaded(
    hub: Hub, tmp_path: Path, run_script: Script
) -> None:
    hub.hold(BIN)
    done = run_script("fetch", *command(tmp_path, role="backbone"))
    refused(done, MODEL, "pickles alone", "convert them")
    assert {request.path for request in hub.server.requests} == {hub.info(COMMIT)}
    refused(run_script("fetch", *command(tmp_path, role="else")), "--role", "'else'")


@pytest.mark.parametrize(
    "names",
    [
        [
            "model.safetensors-00001-of-00002.safetensors",
            "model.safetensors-00002-of-00002.safetensors",
        ],
        ["model-00001-of-000163.safetensors", "model-00163-of-000163.safetensors"],
    ],
)
def test_shards_may_have_any_name_that_the_index_gives(
    names: list[str], hub: Hub, tmp_path: Path, run_script: Script
) -> None:
    table = {f"layer.{place}": name for place, name in enumerate(names)}
    index = json.dumps({"weight_map": table}).encode()
    wanted = {**SMALL, **dict.fromkeys(names, b"w"), INDEX: index}
    hub.hold({**wanted, "pytorch_model.bin": b"?", "model-00009-of-00009.safetensors": b"?"})
    done = run_script("fetch", *command(tmp_path, role="backbone"))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == wanted


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_bytes_that_the_commit_does_not_record_are_refused(
    name: str, hub: Hub, tmp_path: Path, run_script: Script
) -> None:
    hub.hold(SAFE)
    hub.server.files[hub.at(name)] = b"other"
    digest = sha256(SAFE[name]) if name == "model.safetensors" else git_blob(SAFE[name])
    refused(run_script("fetch", *command(tmp_path)), name, digest, "twice")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("at", "status", "code", "said"),
    [
        ("config", 403, "GatedRepo", ["accept its licence at", "hf auth login", "HF_TOKEN"]),
        ("config", 401, "GatedRepo", ["accept its licence at", "hf auth login", "HF_TOKEN"]),
        ("info", 404, "RevisionNotFound", ["no such revision"]),
        ("info", 401, "RepoNotFound", ["does not exist, or is private", "HF_TOKEN"]),
        ("info", 401, "", ["HTTP 401", "HF_TOKEN"]),
        ("info", 503, "", ["cannot be reached", "HTTP 503", "hf download org/model --revision"]),
        ("info", 200, "", ["does not answer as a hub"]),
    ],
)
def test_a_hub_that_says_no_is_explained(
    at: str,
    status: int,
    code: str,
    said: list[str],
    hub: Hub,
    tmp_path: Path,
    run_script: Script,
) -> None:
    hub.hold(SAFE)
    hub.refuse(hub.at("config.json") if at == "config" else hub.info(COMMIT), status, code)
    done = run_script("fetch", *command(tmp_path))
    refused(done, f"{MODEL}@{COMMIT}", hub.server.address, *said)
    assert not hub.server.asked(hub.at("model.safetensors"))
    assert not (tmp_path / "made").exists()


def test_without_a_network_a_person_is_told_where_to_run_it_and_what_to_place(
    tmp_path: Path, run_script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = closed_address()
    online(monkeypatch, tmp_path, address)
    done = run_script("fetch", *command(tmp_path, weights_sha256={MODEL: "0" * 64}))
    refused(done, address, "where Snakemake runs", "fetch.mirror", "0" * 64, "ConnectError")
    assert f"MIRROR/checkpoints/org--model--{COMMIT}" in done.stderr


def test_an_offline_hub_stands_for_its_cache(
    tmp_path: Path, run_script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    online(monkeypatch, tmp_path, closed_address())
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    refused(run_script("fetch", *command(tmp_path, "0a41f22")), "HF_HUB_OFFLINE", "home")
    repository = tmp_path / "home" / "hub" / "models--org--model"
    digests = {name: git_blob(content) for name, content in SMALL.items()}
    digests["pytorch_model.bin"] = sha256(BIN["pytorch_model.bin"])
    blobs = write(repository / "blobs", {digests[name]: BIN[name] for name in BIN})
    snapshot = write(repository / "snapshots" / COMMIT, {})
    for name, digest in digests.items():
        (snapshot / name).symlink_to(blobs / digest)
    done = run_script("fetch", *command(tmp_path, "0a41f22"))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path) == BIN
    assert not any(path.is_symlink() for path in (tmp_path / "made").rglob("*"))
    (blobs / digests["pytorch_model.bin"]).write_bytes(b"changed")
    shutil.rmtree(tmp_path / "made")
    refused(run_script("fetch", *command(tmp_path, "0a41f22")), digests["pytorch_model.bin"])
