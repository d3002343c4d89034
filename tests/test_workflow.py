"""The real Snakefile: what it plans, how its jobs share a GPU, and what a change rebuilds."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import yaml

from parsers import make_parser
from tiny import ROOT, demo_config, tiny_config, write_experiment
from workflow import plan, snakemake

PAPER = {
    "fetch_file": 3,  # seeds, user-oriented instructions, GPT-3's instances
    "fetch_instance_prompt": 1,
    "fetch_superni": 1,
    "fetch_checkpoint": 5,  # three backbones, the reward model, the evaluator
    "instructions_segment": 9,  # three backbones, three segments of 5,000
    "instructions": 3,
    "neighbours": 3,
    "ppo": 3,
    "instances_replies_0": 18,
    "instances_segment": 18,
    "instances": 6,
    "exports_method": 6,
    "browser_page": 3,
    "fetch_parser": 1,
    "diversity_parses": 9,
    "diversity": 3,
    "overlap": 18,
    "sft": 18,
    "superni_instances": 1,
    "superni_replies_0": 21,  # 18 cells and three untuned backbones
    "superni_predictions": 21,
    "superni": 3,
    "users_predictions": 21,
    "users": 1,
    "ratings_page": 3,
    "cost": 1,
    "report": 1,
    "release": 1,
}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's files as a clone has them, free to be edited."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("rules", "scripts", "resources", "report", "profiles", "envs", "demo/prompts"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "laptop").mkdir()
    shutil.copy(ROOT / "laptop" / "config.yaml", folder / "laptop")
    for name in ("config.yaml", "grid.yaml"):
        shutil.copy(ROOT / "demo" / name, folder / "demo" / name)
    return folder


def test_the_papers_grid_is_planned_from_a_fresh_clone(clone: Path) -> None:
    assert plan(project=clone) == Counter(PAPER)


def test_the_laptops_experiment_is_planned(clone: Path) -> None:
    """One model, two sizes, two methods, and the untuned model twice."""
    jobs = plan("--directory", "laptop", project=clone)
    assert jobs["fetch_checkpoint"] == 1, "the backbone is the judge too"
    assert (jobs["sft"], jobs["superni_predictions"], jobs["users_predictions"]) == (4, 6, 5)
    assert jobs["checkable"] == 1, "its user-oriented instructions name rules"
    assert not {"diversity", "fetch_parser"} & jobs.keys()


def test_random_subsets_are_told_in_the_plan(clone: Path) -> None:
    config = ("--config", "subsets={order: random, pool: 6000}", "sizes=[100]")
    done = snakemake("-n", "--quiet", "rules", *config, project=clone)
    assert "sizes 100: A size's instructions are drawn at random from the first 6,000 of the" in (
        done.stdout
    )
    assert re.search(r"^instructions_segment +6$", done.stdout, re.M), "two of each backbone"
    assert re.search(r"^sft +6$", done.stdout, re.M)


def test_ratings_that_came_back_are_read_and_reported(clone: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    (tmp_path / "anna.json").write_text("{}")
    config["ratings"]["files"] = {"mistral-7b": [str(tmp_path / "anna.json")]}
    folder = write_experiment(tmp_path / "experiment", config)
    assert plan("--directory", folder, project=clone) == Counter(PAPER | {"ratings_summary": 1})
    page = plan("--directory", folder, "results/report.html", project=clone)
    assert page["ratings_summary"] == 1  # the report waits for it


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("my{seeds}.jsonl", "{seeds}.jsonl: Snakemake takes braces for wildcards"),
        ("few.jsonl", "few.jsonl: 2 seed tasks; instructions.human_demonstrations and machine_de"),
    ],
)
def test_seeds_that_end_a_job_end_the_plan(
    name: str, said: str, clone: Path, tmp_path: Path
) -> None:
    seeds = tmp_path / name
    seeds.write_text("".join(f'{{"id": "{n}", "instruction": "Sort."}}\n' for n in range(2)))
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["data"]["seeds"] = str(seeds)
    folder = write_experiment(tmp_path / "experiment", config)
    done = snakemake("--directory", folder, "-n", project=clone)
    assert done.returncode == 1
    assert "error: config.yaml, data.seeds: " in done.stdout
    assert said in done.stdout


def test_planning_needs_no_torch(clone: Path, tmp_path: Path) -> None:
    broken = tmp_path / "torch"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise SystemExit('torch was imported')\n")
    done = snakemake("-n", "--cores", 1, project=clone, environment={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 0, done.stdout


@dataclass(frozen=True)
class Run:
    """A finished experiment: the project, its folder, and when each job's process ran."""

    project: Path
    folder: Path
    jobs: list[tuple[str, float, float]]

    def plan(self) -> Counter[str]:
        return plan("--directory", self.folder, project=self.project)


