"""The paper's own configuration on the real data, with a tiny backbone: every path is the real one.

Runs where the environment variable REFINE_AF_MIRROR names a folder with the data. The scores mean
nothing; that every stage reads, writes and counts the real files does.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from tiny import ROOT, write_experiment
from workflow import plan, snakemake

TASKS = [
    "task1344_glue_entailment_classification",
    "task1393_superglue_copa_text_completion",
    "task648_answer_generation",
    "task957_e2e_nlg_text_generation_generate",
]


@pytest.fixture(scope="module")
def mirror() -> Path:
    name = os.environ.get("REFINE_AF_MIRROR")
    if name is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    folder = Path(name)
    assert (folder / "seed_tasks.jsonl").is_file(), f"REFINE_AF_MIRROR={name} holds no data"
    return folder.absolute()


def real_config(world: Path, mirror: Path) -> dict[str, Any]:
    """The paper's configuration; only models, lengths and counts are made small."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["models"] = {"tiny": {"checkpoint": str(world / "llama")}}
    config["sizes"] = [12]
    config["fetch"] |= {"mirror": str(mirror), "superni_tasks": TASKS}
    # What SI made with GPT-3 is not among the data.
    config["neighbours"]["references"] = str(mirror / "user_oriented_instructions.jsonl")
    config["diversity"] = None  # nor is a parser
    stage1 = config["instructions"]
    stage1 |= {"segment_size": 12, "prompts_per_round": 16}
    config["watch"]["instructions"]["least_yield"] = 0.0
    stage1["sampling"] |= {"temperature": 1.0, "top_p": 0.95, "max_new_tokens": 48}
    config["ppo"] |= {"steps": 1, "rollouts": 4, "gradient_accumulation_steps": 1, "epochs": 1}
    config["ppo"] |= {"quantization": "none", "evaluation_prompts": 2}
    config["watch"]["ppo"]["least_parsed"] = 0.0
    config["ppo"]["sampling"]["max_new_tokens"] = 24
    config["reward"] |= {
        "model": str(world / "reward_model"),
        "evaluator": str(world / "evaluator"),
        "max_length": 256,
    }
    config["instances"] |= {"quantization": "none", "prompts_per_round": 8}
    config["watch"]["instances"]["least_parsed"] = 0.0
    config["instances"]["sampling"] |= {"temperature": 1.0, "max_new_tokens": 48}
    config["sft"] |= {"epochs": 1, "quantization": "none"}
    config["superni"] |= {"instances_per_task": 20, "max_source_tokens": 8192, "max_new_tokens": 4}
    # A round is as wide as its longest prompt, of some thousand of this tokenizer's short tokens.
    config["users"] |= {"max_new_tokens": 4, "prompts_per_round": 3}
    config["ratings"]["page"]["size"] = 12
    for stage in ("instructions", "superni", "users"):
        config[stage]["quantization"] = "none"
    return config


def test_the_whole_chain_on_real_data(world: Path, mirror: Path, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "real", real_config(world, mirror))
    done = snakemake("--directory", folder, "--cores", 2)
    assert "Traceback" not in done.stdout
    assert done.returncode == 0, done.stdout[-6000:]
    results = folder / "results"
    assert len((results / "fetch" / "seed_tasks.jsonl").read_text().splitlines()) == 175
    users = results / "fetch" / "user_oriented_instructions.jsonl"
    assert len(users.read_text().splitlines()) == 252
    near = list(map(json.loads, (results / "neighbours_tiny.jsonl").read_text().splitlines()))
    assert len(near) == 12 and all(row["reference_rouge_l"] is not None for row in near)
    prompt = (results / "fetch" / "instance_prompt.txt").read_text()
    assert prompt.count("\nTask: ") == 11 + 1 and prompt.endswith("\nTask: {instruction}\n")
    with open(results / "superni_tiny.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "base"]
    assert {row["task"]: int(row["instances"]) for row in rows} == dict.fromkeys(TASKS, 20)
    answers = (results / "user_predictions.jsonl").read_text().splitlines()
    cells = Counter(json.loads(line)["cell"] for line in answers)
    assert cells == {"base": 252, "self-instruct_12": 252, "refine-af_12": 252}
    replies = (results / "superni_tiny" / "refine-af_12.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in replies}) == 80

    # Fetch's section is no trigger but for its pins.
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["fetch"] |= {"timeout_s": 99.0, "attempts": 9}
    write_experiment(folder, config)
    assert plan("--directory", folder) == Counter()
    config["fetch"]["superni_tasks"] = TASKS[:3]
    write_experiment(folder, config)
    predicted = {"superni_instances": 1, "superni_replies_0": 3, "superni_predictions": 3}
    predicted |= {"superni": 1, "overlap": 2, "cost": 1, "report": 1, "release": 1}
    assert plan("--directory", folder) == Counter({"fetch_superni": 1} | predicted)
