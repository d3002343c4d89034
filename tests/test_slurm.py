"""The SLURM profile: the partition of every rule, and real rules on a real SLURM of one node."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters import PROFILE, cluster, jobs, needs_slurm
from tiny import ROOT, demo_config, tiny_config, write_experiment
from workflow import snakemake


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
    with cluster(tmp_path_factory.mktemp("slurm")) as environment:
        yield environment


@needs_slurm
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

    ended = jobs(slurm)
    print(ended)
    assert len(ended) == 3  # Super-NI's instances are made where Snakemake runs
    for job in ended:
        assert (job["JobState"], job["Partition"]) == ("COMPLETED", "gpu")
        assert re.fullmatch("gres[:/]gpu:1", job["TresPerJob"])  # asked for
        assert job["JOB_GRES"] == "gpu:1"  # given
    for first, second in itertools.pairwise(ended):
        assert first["EndTime"] <= second["StartTime"]
    # The last two were in the queue together, with cores and memory for both: one GPU was not.
    assert ended[2]["SubmitTime"] < ended[1]["EndTime"]
