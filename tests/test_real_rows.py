"""examples/own-domain-small from its seeds to rows, on a real model: REFINE_AF_MODEL is its folder.

With numbers as small as they can be. What the model writes is its own, so either end is right: so
many rows as were asked for, or the message that says why there are none.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from refine_af.files.rows import read_records
from refine_af.records.human_tasks import read_seeds
from refine_af.records.instances import Instance
from tiny import ROOT, write_experiment
from workflow import snakemake

MODEL = os.environ.get("REFINE_AF_MODEL")
pytestmark = [
    pytest.mark.skipif(not MODEL, reason="REFINE_AF_MODEL names no folder with a model"),
    pytest.mark.slow,
]
ROWS = 2
TRIAL = {
    "extends": str(ROOT / "examples" / "own-domain-small" / "config.yaml"),
    "models": {"small": {"checkpoint": MODEL}},
    "sizes": [ROWS],
    "instructions": {"segment_size": 4, "sampling": {"max_new_tokens": 96}},
    "ppo": {
        "steps": 1,
        "rollouts": 2,
        "batch_size": 2,
        "evaluation_prompts": 2,
        "sampling": {"max_new_tokens": 24},
    },
    "instances": {"sampling": {"max_new_tokens": 64}},
    "watch": {"ppo": {"least_parsed": 0.0}, "instances": {"least_parsed": 0.0}},
}
# By the count of both segments, or by a segment without any.
REFUSED = r"error: .*(--size 2: 4 instructions gave [01] instances|and 0 instances remain)"


def test_the_example_ends_with_the_rows_or_the_reason(tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "trial", TRIAL)
    done = snakemake("data", "--directory", folder, "--cores", 1, "--resources", "gpu=1")
    rows = folder / "results" / "instances_small" / "refine-af.jsonl"
    if done.returncode:
        assert re.search(REFUSED, done.stdout), done.stdout
        assert not rows.exists(), "whole or not at all"
        return
    found = read_records(rows, Instance)
    assert len(found) == len({row.id for row in found}) == ROWS
    assert all(row.output.strip() for row in found)
    seeds = read_seeds(ROOT / "examples" / "own-domain" / "seeds.jsonl")
    assert {row.instruction for row in found}.isdisjoint(seed.instruction for seed in seeds)
    assert (folder / "results" / "release_data" / "README.md").is_file()
