"""Stage 2 with RLOO or GRPO: PPO's files, from the very answers that PPO would draw."""

from __future__ import annotations

import csv
import random
import shutil
from pathlib import Path

import pytest
import torch

from policies import COMPUTE, PAPER_WEIGHTS, REWARD, SETTINGS, WATCH, moved_policy, ppo_settings
from ppo import main
from refine_af.files.rows import read_rows, write_records
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.models.backbones import load_tokenizer
from refine_af.ppo.ablation import GroupLearner
from refine_af.ppo.training import metric_columns, step_instructions
from refine_af.records.instructions import Instruction
from refine_af.settings.compute import PpoMachine
from refine_af.settings.reward import Reward
from refine_af.settings.watch import PpoWatch
from test_ablation import ALGORITHMS, SCORES, answers
from tiny import sentence

METRICS = metric_columns(PAPER_WEIGHTS)
EMPTY = {"value_loss", "explained_variance"}


def instructions(count: int) -> list[Instruction]:
    numbers = random.Random(3)
    return [
        Instruction(f"i{n:06}", sentence(numbers, 3), 1, 0, [], "", 0.0, "", 0.0, 9, 9)
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def runs(world: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What stage 2 writes in three steps of two instructions, two answers each."""
    root = tmp_path_factory.mktemp("runs")
    segment = root / "segment"
    segment.mkdir()
    write_records(segment / "instructions.jsonl", instructions(5))
    for algorithm in ("ppo", *ALGORITHMS):
        run_stage(algorithm, world, segment, root / algorithm)
    return {name: root / name / "ppo" for name in ("ppo", *ALGORITHMS)} | {"segment": segment}


def run_stage(algorithm: str, world: Path, segment: Path, root: Path) -> None:
    sampling = SETTINGS["sampling"] | {"temperature": 0.7, "stop": ["Do"]}
    changes = {"algorithm": algorithm, "generations": 2, "samples_every": 1, "sampling": sampling}
    main(
        settings=ppo_settings(**changes),
        reward=Reward.model_validate(REWARD),
        watch=PpoWatch.model_validate(WATCH),
        compute=PpoMachine.model_validate(COMPUTE | {"checkpoint_every": 1}),
        chat=False,
        backbone=world / "llama",
        reward_model=world / "reward_model",
        evaluator=world / "evaluator",
        judge_prompt=None,
        judge_server=None,
        instructions=segment,
        prompt=world / "instances.txt",
        report_to=[],
        curves=root / "curves",
        progress=root / "kept",
        ppo=root / "ppo",
    )


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_only_the_update_differs_from_ppo(algorithm: str, runs: dict[str, Path]) -> None:
    ours, ppos = runs[algorithm], runs["ppo"]
    without = {path.name for path in ppos.iterdir()} - {"value_head.safetensors"}
    assert {path.name for path in ours.iterdir()} == without
    tables = []
    for folder in (ours, ppos):
        with open(folder / "metrics.csv", newline="") as file:
            tables.append(list(csv.DictReader(file)))
    own, theirs = tables
    assert [row["step"] for row in own] == ["1", "2", "3"]
    for row in own:
        assert list(row) == METRICS
        assert {name for name in METRICS if not row[name]} >= EMPTY
        assert row["policy_loss"] and row["clip_fraction"] and row["entropy"]
    # Before the first update nothing differs: neither answers, nor rewards, nor the KL.
    learned = {"policy_loss", "clip_fraction"} | EMPTY
    assert all(own[0][name] == theirs[0][name] for name in METRICS if name not in learned)
    assert own[2] != theirs[2]
    for name, key, first in (("samples", "step", 1), ("evaluation", "when", "before")):
        found = [[row for _, row in read_rows(f / f"{name}.jsonl")] for f in (ours, ppos)]
        same = [[row for row in rows if row[key] == first] for rows in found]
        assert same[0] == same[1]
        assert len(found[0]) == len(found[1]) == {"samples": 12, "evaluation": 10}[name]
        assert found[0] != found[1]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_stage_goes_on_from_a_checkpoint(
    algorithm: str,
    runs: dict[str, Path],
    world: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The last checkpoint and all that came after it are lost, as after a kill in step 3."""
    shutil.copytree(runs[algorithm].parent / "kept", tmp_path / "kept")
    (kept,) = (path for path in (tmp_path / "kept").iterdir() if path.is_dir())
    shutil.rmtree(kept / "step_000003")
    (kept / "after.jsonl").unlink()
    run_stage(algorithm, world, runs["segment"], tmp_path)
    assert "going on after step 2" in capsys.readouterr().out
    for path in runs[algorithm].rglob("*"):
        if path.is_file() and path.name != "timing.csv":
            name = path.relative_to(runs[algorithm])
            assert (tmp_path / "ppo" / name).read_bytes() == path.read_bytes(), name


def test_each_instruction_is_asked_as_often_as_it_is_answered() -> None:
    asked = instructions(5)
    single = ppo_settings(rollouts=4)
    grouped = ppo_settings(rollouts=8, generations=2, algorithm="grpo")
    for step in range(1, 6):
        once = step_instructions(asked, step, single)
        assert step_instructions(asked, step, grouped) == [e for e in once for _ in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_recomputed_layers_give_the_same_update(algorithm: str, tiny_llama: Path) -> None:
    found = []
    for recomputed in (False, True):
        policy = moved_policy(tiny_llama)
        if recomputed:
            policy.recompute_layers()
        settings = ppo_settings(algorithm=algorithm, rollouts=8, generations=4)
        tokenizer = load_tokenizer(tiny_llama)
        learner = GroupLearner(policy, [1, 70], settings, tokenizer)
        learner.learn(answers(), SCORES, step=1, kl_coefficient=0.2, stopwatch=Stopwatch())
        found.append([entry.detach().clone() for entry in policy.adapter_parameters()])
    assert all(map(torch.equal, *found))
