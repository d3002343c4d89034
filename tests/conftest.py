"""What several tests share: the scripts, run as the workflow runs them, and tiny random models."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

import tiny
from chromium import Page, chromium, need_chromium
from forking import run_forked, shared_servers

# Tiny models gain nothing from a second thread, nor from memory given back between two steps; who
# sets otherwise, to see that nothing depends on it, is heard.
OURS = {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "passive",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "TOKENIZERS_PARALLELISM": "false",
}
os.environ.update(OURS | os.environ)
os.environ.update(HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")

# How fast a machine is decides no property. Where CI is set, hypothesis draws the same each time.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")

Script = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def run_script() -> Script:
    """Run scripts/<name>.py with arguments; the finished process, output as text.

    Forked, as workflow.py says, where it also says what runs as a person would run it.
    """

    def run(
        name: str, *arguments: object, cwd: Path = tiny.ROOT
    ) -> subprocess.CompletedProcess[str]:
        script = tiny.ROOT / "scripts" / f"{name}.py"
        return run_forked([script, *arguments], cwd=cwd, timeout_s=300)

    return run


def built_once(name: str, make: Callable[[Path], None], basetemp: Path) -> Path:
    """The folder that `make` fills: by the first process that comes, for all that run the tests.

    Nobody writes into it afterwards.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        basetemp = basetemp.parent
    with open(basetemp / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (basetemp / name).exists():
            half = basetemp / f"{name}.half"
            half.mkdir()
            make(half)
            half.rename(basetemp / name)
    return basetemp / name


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A byte-level BPE tokenizer of 400 tokens; <pad> 0, <s> 1, </s> 2."""
    return built_once("tokenizer", tiny.make_tokenizer, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def tiny_llama(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers with the tiny tokenizer, as a checkpoint folder."""

    def make(folder: Path) -> None:
        tiny.make_llama(folder, tiny_tokenizer)

    return built_once("llama", make, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="session")
def world(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that a tiny experiment reads: a Llama that writes the formats, judges, seeds, tasks."""

    def make(folder: Path) -> None:
        tiny.make_writer(folder / "llama", tiny_tokenizer)
        tiny.make_judges(folder / "reward_model", folder / "evaluator", tiny_tokenizer)
        tiny.make_seeds(folder / "seeds.jsonl")
        tiny.make_tasks(folder / "tasks")
        tiny.make_users(folder / "users.jsonl")
        tiny.make_prompt(folder / "instances.txt")

    return built_once("world", make, tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A tab of a real browser; without one the tests of this file skip."""
    need_chromium()
    with chromium(tmp_path_factory.mktemp("browser")) as page:
        yield page


# What takes over a second, or may: a test that has one of these fixtures, or calls one of these
# functions. Others are marked where they stand.
SLOW_FIXTURES = {
    "run_script",
    "served",
    "finished",
    "whole",
    "runs",
    "slurm",
    "answering",
    "tab",
    "released",
}
SLOW_CALLS = {"snakemake", "plan", "writes", "killed", "side_by_side", "easy_rewards", "Popen"}
FAST_S = 1.0
# What takes longest, in that order: no worker may be left with one of these files in the end.
LONGEST = (
    *("test_workflow.py", "test_real_data.py", "test_ablation.py", "test_benchmarks.py"),
    *(
        "test_real_words.py",
        "test_ppo_resume.py",
        "test_slurm.py",
        "test_report.py",
        "test_errors.py",
    ),
    *("test_instances_resume.py", "test_report_sentences.py", "test_browser_page.py"),
    *("test_resume.py", "test_diversity_parses.py", "test_sft_tuning.py", "test_server.py"),
    *("test_demo.py", "test_journal.py", "test_sft_resume.py", "test_rating_page.py"),
)


def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None):  # this process starts those that test
        servers = ExitStack()
        servers.enter_context(shared_servers())
        config.add_cleanup(servers.close)
    config.addinivalue_line("markers", "slow: takes over a second; `make fast` leaves it out")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is slow by what it uses, and let the files that take longest come first."""
    for item in items:
        assert isinstance(item, pytest.Function)
        calls = item.function.__code__.co_names
        if SLOW_FIXTURES & {*item.fixturenames} or SLOW_CALLS & {*calls}:
            item.add_marker("slow")
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (ranks.get(item.path.name, len(ranks)), -slow[item.path]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Tell which tests took long and are not marked: how fast a machine is fails none."""
    seconds: dict[str, float] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport) and "slow" not in report.keywords:
                seconds[report.nodeid] = seconds.get(report.nodeid, 0.0) + report.duration
    ranked = sorted(seconds.items(), key=lambda each: -each[1])
    late = [(name, took) for name, took in ranked if took > FAST_S]
    if late:
        terminalreporter.section(f"not marked slow, and took over {FAST_S:.0f} s")
        for name, took in late:
            terminalreporter.line(f"{took:6.1f} s  {name}")