@pytest.fixture(scope="module")
def finished(clone: Path, world: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small grid, run by the real rules with eight cores and one GPU."""
    base = tmp_path_factory.mktemp("run")
    make_parser(base / "parser")
    config = tiny_config(world)
    shutil.copy(world / "seeds.jsonl", base / "seeds.jsonl")
    config["data"]["seeds"] = str(base / "seeds.jsonl")
    config["diversity"] = demo_config()["diversity"] | {"parser": str(base / "parser")}
    folder = write_experiment(base / "experiment", config)
    jobs = base / "jobs.jsonl"
    done = snakemake(
        *("--directory", folder, "--cores", 8, "--resources", "gpu=1"),
        project=clone,
        record=jobs,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    rows = [json.loads(line) for line in jobs.read_text().splitlines()]
    named = [(" ".join(map(os.path.basename, argv[:2])), start, end) for argv, start, end in rows]
    return Run(clone, folder, named)


def test_the_whole_chain_makes_every_named_file(finished: Run) -> None:
    results = finished.folder / "results"
    assert len((results / "instructions_tiny.jsonl").read_text().splitlines()) == 8
    assert (results / "ppo_tiny" / "adapter" / "adapter_model.safetensors").is_file()
    for method in ("self-instruct", "refine-af"):
        assert (results / "instances_tiny" / f"{method}.jsonl").is_file()
        for made in ("README.md", "alpaca.json", "dataset/train-00000-of-00001.parquet"):
            assert (results / "exports_tiny" / method / made).is_file()
        for size in (4, 8):
            cell = f"{method}_{size}"
            assert (results / "sft_tiny" / cell / "adapter_model.safetensors").is_file()
            rows = (results / "superni_tiny" / f"{cell}.jsonl").read_text().splitlines()
            assert len(rows) == 4  # two tasks, two instances each
    assert (results / "superni_tiny" / "base.jsonl").is_file()
    assert (results / "superni_tiny.csv").is_file()
    assert len((results / "neighbours_tiny.jsonl").read_text().splitlines()) == 8
    assert len((results / "diversity_tiny" / "verb_nouns.jsonl").read_text().splitlines()) == 8
    assert (results / "report.html").is_file()
    for made in ("README.md", "config.yaml", "prompts/instances.txt", "tiny_refine-af"):
        assert (results / "release" / made).exists()
    assert (results / "browser_tiny.html").is_file()


def test_no_two_gpu_jobs_overlap(finished: Run) -> None:
    models = (
        *("instructions.py segment", "ppo.py", "instances.py segment", "sft.py"),
        *("superni_replies.py replies", "users.py predictions", "instances_replies.py"),
        "diversity_parses.py",
    )
    gpu = sorted((start, end) for name, start, end in finished.jobs if name.startswith(models))
    # 2 segments, the same parsed, 1 PPO, 4 segments' replies, the same scored, 4 SFT, 6 predictions
    # (4 cells, 2 baselines), 5 of the user-oriented instructions (4 cells, 1 untuned)
    assert len(gpu) == 28
    for (_, end), (start, _) in itertools.pairwise(gpu):
        assert end <= start


def test_every_job_with_a_benchmark_tells_where_it_ran(finished: Run) -> None:
    results = finished.folder / "results"
    found = json.loads((results / "provenance.json").read_text())
    # 26 on the GPU, the overlap of 4 segments, the nearest texts, and the parses of 2 segments
    assert (found["jobs"], found["jobs_without_record"]) == (33, 0)
    assert len(found["machines"]) == len(found["software"]) == 1
    assert found["machines"][0]["jobs"] == 33
    assert found["code"] == [{"commit": "", "dirty": False, "jobs": 33}]  # a copy without git
    names = [origin["what"] for origin in found["origins"]]
    assert names[:2] == ["configuration", "data.seeds"]
    assert {"models.tiny.checkpoint", "reward.model", "prompts.sft"} <= {*names}
    assert all(len(origin["sha256"]) == 64 for origin in found["origins"])
    table = (results / "cost.csv").read_text()
    rows = {row.split(",")[1]: row.split(",") for row in table.splitlines()}
    jobs = {
        "instructions": 2,
        "ppo": 1,
        "instances": 8,
        "overlap": 4,
        "neighbours": 1,
        "diversity": 2,
    }
    jobs |= {"sft": 4, "superni": 6, "users": 5}
    assert {stage: int(row[2]) for stage, row in rows.items() if stage != "stage"} == jobs
    assert all(int(rows[stage][-1]) > 0 for stage in ("instructions", "ppo", "instances", "sft"))


CAPTIONS = {
    "figures/curves_tiny.png": "KL to the reference, entropy",
    "figures/curves_tiny.csv": "The numbers of this figure. What each step",
    "figures/table_2.csv": "Table II of the paper",
    "figures/trainings_tiny.csv": "each training of a cell",
    "figures/lineage.csv": "The files that each figure",
    "exports_tiny/refine-af/README.md": "by tiny: how much data",
    "sft_tiny/refine-af_4/README.md": "tiny, as the cell refine-af_4, which",
    "release/README.md": "The card of the data set",
    "release/LICENSE.md": "Under which licence",
    "release/prompts/instructions.txt": "A prompt as the models were given it",
    "user_predictions.jsonl": "Every reply of every model",
}


def test_snakemakes_own_report_holds_every_table_figure_card_and_page(
    finished: Run, tmp_path: Path
) -> None:
    """Without a network, which a proxy that nobody serves stands for: all scripts are shipped."""
    page, none = tmp_path / "report.html", "http://127.0.0.1:9"
    done = snakemake(
        *("--directory", finished.folder, "--report", page),
        project=finished.project,
        environment={"http_proxy": none, "https_proxy": none},
    )
    assert done.returncode == 0, done.stdout[-4000:]
    text = page.read_text()
    held, shelves = (
        json.loads(text.split(f'<script id="{name}">')[1].split(" = ", 1)[1].partition(";\n")[0])
        for name in ("results", "categories")
    )
    results = finished.folder / "results"
    wanted = [*results.glob("figures/*.png"), *results.glob("figures/*.csv")]
    wanted += [*results.glob("exports_tiny/*/README.md"), *results.glob("sft_tiny/*/README.md")]
    wanted += [results / "superni_tiny.csv", *results.glob("release/*.md")]
    wanted += [results / name for name in ("report.html", "cost.csv", "provenance.json")]
    wanted += [results / name for name in ("ratings_tiny.html", "browser_tiny.html")]
    wanted += [results / "user_predictions.jsonl", *results.glob("release/prompts/*.txt")]
    assert held.keys() == {str(path.relative_to(finished.folder)) for path in wanted}
    for name, entry in held.items():
        assert entry["labels"] and entry["caption"].strip(), name
    names = {
        "Report",
        "Figures",
        "Tables",
        "Data cards",
        "Model cards",
        "Release",
        "Pages",
        "Cost and provenance",
    }
    assert shelves.keys() == names
    figures = [held[name] for name in shelves["Figures"]["Other"]]
    assert {entry["labels"]["figure"] for entry in figures} >= {"ppo", "curves", "sft", "superni"}
    assert {entry["labels"]["model"] for entry in figures} == {"tiny"}
    for name, said in CAPTIONS.items():
        assert said in held[f"results/{name}"]["caption"], name
    assert "Instruction data from open models" in text


def test_a_finished_run_has_nothing_to_do(finished: Run) -> None:
    assert finished.plan() == Counter()


@pytest.mark.parametrize("how", ["-a", "-r"])
def test_a_copy_of_a_finished_run_has_nothing_to_do(
    how: str, finished: Run, tmp_path: Path
) -> None:
    """`cp -a` keeps the times; `cp -r` does not, and `snakemake --touch` mends what it did."""
    folder = tmp_path / "experiment"
    subprocess.run(["cp", how, finished.folder, folder], check=True)
    made = {path: path.read_bytes() for path in folder.glob("results/*.*")}
    if how == "-r":
        done = snakemake("--directory", folder, "--touch", "--cores", 1, project=finished.project)
        assert done.returncode == 0, done.stdout[-4000:]
    assert plan("--directory", folder, project=finished.project) == Counter()
    assert {path: path.read_bytes() for path in made} == made


def test_the_finished_demo_serves_nothing_to_the_paper(finished: Run) -> None:
    # An experiment in demo/, finished, leaves the paper's plan as it was.
    shutil.copytree(finished.folder / "results", finished.project / "demo" / "results")
    try:
        assert plan(project=finished.project) == Counter(PAPER)
    finally:
        shutil.rmtree(finished.project / "demo" / "results")


# What each kind of change plans, for one model, two sizes in two segments, and two methods.
TABLES = {"superni": 1, "cost": 1, "report": 1, "release": 1}
ANSWERED = {"users_predictions": 4, "users": 1, "ratings_page": 1}
EVALUATED = {"superni_replies_0": 4, "superni_predictions": 4} | ANSWERED | TABLES
TUNED = {"sft": 4} | EVALUATED
REFINED = {"instances_replies_0": 2, "instances_segment": 2, "instances": 1, "exports_method": 1}
REFINED |= {"browser_page": 1}
HALF = {"superni_replies_0": 2, "superni_predictions": 2, "users_predictions": 2}
HALF |= {"users": 1, "ratings_page": 1}
REFINED |= {"overlap": 2, "sft": 2} | HALF | TABLES
SCORED = {"instances_segment": 4, "instances": 2, "exports_method": 2, "overlap": 4} | TUNED
SCORED |= {"browser_page": 1}
WRITTEN = {"instances_replies_0": 4} | SCORED
PARSED = {"diversity_parses": 2, "diversity": 1}
POOLED = {"instructions_segment": 2, "instructions": 1, "neighbours": 1, "ppo": 1}
POOLED |= PARSED | WRITTEN


def edit_text(name: str) -> Callable[[Run], None]:
    """Append a comment to a file of the project."""

    def edit(run: Run) -> None:
        with open(run.project / name, "a") as file:
            file.write("# edited\n")

    return edit


def edit_code(name: str) -> Callable[[Run], None]:
    """Append a statement to a module of the project."""

    def edit(run: Run) -> None:
        with open(run.project / name, "a") as file:
            file.write("EDITED = True\n")

    return edit


def replace_in(name: str, old: str, new: str) -> Callable[[Run], None]:
    """Put other words in a file of the project."""

    def edit(run: Run) -> None:
        path = run.project / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return edit


def edit_config(change: Callable[[dict[str, Any]], object]) -> Callable[[Run], None]:
    def edit(run: Run) -> None:
        path = run.folder / "config.yaml"
        config = yaml.safe_load(path.read_text())
        change(config)
        path.write_text(yaml.safe_dump(config, sort_keys=False))

    return edit


def touch(name: str) -> Callable[[Run], None]:
    def edit(run: Run) -> None:
        os.utime(run.project / name, (time.time() + 60,) * 2)

    return edit


def edit_seed(run: Run) -> None:
    path = run.folder.parent / "seeds.jsonl"
    path.write_text(path.read_text().replace('"instruction": "', '"instruction": "Please ', 1))


def edit_references(run: Run) -> None:
    """Instructions are compared with the users' too, which stand beside the experiment."""
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    config["neighbours"]["references"] = config["data"]["user_instructions"]
    (run.folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def delete_cell(run: Run) -> None:
    shutil.rmtree(run.folder / "results" / "sft_tiny" / "refine-af_4")


def add_model(config: dict[str, Any]) -> None:
    config["models"]["second"] = config["models"]["tiny"]


SERVER = {
    "url": "http://localhost:1/v1",
    "model": "tiny",
    "key_variable": None,
    "concurrency": 2,
    "timeout_s": 1.0,
    "attempts": 1,
    "patience_s": 0.1,
}


def ask_a_server(config: dict[str, Any]) -> None:
    config["instructions"]["engine"] = "server"
    config["servers"]["tiny"] = SERVER


CHANGES: dict[str, tuple[Callable[[Run], None], dict[str, int]]] = {
    "a touched script": (touch("scripts/ppo.py"), {}),
    "a touched rule file": (touch("rules/ppo.smk"), {}),
    "a touched shared module": (touch("scripts/refine_af/engines/generation.py"), {}),
    "an edited script, instructions": (edit_code("scripts/instructions.py"), POOLED),
    "an edited script, neighbours": (
        edit_code("scripts/neighbours.py"),
        {"neighbours": 1, "browser_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "section neighbours": (
        edit_references,
        {"neighbours": 1, "browser_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "an edited script, ppo": (edit_code("scripts/ppo.py"), {"ppo": 1} | REFINED),
    "an edited script, instances_replies": (edit_code("scripts/instances_replies.py"), WRITTEN),
    "an edited script, instances": (edit_code("scripts/instances.py"), SCORED),
    "an edited script, exports": (edit_code("scripts/exports.py"), {"exports_method": 2}),
    "an edited script, browser": (edit_code("scripts/browser.py"), {"browser_page": 1}),
    "an edited script, sft": (edit_code("scripts/sft.py"), TUNED),
    "an edited script, cost": (
        edit_code("scripts/cost.py"),
        {"cost": 1, "report": 1, "release": 1},
    ),
    "an edited script, report": (edit_code("scripts/report.py"), {"report": 1, "release": 1}),
    "an edited script, release": (edit_code("scripts/release.py"), {"release": 1}),
    "an edited script, fetch": (edit_code("scripts/fetch.py"), {}),
    "an edited shared module, novelty": (edit_code("scripts/refine_af/metrics/novelty.py"), POOLED),
    "an edited shared module, words": (
        edit_code("scripts/refine_af/words.py"),
        POOLED | {"superni_predictions": 6},
    ),
    "an edited shared module, rewards": (
        edit_code("scripts/refine_af/rewards/scorer.py"),
        {"ppo": 1, "instances_replies_0": 2} | SCORED,
    ),
    "an edited module of the command line": (
        edit_code("scripts/refine_af/jobs/command_line.py"),
        {},
    ),
    "a comment in a script": (edit_text("scripts/ppo.py"), {}),
    "a comment in a shared module": (edit_text("scripts/refine_af/files/rows.py"), {}),
    "a docstring in a record": (
        replace_in("scripts/refine_af/records/instructions.py", '    """A ', '    """One '),
        {},
    ),
    "a reformatted line": (
        replace_in(
            "scripts/refine_af/prompts/templates.py",
            "from __future__ import",
            "from  __future__ import",
        ),
        {},
    ),
    "a property that computes": (
        replace_in("scripts/refine_af/sft/batches.py", "-(-self.rows //", "-(- 1 * self.rows //"),
        TUNED,
    ),
    "an edited prompt": (edit_text("demo/prompts/instructions.txt"), POOLED),
    "section instructions": (
        edit_config(lambda c: c["instructions"].update(prompts_per_round=9)),
        POOLED,
    ),
    "the floor of the yield": (
        edit_config(lambda c: c["watch"]["instructions"].update(patience=3)),
        {},
    ),
    "a server that nobody asks": (edit_config(lambda c: c["servers"].update(tiny=SERVER)), {}),
    "replies from a server": (edit_config(ask_a_server), POOLED),
    "section ppo": (
        edit_config(lambda c: c["ppo"].update(learning_rate=1e-9)),
        {"ppo": 1} | REFINED | {"exports_method": 2},  # whose cards tell the settings
    ),
    "the weights of the reward": (
        edit_config(lambda c: c["reward"]["weights"].update(constant=0.5)),
        {"ppo": 1, "instances_replies_0": 2} | SCORED,
    ),
    "the floor of stage 3": (
        edit_config(lambda c: c["watch"]["instances"].update(least_parsed=0.1, patience=7)),
        {},
    ),
    "more jobs for a segment's replies": (
        edit_config(lambda c: c["compute"]["instances"].update(shards=2)),
        {},
    ),
    "section instances": (edit_config(lambda c: c["instances"].update(seed=7)), WRITTEN),
    "an edited script, instances_kinds": (edit_code("scripts/instances_kinds.py"), {}),
    "a branch for classification tasks": (
        edit_config(lambda c: c["instances"]["classification"].update(methods=["self-instruct"])),
        {"instances_kinds": 2} | REFINED | {"exports_method": 2},  # whose cards tell the settings
    ),
    "pairs of a reply": (
        edit_config(lambda c: c["instances"].update(per_instruction=2)),
        SCORED,
    ),
    "section sft": (edit_config(lambda c: c["sft"].update(epochs=2)), TUNED),
    "section superni": (
        edit_config(lambda c: c["superni"].update(max_new_tokens=5)),
        {"superni_instances": 1, "overlap": 4, "superni_replies_0": 6, "superni_predictions": 6}
        | TABLES,
    ),
    "section users": (
        edit_config(lambda c: c["users"].update(max_new_tokens=5)),
        {
            "users_predictions": 5,
            "users": 1,
            "ratings_page": 1,
            "cost": 1,
            "report": 1,
            "release": 1,
        },
    ),
    "more jobs for a cell's predictions": (
        edit_config(lambda c: c["compute"]["superni"].update(shards=3)),
        {},
    ),
    "an edited script, superni": (
        edit_code("scripts/superni.py"),
        {"superni_predictions": 6} | TABLES,
    ),
    "an edited script, superni_replies": (
        edit_code("scripts/superni_replies.py"),
        {"superni_instances": 1, "overlap": 4, "superni_replies_0": 6, "superni_predictions": 6}
        | TABLES,
    ),
    "an edited script, users": (
        edit_code("scripts/users.py"),
        {
            "users_predictions": 5,
            "users": 1,
            "ratings_page": 1,
            "cost": 1,
            "report": 1,
            "release": 1,
        },
    ),
    "section diversity": (
        edit_config(lambda c: c["diversity"].update(batch_size=7)),
        PARSED | {"browser_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "an edited script, diversity_parses": (
        edit_code("scripts/diversity_parses.py"),
        PARSED | {"browser_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "an edited script, diversity": (
        edit_code("scripts/diversity.py"),
        {"diversity": 1, "browser_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "what a verb's noun is": (
        edit_code("scripts/refine_af/diversity/constituency.py"),
        {"diversity": 1, "browser_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "no parser asked": (
        edit_config(lambda c: c.update(diversity=None)),
        {"browser_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "section overlap": (
        edit_config(lambda c: c["overlap"].update(ngram=8)),
        {"overlap": 4, "cost": 1, "report": 1, "release": 1},
    ),
    "an edited script, overlap": (
        edit_code("scripts/overlap.py"),
        {"overlap": 4, "cost": 1, "report": 1, "release": 1},
    ),
    "section browser": (
        edit_config(lambda c: c["browser"].update(megabytes=7)),
        {"browser_page": 1},
    ),
    "section ratings": (
        edit_config(lambda c: c["ratings"]["page"].update(seed=7)),
        {"ratings_page": 1},
    ),
    "section report": (
        edit_config(lambda c: c["report"].update(span=10)),
        {"report": 1, "release": 1},
    ),
    "section release": (
        edit_config(lambda c: c["release"].update(language=None)),
        {"release": 1},
    ),
    "hardware": (edit_config(lambda c: c["compute"]["ppo"].update(mem_mb=3000)), {}),
    "how often progress is kept": (
        edit_config(lambda c: [c["compute"][s].update(checkpoint_every=1) for s in ("ppo", "sft")]),
        {},
    ),
    "the order of keys": (
        edit_config(lambda c: c.update(sft=dict(reversed(list(c.pop("sft").items()))))),
        {},
    ),
    "a model added": (
        edit_config(add_model),
        {**POOLED, "superni_replies_0": 6, "superni_predictions": 6, "users_predictions": 5}
        | {"users": 1, "ratings_page": 2, "cost": 1, "report": 1, "release": 1},
    ),
    "prompts as a chat's turns": (
        edit_config(lambda c: c["models"]["tiny"].update(chat=True)),
        {**POOLED, "superni_replies_0": 6, "superni_predictions": 6, "users_predictions": 5}
        | {"users": 1, "ratings_page": 1, "cost": 1, "report": 1, "release": 1},
    ),
    "a seed edited": (edit_seed, POOLED),
    "one cell deleted": (
        delete_cell,
        dict.fromkeys(("sft", *HALF), 1) | TABLES,
    ),
    "a size added in the last segment": (
        edit_config(lambda c: c["sizes"].append(6)),
        {"sft": 2} | HALF | TABLES,
    ),
    "a size added beyond the last segment": (
        edit_config(lambda c: c["sizes"].append(12)),
        {
            "instructions_segment": 1,
            "instructions": 1,
            "neighbours": 1,
            "diversity_parses": 1,
            "diversity": 1,
            "instances_replies_0": 2,
            "instances_segment": 2,
            "instances": 2,
            "exports_method": 2,
            "browser_page": 1,
            "overlap": 2,
            "sft": 2,
        }
        | HALF
        | TABLES,
    ),
    "random subsets": (
        edit_config(lambda c: c["subsets"].update(order="random")),
        TUNED | {"exports_method": 2},
    ),
    "sizes that count instances": (
        edit_config(lambda c: c["subsets"].update(count="instances")),
        TUNED
        | {"instances_counted": 4, "instructions": 1, "instances": 2, "exports_method": 2}
        | {"neighbours": 1, "diversity": 1, "browser_page": 1},
    ),
    "an edited script, instances_sizes": (edit_code("scripts/instances_sizes.py"), {}),
    "when too few instances are kept": (
        edit_config(lambda c: c["watch"]["subsets"].update(least_kept=0.9)),
        {},
    ),
    "the pool of random subsets, of prefixes": (
        edit_config(lambda c: c["subsets"].update(pool=7, seed=9)),
        {},
    ),
    "another seed of fine-tuning": (
        edit_config(lambda c: c["replicates"].update(sft=2)),
        {"sft": 4, "superni_replies_0": 4, "superni_predictions": 4} | TABLES,
    ),
    "another seed of stage 2": (
        edit_config(lambda c: c["replicates"].update(ppo=2)),
        {"ppo": 1, "instances_replies_0": 2, "instances_segment": 2, "instances": 1, "sft": 2}
        | {"superni_replies_0": 2, "superni_predictions": 2}
        | TABLES,
    ),
    "other seeds of both": (
        edit_config(lambda c: c.update(replicates={"sft": 3, "ppo": 2})),
        {"ppo": 1, "instances_replies_0": 2, "instances_segment": 2, "instances": 1}
        | {"sft": 14, "superni_replies_0": 14, "superni_predictions": 14}
        | TABLES,
    ),
    "a size taken away": (
        edit_config(lambda c: c["sizes"].remove(8)),
        {"instructions": 1, "neighbours": 1, "instances": 2, "exports_method": 2, "users": 1}
        | {"browser_page": 1, "ratings_page": 1, "diversity": 1}
        | TABLES,
    ),
}


def test_more_instructions_are_the_same_and_further_ones(finished: Run, tmp_path: Path) -> None:
    """Finished segments are not touched, and what was kept on their way is not needed."""
    folder = tmp_path / "experiment"
    shutil.copytree(finished.folder, folder)
    shutil.rmtree(folder / "results" / "scratch")
    config = yaml.safe_load((folder / "config.yaml").read_text())
    write_experiment(folder, config | {"sizes": [4, 8, 16]})
    pool = folder / "results" / "instructions_tiny.jsonl"
    before = pool.read_bytes()
    target = ("results/instructions_tiny.jsonl", "--directory", folder)
    done = snakemake(*target, "--cores", 2, project=finished.project)
    assert done.returncode == 0, done.stdout[-4000:]
    assert "instructions_segment        2" in done.stdout
    grown = pool.read_bytes()
    assert grown.startswith(before)
    assert len(grown.splitlines()) == 16


def test_as_many_rows_as_asked_for(finished: Run, tmp_path: Path) -> None:
    """Segments are added until each method has kept so many, and none where too few come."""
    folder = tmp_path / "experiment"
    shutil.copytree(finished.folder, folder)
    data, made = folder / "results" / "instances_tiny", folder / "results" / "segments"
    refine = made / "instances_tiny" / "refine-af"
    rows = [(refine / k / "instances.jsonl").read_bytes().splitlines(True) for k in ("0", "1")]
    (refine / "0" / "instances.jsonl").write_bytes(rows[0][0])  # as if all others were refused
    (refine / "0" / "counts.csv").write_text("instructions,classification,parsed,kept\n4,0,1,1\n")
    before = {path: path.read_bytes() for path in made.rglob("instances.jsonl")}
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["subsets"]["count"] = "instances"
    size = 1 + len(rows[1]) + 1  # one more than the two segments hold
    run = ("--directory", folder, "--cores", 2, "--resources", "gpu=1")

    write_experiment(folder, config | {"sizes": [size]})
    done = snakemake("data", *run, project=finished.project)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"sizes {size} count instances (subsets.count): stages 1 and 3 make 2 se" in done.stdout
    for method in ("self-instruct", "refine-af"):
        assert len((data / f"{method}.jsonl").read_text().splitlines()) == size
    grown = (data / "refine-af.jsonl").read_bytes()
    assert grown.startswith(b"".join([rows[0][0], *rows[1]]))
    assert {path: path.read_bytes() for path in before} == before
    assert len((folder / "results" / "instructions_tiny.jsonl").read_text().splitlines()) == 12
    assert plan("--directory", folder, "data", project=finished.project) == Counter()

    config["watch"]["subsets"]["least_kept"] = 1.0
    write_experiment(folder, config | {"sizes": [12]})
    done = snakemake("results/instances_tiny/refine-af.jsonl", *run, project=finished.project)
    assert done.returncode == 1 and "instances_counted" in done.stdout
    log = folder / "results" / "logs" / "instances_tiny" / "refine-af_3_counted.log"
    assert "error: --size 12: 12 instructions gave " in log.read_text()
    assert not (made / "instructions_tiny" / "3").exists()
    assert (data / "refine-af.jsonl").read_bytes() == grown


def test_more_jobs_write_the_same_instances(finished: Run, tmp_path: Path) -> None:
    """Replies anew, by two jobs a segment: the same files, of which each round is one job's."""
    folder = tmp_path / "experiment"
    shutil.copytree(finished.folder, folder)
    results = folder / "results"
    target = "results/instances_tiny/self-instruct.jsonl"
    before = (folder / target).read_bytes()
    for name in ("scratch", "instances_tiny", "segments/replies_tiny", "segments/instances_tiny"):
        shutil.rmtree(results / name)
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["compute"]["instances"]["shards"] = 2
    write_experiment(folder, config)
    done = snakemake(
        target,
        "--directory",
        folder,
        "--cores",
        2,
        "--resources",
        "gpu=2",
        project=finished.project,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    for shard in (0, 1):
        assert re.search(rf"^instances_replies_{shard} +2$", done.stdout, re.M)
        logs = results / "logs" / "instances_tiny"
        assert f"round {shard}: " in (logs / f"self-instruct_0_replies_{shard}.log").read_text()
    assert (folder / target).read_bytes() == before


def test_a_killed_run_goes_on(world: Path, clone: Path, tmp_path: Path) -> None:
    """kill -9 of Snakemake and its job; the next run asks only for the replies that are missing."""
    config = tiny_config(world)
    config["instructions"] |= {"segment_size": 150, "prompts_per_round": 2}
    config["sizes"] = [150]
    folder = write_experiment(tmp_path / "experiment", config)
    pool = "results/instructions_tiny.jsonl"
    command = [sys.executable, "-m", "snakemake", pool, "--directory", str(folder), "--cores", "1"]
    with subprocess.Popen(command, cwd=clone, start_new_session=True, stderr=PIPE) as run:
        deadline = time.monotonic() + 600  # of a machine that others keep busy
        while not (logs := list(folder.glob("results/scratch/*/0/*/replies.jsonl"))) or (
            logs[0].stat().st_size < 2000
        ):
            assert run.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        os.killpg(run.pid, signal.SIGKILL)
    logged = logs[0].read_bytes()
    assert not (folder / "results" / "segments" / "instructions_tiny" / "0").exists()
    rest = ("--directory", folder, "--cores", 1)
    assert snakemake("--unlock", *rest, project=clone).returncode == 0
    done = snakemake(pool, *rest, project=clone)
    assert done.returncode == 0, done.stdout[-4000:]
    assert len((folder / pool).read_text().splitlines()) == 150
    whole = logs[0].read_bytes()
    assert whole.startswith(logged[: logged.rfind(b"\n") + 1])
    asked = [(row["round"], row["request"]) for row in map(json.loads, whole.splitlines())]
    assert len(asked) == len(set(asked))


@pytest.fixture(scope="module")
def restore(finished: Run, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], None]:
    """Puts all that an edit may touch back as it was, times included."""
    places = [finished.project, finished.folder, finished.folder.parent / "seeds.jsonl"]
    kept = tmp_path_factory.mktemp("kept")
    copies = [kept / str(number) for number, _ in enumerate(places)]
    for place, copy in zip(places, copies, strict=True):
        (shutil.copytree if place.is_dir() else shutil.copy2)(place, copy)

    def put_back() -> None:
        for place, copy in zip(places, copies, strict=True):
            restored(place, copy)

    return put_back


def restored(place: Path, copy: Path) -> None:
    """Make `place` what its `copy` is; what has the same size and time there is the same."""
    if copy.is_dir():
        if not place.is_dir():
            place.unlink(missing_ok=True)
            place.mkdir()
        wanted = {path.name for path in copy.iterdir()}
        for path in place.iterdir():
            if path.name not in wanted:
                remove(path)
        for name in wanted:
            restored(place / name, copy / name)
        shutil.copystat(copy, place)
    elif not same(place, copy):
        remove(place)
        shutil.copy2(copy, place)


def same(place: Path, copy: Path) -> bool:
    if not place.is_file():
        return False
    found, wanted = place.stat(), copy.stat()
    return (found.st_size, found.st_mtime_ns) == (wanted.st_size, wanted.st_mtime_ns)


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_rebuilds_what_depends_on_it(
    finished: Run, name: str, restore: Callable[[], None]
) -> None:
    edit, planned = CHANGES[name]
    edit(finished)
    try:
        assert finished.plan() == Counter(planned)
    finally:
        restore()


def test_the_cost_is_of_every_training(finished: Run, restore: Callable[[], None]) -> None:
    edit_config(lambda c: c.update(replicates={"sft": 2, "ppo": 2}))(finished)
    target = ("results/cost.csv", "--directory", finished.folder)
    try:
        done = snakemake("-n", "-p", *target, project=finished.project)
    finally:
        restore()
    (command,) = re.findall(r"scripts/cost\.py .*", done.stdout)
    assert " results/ppo_tiny results/ppo_tiny_r2 " in command
    assert command.count(" results/sft_tiny/") == 12
    assert " results/sft_tiny/refine-af_r2_8_r2 " in command
