"""What may be asked for on the command line: rules, files, and what is said of all else."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from refine_af.errors import InputError
from refine_af.workflow.targets import Targets
from tiny import ROOT, tiny_config, write_experiment
from workflow import plan, snakemake

RULES = {
    "fetch_file": ["results/fetch/{name,seeds|users}.jsonl"],
    "instructions": ["results/instructions_{model}.jsonl"],
    "ppo": ["results/ppo_{model}{replicate}"],
    "sft": ["results/sft_{model}/{cell}"],
    "superni_predictions": ["results/superni_{model}/{cell}.jsonl"],
    "report": ["results/report.html"],
    "data": [],
    "all": [],
}
AXES = {
    "name": ["seeds", "users"],
    "model": ["small", "large"],
    "method": ["self-instruct", "refine-af"],
    "size": ["10", "20"],
    "cell": ["base", "refine-af_10"],
    "replicate": ["", "_r2"],
}


def axes(rule: str) -> Mapping[str, Sequence[str]]:
    tuned = ["self-instruct_10", "refine-af_10", "refine-af_20", "refine-af_r2_20_r3"]
    return AXES | {"cell": tuned} if rule == "sft" else AXES


GOOD = ["all", "data", "report", "results/report.html", "./results/report.html"]
GOOD += ["results/ppo_small", "results/ppo_large_r2", "results/sft_small/refine-af_r2_20_r3"]
GOOD += ["results/sft_small/refine-af_20", "results/fetch/users.jsonl", "results/superni_large/"]
GOOD[-1] += "base.jsonl"


def test_what_a_rule_makes_may_be_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").touch()
    Targets(RULES, axes).check([*GOOD, "here.txt"])  # of a file Snakemake says that it is there


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("results/instructions_gpt.jsonl", "'gpt' is none of the models small, large"),
        (
            "results/sft_small/refine-af_5001",
            "'refine-af_5001' is none of the cells self-instruct_10, refine-af_10, refine-af_20",
        ),
        (
            "results/sft_gpt/refine-af_20_r2",
            "'gpt' is none of the models small, large; 'refine-af_20_r2' is none of the cells",
        ),
        ("results/ppo_small_r3", "'_r3' is none of the replicates _r2"),
        ("results/ppo_gpt", "'gpt' is none of the models small, large"),
        ("results/superni_small/bsae.jsonl", "'bsae' is none of the cells base, refine-af_10"),
        ("results/fetch/tasks.jsonl", "'tasks' is none of the names seeds, users"),
        ("sft", "this rule makes several files: name one of its files, as results/sft_small/self-"),
        ("results/sft_small", "a folder of several targets: name one, as results/sft_small/self-i"),
        ("results", "or ask for all of a kind: data, all"),
        ("results/report.htm", "no rule makes it, nor is one called so; did you mean results/repo"),
        ("reprot", "did you mean report? `snakemake --list`"),
    ],
)
def test_another_target_is_refused_with_what_there_is(
    target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=f"^{re.escape(target)}: ") as caught:
        Targets(RULES, axes).check([target])
    assert said in str(caught.value)


def test_an_unknown_target_is_one_message_before_any_job(world: Path, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment", tiny_config(world))
    for target, said in (
        (
            "results/sft_tiny/refine-af_4_r2",
            "'refine-af_4_r2' is none of the cells self-instruct_4",
        ),
        ("results/ppo_tiny_r2", "'_r2' is none of the replicates (there are none)"),
        ("results/instructions_gpt.jsonl", "'gpt' is none of the models tiny"),
        ("results/exports_tiny", "a folder of several targets"),
        ("instances", "this rule makes several files"),
    ):
        done = snakemake(target, "--directory", folder, "--cores", 1)
        assert done.returncode == 1 and "Traceback" not in done.stdout
        assert f"error: {target}: {said}" in done.stdout
    assert not (folder / "results").exists()


NAMED = {
    "data": {"instances": 2, "instructions": 1, "release_data": 1},
    "exports": {"exports_method": 2},
    "browser": {"browser_page": 1, "instances_segment": 4},
    "adapters": {"ppo": 1, "sft": 4},
    "scores": {"superni": 1, "superni_predictions": 6},
    "ratings": {"ratings_page": 1, "users": 1},
    "report": {"report": 1},
    "release": {"release": 1, "report": 1},
    "users": {"users_predictions": 5},
}


def test_targets_have_names_without_wildcards(world: Path, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment", tiny_config(world))
    for name, jobs in NAMED.items():
        planned = plan("--directory", folder, name)
        assert {rule: planned[rule] for rule in jobs} == jobs, name
        unwanted = {"report", "ratings_page", "browser_page", "exports_method"} - jobs.keys()
        assert not unwanted & planned.keys(), name


def test_every_target_is_listed_with_a_sentence() -> None:
    told = snakemake("--list").stdout
    text = (ROOT / "rules" / "targets.smk").read_text()
    for name in re.findall(r"^rule (\w+):", text, re.M):
        assert re.search(rf"^{name} \(Target: .+\.\)$", told, re.M), name


def test_a_mistyped_folder_is_refused_and_not_left_behind(tmp_path: Path) -> None:
    done = snakemake("--directory", tmp_path / "mnie", "-n")
    assert done.returncode == 1
    assert f"error: {tmp_path}/mnie/config.yaml: no such file; an experiment is" in done.stdout
    assert not (tmp_path / "mnie").exists()


def test_an_empty_folder_of_before_stays(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    os.utime(tmp_path / "mine", (1e9, 1e9))
    assert snakemake("--directory", tmp_path / "mine", "-n").returncode == 1
    assert (tmp_path / "mine").is_dir()


def test_values_on_the_command_line_are_read_as_yaml_would(world: Path, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment", tiny_config(world))
    typed = ("--config", "sizes=[2,4]", "ppo={steps: 3, kl: {adaptive: false}}")
    assert plan("--directory", folder, *typed)["sft"] == 4


def test_more_instructions_than_asked_for_are_told_at_planning(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world) | {"sizes": [1, 6]}
    folder = write_experiment(tmp_path / "experiment", config)
    told = snakemake("--directory", folder, "-n", "--cores", 1).stdout
    said = "sizes 1, 6 of segment_size 4: 8 instructions are made, 2 more than the largest size."
    assert [line[: len(said)] for line in told.splitlines() if "segment_size" in line] == [said]
    write_experiment(folder, config | {"sizes": [1, 8]})
    assert "segment_size" not in snakemake("--directory", folder, "-n", "--cores", 1).stdout


def test_the_shipped_experiments_make_what_they_ask_for() -> None:
    for folder in (ROOT, ROOT / "demo"):
        assert "segment_size" not in snakemake("--directory", folder, "-n", "--list").stdout
