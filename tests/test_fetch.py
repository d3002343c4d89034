"""Mirrors stand in for the network, and the instance prompt is read and never run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fake_server import FakeServer, closed_address, serving
from fetching import (
    ASKING,
    CONTENT,
    DIGESTS,
    LABELS,
    MODULE,
    PROMPT,
    QUESTION,
    ROOT,
    SEEDS,
    classification_command,
    file_command,
    git_blob,
    prompt_command,
    refused,
    run_fetch,
    settings,
    sha256,
    superni_command,
)
from refine_af.errors import InputError
from refine_af.fetch.files import constant_of
from refine_af.fetch.superni_tasks import read_task_digests
from refine_af.prompts.templates import read_prompt


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as fake:
        fake.files[SEEDS] = CONTENT
        yield fake


@pytest.mark.parametrize(
    "place",
    [
        "seed_tasks.jsonl",
        "data/seed_tasks.jsonl",
        "project/commit1/data/seed_tasks.jsonl",
        "owner/project/commit1/data/seed_tasks.jsonl",
    ],
)
def test_a_mirror_may_keep_the_upstream_paths(
    place: str, server: FakeServer, tmp_path: Path
) -> None:
    mirror = tmp_path / "mirror"
    (mirror / place).parent.mkdir(parents=True)
    (mirror / place).write_bytes(CONTENT)
    section = settings(server.address, mirror=str(mirror))
    done = run_fetch(*file_command(tmp_path, section))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "seeds.jsonl").read_bytes() == CONTENT
    assert not server.requests
    assert (mirror / place).exists()


def test_a_mirror_with_another_file_is_refused(server: FakeServer, tmp_path: Path) -> None:
    found = tmp_path / "mirror" / "seed_tasks.jsonl"
    found.parent.mkdir()
    found.write_bytes(b"other")
    section = settings(server.address, mirror=str(found.parent))
    done = run_fetch(*file_command(tmp_path, section))
    refused(done, str(found), f"expected {sha256(CONTENT)}", f"found {sha256(b'other')}")
    assert not (tmp_path / "out").exists() and not server.requests


def test_a_file_may_be_known_by_its_blob_in_git(server: FakeServer, tmp_path: Path) -> None:
    command = file_command(tmp_path, settings(server.address))
    command[command.index("seed_tasks")] = "gpt3_instances"
    assert run_fetch(*command).returncode == 0
    assert (tmp_path / "out" / "seeds.jsonl").read_bytes() == CONTENT
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "gpt3_instances.jsonl").write_bytes(b"hello\n")
    command[command.index("--settings") + 1] = settings(server.address, mirror=str(mirror))
    # `echo hello | git hash-object --stdin`
    known = "ce013625030ba8dba906f756967f9e9ca394464a"
    refused(
        run_fetch(*command), f"wrong git blob sha1: expected {git_blob(CONTENT)}, found {known}"
    )


def test_a_mirror_that_is_missing_is_refused(server: FakeServer, tmp_path: Path) -> None:
    section = settings(server.address, mirror=str(tmp_path / "nowhere"))
    done = run_fetch(*file_command(tmp_path, section))
    refused(done, "fetch.mirror", f"looked for {tmp_path / 'nowhere'}")


def test_a_mirror_that_lacks_the_file_does_not_ask_the_network(
    server: FakeServer, tmp_path: Path
) -> None:
    section = settings(server.address, mirror=str(tmp_path))
    done = run_fetch(*file_command(tmp_path, section))
    refused(done, "fetch.mirror", repr(str(tmp_path)), "seed_tasks.jsonl", sha256(CONTENT))
    assert server.address + SEEDS in done.stderr
    assert not server.requests


def test_the_prompt_is_read_and_its_module_never_run(server: FakeServer, tmp_path: Path) -> None:
    trap = tmp_path / "ran"
    module = f"open({str(trap)!r}, 'w')\nother = 1\ndemonstrations = {PROMPT!r}\nraise OSError\n"
    server.files[MODULE] = module.encode()
    section = settings(server.address, module=module.encode())
    done = run_fetch(*prompt_command(tmp_path, section))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "prompt.txt").read_text() == PROMPT + " {instruction}\n"
    prompt = read_prompt(tmp_path / "prompt.txt", {"instruction"})
    assert prompt.prefix == PROMPT
    assert prompt.tail(instruction="Sort.") == " Sort.\n"
    assert not trap.exists()


@pytest.mark.parametrize("place", ["prompts/demonstrations.txt", "demonstrations.txt"])
def test_a_mirror_may_hold_the_prompt_by_itself(place: str, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    (mirror / place).parent.mkdir(parents=True)
    (mirror / place).write_text(PROMPT)
    section = settings(closed_address(), mirror=str(mirror))
    done = run_fetch(*prompt_command(tmp_path, section))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "prompt.txt").read_text() == PROMPT + " {instruction}\n"


@pytest.mark.parametrize(
    ("module", "said"),
    [
        pytest.param("demonstrations = 'Other'", "instance_prompt_sha256", id="another text"),
        pytest.param("demonstrations = (", "not Python", id="broken"),
        pytest.param("demonstrations = 1", "no plain text", id="a number"),
        pytest.param("demonstrations = f'{1}'", "no plain text", id="computed"),
        pytest.param("other = 'Task'", "0 times", id="missing"),
        pytest.param("demonstrations = 'a'\ndemonstrations = 'b'", "2 times", id="twice"),
    ],
)
def test_a_module_without_the_prompt_is_refused(module: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mirror").mkdir()
    (tmp_path / "mirror" / "template.py").write_text(module)
    section = settings(closed_address(), module=module.encode(), mirror=str(tmp_path / "mirror"))
    done = run_fetch(*prompt_command(tmp_path, section))
    refused(done, said, "demonstrations" if said != "not Python" else "template.py")
    assert not (tmp_path / "prompt.txt").exists()


def write_modules(folder: Path) -> tuple[bytes, bytes]:
    """Stand-ins of Self-Instruct's two modules, which end in a trap for whoever runs them."""
    trap = f"open({str(folder / 'ran')!r}, 'w')\nraise OSError\n"
    templates = f"demonstrations = {PROMPT!r}\nlabels = {LABELS!r}\n{trap}".encode()
    asking = f"asking_1 = {QUESTION!r}\n{trap}".encode()
    return templates, asking


