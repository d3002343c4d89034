"""What several tests share: the scripts, run as the workflow runs them, and tiny random models."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import tiny

# Tiny models gain nothing from a second thread, nor from memory given back between two steps.
os.environ.update(
    OMP_NUM_THREADS="1",
    OMP_WAIT_POLICY="passive",
    MALLOC_MMAP_MAX_="0",
    MALLOC_TRIM_THRESHOLD_="8589934592",
    TOKENIZERS_PARALLELISM="false",
    HF_HUB_OFFLINE="1",
    HF_HUB_DISABLE_TELEMETRY="1",
)

# How fast a machine is decides no property. Where CI is set, hypothesis draws the same each time.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run_script() -> Script:
    """Run scripts/<name>.py with arguments; the finished process, output as text."""

    def run(
        name: str, *arguments: object, cwd: Path = tiny.ROOT
    ) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(tiny.ROOT / "scripts" / f"{name}.py"), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=300)

    return run


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 400 tokens; <pad> 0, <s> 1, </s> 2."""
    folder = tmp_path_factory.mktemp("tokenizer")
    tiny.make_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_llama(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers with the tiny tokenizer, as a checkpoint folder."""
    folder = tmp_path_factory.mktemp("llama")
    tiny.make_llama(folder, tiny_tokenizer)
    return folder


@pytest.fixture(scope="session")
def world(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a tiny experiment reads: a Llama that knows the formats, judges, seeds, tasks."""
    folder = tmp_path_factory.mktemp("world")
    tiny.make_llama(folder / "llama", tiny_tokenizer, steps=120)
    tiny.make_judges(folder / "reward_model", folder / "evaluator", tiny_tokenizer)
    tiny.make_seeds(folder / "seeds.jsonl")
    tiny.make_tasks(folder / "tasks")
    tiny.make_users(folder / "users.jsonl")
    tiny.make_prompt(folder / "instances.txt")
    return folder
