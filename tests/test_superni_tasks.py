"""The Super-NI tasks land together, in official order, each with its official references."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fake_server import FakeServer, closed_address, serving
from fetching import (
    CONTENT,
    DIGESTS,
    ROOT,
    SEEDS,
    refused,
    run_fetch,
    settings,
    sha256,
    superni_command,
)
from refine_af.fetch.superni_tasks import read_task_digests


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        fake.files[SEEDS] = CONTENT
        yield fake


def task_content(name: str, references: int = 3) -> bytes:
    rows = [{"id": f"{name}-{n}", "input": "é", "output": [f"{n}"]} for n in range(references)]
    return json.dumps({"Definition": [name], "Instances": rows}, indent=1).encode()


def digest_row(name: str, references: int = 3) -> dict[str, Any]:
    """By hand: [["a-0",["0"]],["a-1",["1"]],["a-2",["2"]]] for task a with three instances."""
    text = ",".join(f'["{name}-{n}",["{n}"]]' for n in range(references))
    digest = sha256(f"[{text}]".encode())
    return {"task_id": name, "category": "C", "instances": references, "sha256": digest}


@pytest.fixture
def tasks(server: FakeServer, tmp_path: Path) -> list[str]:
    """Twenty tasks that the server holds, with their digests in digests.jsonl."""
    names = [f"task{number}_z-1.1" for number in range(20, 0, -1)]
    for name in names:
        server.files[f"/tasks/{name}.json"] = task_content(name)
    rows = "".join(json.dumps(digest_row(name)) + "\n" for name in names)
    (tmp_path / "digests.jsonl").write_text(rows)
    return names


def test_tasks_land_together_in_official_order(
    tasks: list[str], server: FakeServer, tmp_path: Path
) -> None:
    done = run_fetch(*superni_command(tmp_path, settings(server.address)))
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "superni"
    assert (folder / "tasks.txt").read_text().split() == tasks
    assert len(list(folder.iterdir())) == 21
    for name in tasks:
        assert (folder / f"{name}.json").read_bytes() == task_content(name)
    assert len(server.requests) == 20
    assert server.connections <= 4
    assert not list((tmp_path / "downloads").rglob("*.json*"))


def test_only_tasks_that_are_not_there_yet_are_downloaded(
    tasks: list[str], server: FakeServer, tmp_path: Path
) -> None:
    server.faults[f"/tasks/{tasks[3]}.json"] = [404]
    section = settings(server.address)
    done = run_fetch(*superni_command(tmp_path, section))
    refused(done, "1 of 20", f"superni/tasks/{tasks[3]}.json", "HTTP 404")
    assert tasks[4] not in done.stderr
    assert not (tmp_path / "superni").exists()
    before = len(server.requests)
    assert run_fetch(*superni_command(tmp_path, section)).returncode == 0
    assert len(server.requests) == before + 1


def test_a_subset_keeps_the_official_order(
    tasks: list[str], server: FakeServer, tmp_path: Path
) -> None:
    section = settings(server.address, superni_tasks=[tasks[5], tasks[2]])
    assert run_fetch(*superni_command(tmp_path, section)).returncode == 0
    assert (tmp_path / "superni" / "tasks.txt").read_text().split() == [tasks[2], tasks[5]]


def test_a_task_that_is_none_is_refused(
    tasks: list[str], server: FakeServer, tmp_path: Path
) -> None:
    section = settings(server.address, superni_tasks=["task999_none"])
    done = run_fetch(*superni_command(tmp_path, section))
    refused(done, "fetch.superni_tasks", "'task999_none'")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b'{"Instances": [', "none", id="not JSON"),
        pytest.param(b"\xff", "none", id="not UTF-8"),
        pytest.param(b'{"Instances": 3}', "no list of Instances", id="no list"),
        pytest.param(b'{"Instances": [{"id": 1}]}', "instance 1", id="no output"),
        pytest.param(b"[" * 100_000, "none", id="deep"),
        pytest.param(
            task_content("task20_z-1.1").replace(b'"2"', b'"\\ud800"'), "found", id="changed"
        ),
        pytest.param(task_content("task20_z-1.1", 4), "found", id="one instance more"),
    ],
)
def test_a_task_with_other_references_is_refused(
    content: bytes, said: str, tasks: list[str], tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / f"{tasks[0]}.json").write_bytes(content)
    section = settings(closed_address(), mirror=str(mirror), superni_tasks=[tasks[0]])
    done = run_fetch(*superni_command(tmp_path, section))
    refused(done, str(mirror / f"{tasks[0]}.json"), digest_row(tasks[0])["sha256"], said)
    assert not (tmp_path / "superni").exists()


def test_without_a_network_every_missing_file_is_listed_at_once(
    tasks: list[str], tmp_path: Path
) -> None:
    address = closed_address()
    begin = time.monotonic()
    done = run_fetch(*superni_command(tmp_path, settings(address)))
    refused(done, "20 of 20", "fetch.mirror", "ConnectError", str(tmp_path / "downloads"))
    assert time.monotonic() - begin < 15
    for name in tasks:
        line = f"superni/tasks/{name}.json: {address}/tasks/{name}.json, sha256"
        assert line in done.stderr and digest_row(name)["sha256"] in done.stderr


def test_a_mirror_that_lacks_tasks_lists_them_all(tasks: list[str], tmp_path: Path) -> None:
    (tmp_path / "superni-data" / "superni" / "tasks").mkdir(parents=True)
    here = tmp_path / "superni-data" / "superni" / "tasks" / f"{tasks[0]}.json"
    here.write_bytes(task_content(tasks[0]))
    section = settings(closed_address(), mirror=str(tmp_path / "superni-data"))
    done = run_fetch(*superni_command(tmp_path, section))
    refused(done, "lacks 19 of 20", *tasks[1:])
    assert f"/{tasks[0]}.json" not in done.stderr


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        pytest.param([digest_row("../a")], "line 1: 'task_id'", id="a name that leaves the folder"),
        pytest.param(
            [digest_row("a"), digest_row("a")], "line 2: task 'a' stands on line 1", id="twice"
        ),
        pytest.param([{"task_id": "a"}], "line 1: no 'category'", id="an incomplete line"),
        pytest.param([], "holds no task", id="empty"),
    ],
)
def test_broken_digests_are_refused(rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    (tmp_path / "digests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = run_fetch(*superni_command(tmp_path, settings(closed_address())))
    refused(done, str(tmp_path / "digests.jsonl"), said)


def test_the_project_carries_the_digests_of_the_official_test_tasks() -> None:
    digests = read_task_digests(DIGESTS)
    assert len(digests) == 119
    assert sum(task.instances for task in digests) == 11_810
    fewer = {task.task_id.partition("_")[0]: task.instances for task in digests}
    assert {name: n for name, n in fewer.items() if n != 100} == {"task602": 84, "task760": 26}


def test_the_command_starts_without_what_only_downloads_need() -> None:
    code = "import sys, fetch; print({'torch', 'httpx2', 'huggingface_hub'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "scripts"
    )
    assert done.stdout == "set()\n", done.stderr