def test_the_prompts_of_classification_tasks_are_read_out_of_two_modules(
    server: FakeServer, tmp_path: Path
) -> None:
    templates, asking = write_modules(tmp_path)
    server.files |= {MODULE: templates, ASKING: asking}
    section = settings(server.address, module=templates, asking=asking)
    done = run_fetch(*classification_command(tmp_path, section))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "labels.txt").read_text() == LABELS + " {instruction}\n"
    question = read_prompt(tmp_path / "question.txt", {"instruction"})
    assert question.fill(instruction="Sort.") == f"{QUESTION} Sort.\nIs it classification?"
    assert not (tmp_path / "ran").exists() and not list((tmp_path / "downloads").iterdir())


@pytest.mark.parametrize(
    ("module", "asking", "said"),
    [
        (b"labels = 'Other'", b"", "fetch.output_first_prompt_sha256: "),
        (b"labels = 1", b"", "labels is no plain text"),
        (f"labels = {LABELS!r}".encode(), b"asking_1 = 'x'", "fetch.classification_prompt_sha256"),
        (f"labels = {LABELS!r}".encode(), b"", "assigns asking_1 0 times"),
    ],
)
def test_other_prompts_of_classification_tasks_are_refused(
    module: bytes, asking: bytes, said: str, tmp_path: Path
) -> None:
    (tmp_path / "template.py").write_bytes(module)
    (tmp_path / "asking.py").write_bytes(asking)
    section = settings(closed_address(), module=module, asking=asking, mirror=str(tmp_path))
    refused(run_fetch(*classification_command(tmp_path, section)), said)
    assert not (tmp_path / "question.txt").exists()


def test_a_prompt_with_braces_is_refused(tmp_path: Path) -> None:
    text = "Task: write\n{x}\nTask:"
    (tmp_path / "demonstrations.txt").write_text(text)
    digest = sha256(text.encode())
    section = settings(closed_address(), mirror=str(tmp_path), instance_prompt_sha256=digest)
    done = run_fetch(*prompt_command(tmp_path, section))
    refused(done, "demonstrations", "line 2", "'{'")


def test_a_constant_may_be_annotated_and_joined() -> None:
    assert constant_of(b"a: str = 'x' 'y'", "a", "m.py") == "xy"
    with pytest.raises(InputError, match=r"m\.py"):
        constant_of(b"\0", "a", "m.py")


@pytest.fixture
def real_mirror() -> Path:
    folder = os.environ.get("REFINE_AF_MIRROR")
    if not folder:
        pytest.skip("REFINE_AF_MIRROR names no folder of real files")
    return Path(folder)


def real_settings(mirror: Path, tasks: list[str]) -> str:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return json.dumps({**config["fetch"], "mirror": str(mirror), "superni_tasks": tasks})


def test_real_files_pass_their_digests(real_mirror: Path, tmp_path: Path) -> None:
    names = [
        "task1344_glue_entailment_classification",
        "task1393_superglue_copa_text_completion",
        "task648_answer_generation",
        "task957_e2e_nlg_text_generation_generate",
    ]
    section = real_settings(real_mirror, names)
    shutil.copyfile(DIGESTS, tmp_path / "digests.jsonl")
    counts = {}
    for name in ("seed_tasks", "user_oriented_instructions"):
        command = file_command(tmp_path, section)
        command[command.index("seed_tasks")] = name
        done = run_fetch(*command)
        assert done.returncode == 0, done.stderr
        counts[name] = (tmp_path / "out" / "seeds.jsonl").read_bytes().count(b"\n")
    assert counts == {"seed_tasks": 175, "user_oriented_instructions": 252}
    done = run_fetch(*prompt_command(tmp_path, section))
    assert done.returncode == 0, done.stderr
    prompt = (tmp_path / "prompt.txt").read_text(encoding="utf-8")
    assert prompt.count("\nTask:") == 11 + 1
    assert prompt.endswith("\nTask: {instruction}\n")
    done = run_fetch(*classification_command(tmp_path, section))
    assert done.returncode == 0, done.stderr
    labels, question = (tmp_path / name for name in ("labels.txt", "question.txt"))
    assert labels.read_text(encoding="utf-8").endswith(
        "\nClass label: (e)\n\nTask: {instruction}\n"
    )
    asked = question.read_text(encoding="utf-8")
    assert (asked.count("classification? Yes\n"), asked.count("classification? No\n")) == (12, 19)
    assert asked.endswith("\n\nTask: {instruction}\nIs it classification?")
    done = run_fetch(*superni_command(tmp_path, section))
    assert done.returncode == 0, done.stderr
    official = [task.task_id for task in read_task_digests(DIGESTS) if task.task_id in names]
    assert (tmp_path / "superni" / "tasks.txt").read_text().split() == official
    assert len(official) == 4
