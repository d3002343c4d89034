"""Downloads resume, try again, and land whole and right, or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_server import FakeServer, serving
from fetching import (
    CONTENT,
    ROOT,
    SEEDS,
    file_command,
    refused,
    run_fetch,
    settings,
    sha256,
)


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        fake.files[SEEDS] = CONTENT
        yield fake


def partial_of(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "seed_tasks.jsonl.partial").write_bytes(content)


def landed(tmp_path: Path) -> bool:
    """The file is there with the right bytes; nothing else is left in its folder or downloads."""
    assert [found.name for found in (tmp_path / "out").iterdir()] == ["seeds.jsonl"]
    assert not list((tmp_path / "downloads").iterdir())
    return (tmp_path / "out" / "seeds.jsonl").read_bytes() == CONTENT


def test_a_file_is_downloaded_once(server: FakeServer, tmp_path: Path) -> None:
    done = run_fetch(*file_command(tmp_path, settings(server.address)))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path)
    assert server.asked(SEEDS) == [None]


half = len(CONTENT) // 2


@pytest.mark.parametrize(
    ("partial", "ranges", "faults", "asked"),
    [
        pytest.param(CONTENT[:1000], True, [], [1000], id="a partial file is continued"),
        pytest.param(CONTENT[:1000], False, [], [1000], id="a server without ranges begins anew"),
        pytest.param(b"x" * 1000, True, [], [1000, None], id="a wrong partial is discarded"),
        pytest.param(CONTENT + b"x", True, [], [len(CONTENT) + 1, None], id="so is a longer one"),
        pytest.param(CONTENT, True, [], [len(CONTENT)], id="a complete partial is taken"),
        pytest.param(b"", True, ["cut"], [None, half], id="a cut connection is continued"),
        pytest.param(b"", True, ["unsized"], [None, None], id="a cut that cannot be seen"),
        pytest.param(b"", True, ["stall"], [None, half], id="a stalled one is continued"),
        pytest.param(b"", True, [503], [None, None], id="a busy server is asked again"),
        pytest.param(b"", True, ["wrong"], [None, None], id="wrong bytes are fetched anew"),
        pytest.param(
            b"",
            True,
            ["cut", "cut", "cut"],
            [None, half, half + (len(CONTENT) - half) // 2, len(CONTENT) - len(CONTENT) // 8],
            id="attempts count from the last byte that arrived",
        ),
    ],
)
def test_a_download_survives(
    partial: bytes,
    ranges: bool,
    faults: list[int | str],
    asked: list[int | None],
    server: FakeServer,
    tmp_path: Path,
) -> None:
    server.ranges, server.faults[SEEDS] = ranges, faults
    if partial:
        partial_of(tmp_path, partial)
    done = run_fetch(*file_command(tmp_path, settings(server.address)))
    assert done.returncode == 0, done.stderr
    assert landed(tmp_path)
    assert server.asked(SEEDS) == asked


@pytest.mark.parametrize(
    ("faults", "requests", "said"),
    [
        pytest.param([404], 1, "HTTP 404", id="what is not there is asked for once"),
        pytest.param([403], 1, "HTTP 403", id="so is what is forbidden"),
        pytest.param([500, 502], 2, "HTTP 502 (attempts: 2)", id="a broken server"),
        pytest.param(["wrong", "wrong"], 2, sha256(b"?" * len(CONTENT)), id="wrong bytes twice"),
    ],
)
def test_a_download_that_fails_lands_nothing(
    faults: list[int | str],
    requests: int,
    said: str,
    server: FakeServer,
    tmp_path: Path,
) -> None:
    server.faults[SEEDS] = faults
    done = run_fetch(*file_command(tmp_path, settings(server.address)))
    refused(
        done, "fetch.mirror", "seed_tasks.jsonl: " + server.address + SEEDS, sha256(CONTENT), said
    )
    assert len(server.requests) == requests
    assert not (tmp_path / "out").exists()


def interrupted(command: list[str], tmp_path: Path, sign: signal.Signals) -> tuple[int, int]:
    """Run the command and send `sign` amid the download; its status and the bytes it kept."""
    process = subprocess.Popen([sys.executable, str(ROOT / "scripts" / "fetch.py"), *command])
    partial = tmp_path / "downloads" / "seed_tasks.jsonl.partial"
    for _ in range(2000):
        if partial.exists() and partial.stat().st_size > 500_000:
            break
        time.sleep(0.01)
    process.send_signal(sign)
    status = process.wait(timeout=10)
    return status, partial.stat().st_size


@pytest.mark.parametrize(
    ("sign", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)]
)
def test_an_interrupted_download_is_continued(
    sign: signal.Signals, status: int, server: FakeServer, tmp_path: Path
) -> None:
    server.files[SEEDS] = content = os.urandom(8_000_000)
    server.faults[SEEDS] = ["slow"]
    remote = {"url": server.address + SEEDS, "sha256": sha256(content)}
    section = settings(server.address, seed_tasks=remote)
    command = [str(part) for part in file_command(tmp_path, section)]
    ended, kept = interrupted(command, tmp_path, sign)
    assert ended == status
    assert 500_000 < kept < len(content)
    assert not (tmp_path / "out").exists()
    done = run_fetch(*command)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "seeds.jsonl").read_bytes() == content
    assert server.asked(SEEDS) == [None, kept]


def test_an_unknown_name_and_a_bad_address_are_refused(server: FakeServer, tmp_path: Path) -> None:
    command = file_command(tmp_path, settings(server.address))
    command[command.index("seed_tasks")] = "weights"
    refused(run_fetch(*command), "--name", "'weights'", "seed_tasks")
    strange = {"url": "http://[::1/seed_tasks.jsonl", "sha256": sha256(CONTENT)}
    done = run_fetch(*file_command(tmp_path, settings("http://a", seed_tasks=strange)))
    refused(done, "http://[::1/seed_tasks.jsonl", "no address")
    assert not server.requests


def test_a_proxy_that_cannot_be_used_is_named(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY")
    refused(run_fetch(*file_command(tmp_path, settings(server.address))), "proxy")


def test_downloads_that_cannot_be_written_to_are_named(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "downloads").write_text("a file, not a folder")
    done = run_fetch(*file_command(tmp_path, settings(server.address)))
    refused(done, str(tmp_path / "downloads"))
