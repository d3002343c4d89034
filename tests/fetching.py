"""scripts/fetch.py with small settings, run in this process, and how a refusal must look."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import fetch
from refine_af.jobs.command_line import run

os.environ["NO_PROXY"] = "127.0.0.1"

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = (
    fetch.file,
    fetch.instance_prompt,
    fetch.classification_prompts,
    fetch.superni,
    fetch.parser,
    fetch.checkpoint,
)
SEEDS = "/owner/project/commit1/data/seed_tasks.jsonl"
MODULE = "/owner/project/commit1/templates/template.py"
CONTENT = b'{"id": "seed_0", "instruction": "Sort."}\n' * 5000
PROMPT = "Come up with examples.\n\nTask: Add.\nOutput: 3\n\nTask:"
ASKING = "/owner/project/commit1/templates/asking.py"
LABELS = "Come up with labels.\n\nTask: Is it odd?\nClass label: yes\nNumber: 3\n\nTask:"
QUESTION = "Is it one?\n\nTask: Is it odd?\nIs it classification? Yes\n\nTask:"
DIGESTS = ROOT / "resources" / "superni" / "test_digests.jsonl"


@dataclass
class Done:
    """How a command ended: its status and what it wrote to stderr."""

    returncode: int
    stderr: str


def run_fetch(*arguments: object) -> Done:
    """Run a command of scripts/fetch.py here, where a traceback is an exception."""
    terminate = signal.getsignal(signal.SIGTERM)
    status: str | int | None = 0
    with redirect_stderr(StringIO()) as said, redirect_stdout(StringIO()):
        try:
            run(*COMMANDS, arguments=[str(argument) for argument in arguments])
        except SystemExit as error:
            status = error.code
        finally:
            signal.signal(signal.SIGTERM, terminate)
    if isinstance(status, str):
        return Done(1, status + "\n" + said.getvalue())
    return Done(status or 0, said.getvalue())


def refused(done: Any, *said: str) -> None:
    """The command ended with one message that says all of `said`, and no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ") and done.stderr.count("error: ") == 1
    for text in said:
        assert text in done.stderr, done.stderr


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git_blob(content: bytes) -> str:
    """What `git hash-object` gives."""
    return hashlib.sha1(b"blob %d\0%b" % (len(content), content)).hexdigest()


def settings(address: str, **changes: Any) -> str:
    module, asking = changes.pop("module", b""), changes.pop("asking", b"")
    remote = {"url": address + SEEDS, "sha256": sha256(CONTENT)}
    section = {
        "mirror": None,
        "seed_tasks": remote,
        "user_oriented_instructions": remote,
        "gpt3_instances": {"url": address + SEEDS, "git_blob_sha1": git_blob(CONTENT)},
        "instance_prompt": {"url": address + MODULE, "sha256": sha256(module)},
        "instance_prompt_constant": "demonstrations",
        "instance_prompt_sha256": sha256(PROMPT.encode()),
        "output_first_prompt_constant": "labels",
        "output_first_prompt_sha256": sha256(LABELS.encode()),
        "classification_prompt": {"url": address + ASKING, "sha256": sha256(asking)},
        "classification_prompt_constant": "asking_1",
        "classification_prompt_sha256": sha256(QUESTION.encode()),
        "superni_task_url": address + "/tasks/{task}.json",
        "superni_digests": "digests.jsonl",
        "superni_tasks": None,
        "parsers": {},
        "weights_sha256": {},
        "timeout_s": 3.0,
        "attempts": 2,
    }
    return json.dumps({**section, **changes})


def file_command(tmp_path: Path, section: str) -> list[object]:
    places = ["--downloads", tmp_path / "downloads", "--file", tmp_path / "out" / "seeds.jsonl"]
    return ["file", "--settings", section, "--name", "seed_tasks", *places]


def prompt_command(tmp_path: Path, section: str) -> list[object]:
    places = ["--downloads", tmp_path / "downloads", "--prompt", tmp_path / "prompt.txt"]
    return ["instance-prompt", "--settings", section, *places]


def classification_command(tmp_path: Path, section: str) -> list[object]:
    places = ["--downloads", tmp_path / "downloads", "--output-first", tmp_path / "labels.txt"]
    places += ["--classification", tmp_path / "question.txt"]
    return ["classification-prompts", "--settings", section, *places]


def superni_command(tmp_path: Path, section: str) -> list[object]:
    places = ["--downloads", tmp_path / "downloads", "--tasks", tmp_path / "superni"]
    return ["superni", "--settings", section, "--digests", tmp_path / "digests.jsonl", *places]
