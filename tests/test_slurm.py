"""The SLURM profile: the partition of every rule, and real rules on a real SLURM of one node."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiny import ROOT, demo_config, tiny_config, write_experiment
from workflow import snakemake

PROFILE = ("--workflow-profile", "profiles/slurm")
MISSING = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]


def test_rules_with_a_gpu_go_to_one_partition_and_the_others_to_another(tmp_path: Path) -> None:
    demo = demo_config()
    # Without the live view, which tells no resources.
    text = Path(ROOT, *PROFILE[1:], "config.yaml").read_text()
    profile = tmp_path / "slurm" / "config.yaml"
    profile.parent.mkdir()
    profile.write_text(text.replace("logger: [live]", "verbose: false"))
    planned = ("-n", "--workflow-profile", profile.parent)
    done = snakemake(*planned, "--directory", write_experiment(tmp_path, demo))
    assert done.returncode == 0, done.stdout
    shown = re.findall(r"^rule (\w+):\n(?: .*\n)*? +resources: (.*)", done.stdout, re.M)
    asked = {rule: dict(re.findall(r"(\w+)=(\w+)", resources)) for rule, resources in shown}
    gpu = {"instructions_segment", "ppo", "instances_segment", "sft", "superni_replies_0"}
    gpu |= {"instances_replies_0", "users_predictions", "diversity_parses"}
    assert {rule for rule in asked if asked[rule].get("gpu") == "1"} == gpu
    assert {rule for rule in asked if asked[rule]["slurm_partition"] == "gpu"} == gpu
    for rule in ("demo_tokenizer", "demo_backbone", "demo_reward_model", "demo_evaluator"):
        assert asked[rule]["slurm_partition"] == "cpu"


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A SLURM of four cores and one GPU; the environment in which its clients find it.

    The folder of this Python is not on its PATH: that jobs find it is the Snakefile's affair.
    """
    folder = tmp_path_factory.mktemp("slurm")
    scripts = ROOT / "tests" / "slurm"
    # Waits for the end of its input, which comes even if the tests are killed.
    stop = subprocess.Popen(
        [scripts / "stop.sh", folder], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        subprocess.run([scripts / "start.sh", folder], check=True, timeout=120)
        own = Path(sys.executable).parent
        others = [place for place in os.get_exec_path() if Path(place) != own]
        path = os.pathsep.join([str(folder / "bin"), *others])
        yield {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    finally:
        stop.communicate(timeout=60)
    assert not folder.exists()


def finished_jobs(environment: dict[str, str]) -> list[dict[str, str]]:
    """What SLURM tells of every job, in the order of their start."""
    shown = subprocess.run(
        ["scontrol", "--oneliner", "--details", "show", "job"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    print(shown.stdout)
    jobs = [dict(re.findall(r"(\S+?)=(\S*)", line)) for line in shown.stdout.splitlines()]
    return sorted(jobs, key=lambda job: job["StartTime"])


@pytest.mark.skipif(bool(MISSING), reason=f"SLURM is not installed: no {', '.join(MISSING)}")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start the daemons of SLURM")
def test_jobs_of_a_cluster_ask_for_its_gpu_and_take_turns(
    slurm: dict[str, str], world: Path, tmp_path: Path
) -> None:
    folder = write_experiment(tmp_path, tiny_config(world))
    results = folder / "results"
    done = snakemake(
        *(*PROFILE, "--directory", folder, "--slurm-init-seconds-before-status-checks", 2),
        "results/segments/instructions_tiny/0",
        "results/superni_tiny/base.jsonl",
        "results/superni_tiny/base-few-shot.jsonl",
        environment=slurm,
    )
    print(done.stdout)
    assert done.returncode == 0
    made = ["segments/instructions_tiny/0/instructions", "superni_tiny/base"]
    for name in [*made, "superni_tiny/base-few-shot"]:
        assert len((results / f"{name}.jsonl").read_text().splitlines()) == 4

    jobs = finished_jobs(slurm)
    assert len(jobs) == 3  # Super-NI's instances are made where Snakemake runs
    for job in jobs:
        assert (job["JobState"], job["Partition"]) == ("COMPLETED", "gpu")
        assert re.fullmatch("gres[:/]gpu:1", job["TresPerJob"])  # asked for
        assert job["JOB_GRES"] == "gpu:1"  # given
    for first, second in itertools.pairwise(jobs):
        assert first["EndTime"] <= second["StartTime"]
    # The last two were in the queue together, with cores and memory for both: one GPU was not.
    assert jobs[2]["SubmitTime"] < jobs[1]["EndTime"]
