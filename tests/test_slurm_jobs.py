"""Jobs side by side on the two GPUs of a real SLURM, and jobs that the profile groups."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clusters import PROFILE, asked_for, cluster, jobs, needs_slurm
from tiny import ROOT, tiny_config, write_experiment
from workflow import snakemake

pytestmark = [pytest.mark.slow, asked_for, needs_slurm]

# Python runs it at the start of every process that finds it.
NOTES_ITS_GPU = """
import os
words = open("/proc/self/cmdline").read().split("\\0")
if words[1].endswith("_replies.py"):
    with open({notes!r}, "a") as notes:
        print(os.environ["SLURM_JOB_ID"], os.environ["CUDA_VISIBLE_DEVICES"], file=notes)
"""
POOL = "results/segments/instructions_tiny/0"
REPLIES = [f"results/segments/replies_tiny/self-instruct/0/{number}.jsonl" for number in (0, 1)]
CELL = "results/superni_tiny/base.jsonl"


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cluster(tmp_path_factory.mktemp("slurm"), 2) as environment:
        yield environment


def split(folder: Path, config: dict[str, Any], shards: int) -> None:
    for stage in ("instances", "superni"):
        config["compute"][stage]["shards"] = shards
    write_experiment(folder, config)


def test_two_jobs_share_a_stages_work_on_two_gpus_at_once(
    slurm: dict[str, str], world: Path, tmp_path: Path
) -> None:
    """Without SLURM and by one job each first, then by two on SLURM: the files are the same."""
    config, folder = tiny_config(world), tmp_path / "experiment"
    split(folder, config, 1)
    done = snakemake(
        "--directory", folder, "--cores", 1, "--resources", "gpu=1", "--", *REPLIES, CELL
    )
    assert done.returncode == 0, done.stdout
    by_one = {name: (folder / name).read_bytes() for name in (*REPLIES, CELL)}
    parts = sorted((folder / "results/segments/superni_tiny/base").iterdir())
    for path in [*parts, *(folder / name for name in by_one)]:
        path.unlink()

    split(folder, config, 2)
    notes, site = tmp_path / "notes", tmp_path / "sitecustomize.py"
    site.write_text(NOTES_ITS_GPU.format(notes=str(notes)))
    environment = slurm | {"PYTHONPATH": str(tmp_path)}
    on_slurm = ("--directory", folder, "--slurm-init-seconds-before-status-checks", 2)
    for targets in (REPLIES, [CELL]):
        done = snakemake(*PROFILE, *on_slurm, "--", *targets, environment=environment)
        assert done.returncode == 0, done.stdout
    assert {name: (folder / name).read_bytes() for name in by_one} == by_one
    assert sorted((folder / "results/segments/superni_tiny/base").iterdir()) == parts

    gpus = dict(line.split() for line in notes.read_text().splitlines())
    ended = {job["JobId"]: job for job in jobs(slurm)}
    assert ended.keys() == gpus.keys() and len(ended) == 4
    for first, second in (("1", "2"), ("3", "4")):
        assert {gpus[first], gpus[second]} == {"0", "1"}
        latest_start = max(ended[job]["StartTime"] for job in (first, second))
        assert latest_start < min(ended[job]["EndTime"] for job in (first, second))
        print(
            first, second, {job: (ended[job]["StartTime"], ended[job]["EndTime"]) for job in gpus}
        )


def test_a_cells_jobs_are_one_where_the_profile_groups_them(
    slurm: dict[str, str], world: Path, tmp_path: Path
) -> None:
    folder = write_experiment(tmp_path / "experiment", tiny_config(world))
    local = ("--directory", folder, "--cores", 1, "--resources", "gpu=1", "--")
    done = snakemake(*local, "results/instances_tiny/self-instruct.jsonl")
    assert done.returncode == 0, done.stdout

    text = Path(ROOT, *PROFILE[1:], "config.yaml").read_text()
    profile = tmp_path / "slurm"
    profile.mkdir()
    (profile / "config.yaml").write_text(re.sub(r"(?m)^#(?=\w|  )", "", text))
    cells = [f"self-instruct_{size}" for size in (4, 8)]
    made = [f"results/{what}_tiny/{cell}.jsonl" for what in ("superni", "users") for cell in cells]
    options = ("--directory", folder, "--slurm-init-seconds-before-status-checks", 2)
    done = snakemake(*("--workflow-profile", profile, *options, "--", *made), environment=slurm)
    print(done.stdout)
    assert done.returncode == 0
    assert all((folder / name).stat().st_size for name in made)
    ended = jobs(slurm)
    assert len(ended) == len(cells)
    for job in ended:
        assert (job["JobState"], job["JOB_GRES"], job["TimeLimit"]) == (
            *("COMPLETED", "gpu:1"),
            "00:30:00",  # three times ten minutes
        )
