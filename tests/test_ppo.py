"""Stage 2 through its command line: what it refuses, what it writes, and that it repeats."""

from __future__ import annotations

import csv
import json
import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError

from policies import COMPUTE, PAPER_WEIGHTS, REWARD, SETTINGS, WATCH, ppo_settings
from ppo import main
from refine_af.engines.generation import Completion, generate
from refine_af.errors import InputError
from refine_af.files.rows import write_records
from refine_af.instances.parsing import parsed
from refine_af.instances.replies import AskedReply
from refine_af.instances.rounds import requests_of
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.models.backbones import load_tokenizer
from refine_af.ppo.policy import new_policy
from refine_af.ppo.rollouts import Environment, Rollout
from refine_af.ppo.training import (
    PHASES,
    PpoTrainer,
    metric_columns,
    score_figures,
    step_instructions,
)
from refine_af.prompts.completions import Pair
from refine_af.prompts.templates import prompt_of
from refine_af.randomness import derived_seed
from refine_af.records.instructions import Instruction
from refine_af.rewards.equation_1 import COMPONENTS
from refine_af.rewards.judges import RewardModel
from refine_af.rewards.scorer import MARKERS, Triplet
from refine_af.settings.compute import PpoMachine
from refine_af.settings.reward import Reward, Weights
from refine_af.settings.watch import PpoWatch
from refine_af.workflow.configuration import read_experiment
from tiny import ROOT, demo_config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rollouts": 6}, "rollouts 6 is no multiple of batch_size"),
        ({"generations": 3}, "rollouts 4 is no multiple of generations 3"),
        ({"algorithm": "rloo"}, "generations 1: rloo compares two or more replies"),
        ({"sampling": SETTINGS["sampling"] | {"temperature": 0.0}}, "temperature above 0"),
        ({"sampling": SETTINGS["sampling"] | {"top_p": 0.9}}, "top_p 1"),
        ({"sampling": SETTINGS["sampling"] | {"presence_penalty": 1.0}}, "presence_penalty 0"),
    ],
)
def test_settings_that_break_ppo_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ppo_settings(**changes)


@pytest.fixture(scope="module")
def judges(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A random reward model and a random T5 with the tiny tokenizer and OASST's markers."""
    from transformers import AutoTokenizer, GPTNeoXConfig, T5Config, T5ForConditionalGeneration

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    tokenizer.add_special_tokens({"additional_special_tokens": list(MARKERS)})
    shape = {"vocab_size": len(tokenizer), "num_hidden_layers": 1, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = tmp_path_factory.mktemp("reward_model")
    RewardModel(GPTNeoXConfig(hidden_size=16, intermediate_size=32, **shape)).save(model)
    evaluator = tmp_path_factory.mktemp("evaluator")
    T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(tokenizer),
            d_model=16,
            d_kv=8,
            d_ff=32,
            num_layers=1,
            num_heads=2,
            decoder_start_token_id=0,
            eos_token_id=2,
        )
    ).save_pretrained(evaluator)
    for folder in (model, evaluator):
        tokenizer.save_pretrained(folder)
    return model, evaluator


INSTRUCTIONS = ["Sort the list.", "Say Yes or No.", "Add 1, 2", "Name the task."]
PROMPT = "Task: Sort the list.\nInput: 2, 1\nOutput: 1, 2\nTask: {instruction}\n"


@pytest.fixture(scope="module")
def answering_llama(world: Path) -> Path:
    """A tiny Llama that answers every prompt in the right form."""
    return world / "llama"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A first segment of six instructions, and a prompt file."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "prompt.txt").write_text(PROMPT)
    rows = [
        Instruction(f"i{number:06}", text, 1, 0, [], "", 0.0, "", 0.0, 9, 9)
        for number, text in enumerate([*INSTRUCTIONS, "Add 3", "Sort 2, 1"])
    ]
    write_records(folder / "segment" / "instructions.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def runs(
    run_script: Any,
    inputs: Path,
    judges: tuple[Path, Path],
    answering_llama: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """The stage's folder, made twice by its command line."""
    made = []
    for name in ("one", "two"):
        folder = tmp_path_factory.mktemp(name) / "ppo"
        flags: dict[str, object] = {
            "settings": json.dumps(SETTINGS),
            "reward": json.dumps(REWARD),
            "watch": json.dumps(WATCH),
            "compute": json.dumps(COMPUTE),
            "chat": False,
            "backbone": answering_llama,
            "reward-model": judges[0],
            "evaluator": judges[1],
            "instructions": inputs / "segment",
            "prompt": inputs / "prompt.txt",
            "curves": folder.parent / "curves",
            "progress": folder.parent / "kept",
            "ppo": folder,
        }
        named = (part for flag in flags for part in (f"--{flag}", flags[flag]))
        done = run_script("ppo", *named, "--judge-prompt", "--judge-server", "--report-to")
        assert done.returncode == 0, done.stderr
        assert "progress: 3/3 PPO steps" in done.stdout
        made.append(folder)
    return made[0], made[1]


def test_the_stage_writes_its_folder(runs: tuple[Path, Path]) -> None:
    names = {str(path.relative_to(runs[0])) for path in runs[0].rglob("*") if path.is_file()}
    assert names == {
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "value_head.safetensors",
        "metrics.csv",
        "alarms.csv",
        "timing.csv",
        "samples.jsonl",
        "evaluation.jsonl",
    }
    with open(runs[0] / "metrics.csv", newline="") as file:
        metrics = list(csv.DictReader(file))
    assert [row["step"] for row in metrics] == ["1", "2", "3"]
    assert list(metrics[0]) == metric_columns(PAPER_WEIGHTS)
    assert {f"{name}_{kind}" for name in COMPONENTS for kind in ("mean", "sd")} < {*metrics[0]}
    assert float(metrics[0]["kl"]) == 0.0
    assert float(metrics[1]["kl"]) != 0.0
    # The KL is far below its target of 6, so the coefficient falls by 0.2 · 4 / 10000 a step.
    falls = [0.2 * (1 - 0.2 * 4 / 10000) ** step for step in range(3)]
    assert [float(row["kl_coefficient"]) for row in metrics] == pytest.approx(falls)
    assert any(float(row["parse_rate"]) > 0 for row in metrics)
    samples = [json.loads(line) for line in (runs[0] / "samples.jsonl").open()]
    assert [row["step"] for row in samples] == [2, 2, 2, 2]
    assert float(metrics[1]["reward_mean"]) == pytest.approx(
        sum(row["reward"] for row in samples) / 4
    )
    with open(runs[0] / "timing.csv", newline="") as file:
        assert next(csv.DictReader(file)).keys() == {"step", *PHASES}


def test_fixed_prompts_are_answered_before_and_after(runs: tuple[Path, Path]) -> None:
    rows = [json.loads(line) for line in (runs[0] / "evaluation.jsonl").open()]
    before, after = rows[:5], rows[5:]
    assert [row["when"] for row in rows] == ["before"] * 5 + ["after"] * 5
    assert [row["instruction_id"] for row in before] == [row["instruction_id"] for row in after]
    assert len({row["instruction_id"] for row in before}) == 5
    parsed = [row for row in rows if row["output"] is not None]
    assert parsed
    for row in parsed:
        weights = REWARD["weights"]
        assert list(row["components"]) == list(COMPONENTS)
        total = sum(weights[name] * row["components"][name] for name in COMPONENTS)
        total += weights["constant"]
        assert row["reward"] == pytest.approx(total)
    for row in rows:
        if row["output"] is None:
            assert row["reward"] == -0.6
            assert row["input"] is row["components"] is None


def test_two_runs_are_equal_byte_by_byte(runs: tuple[Path, Path]) -> None:
    for path in runs[0].rglob("*"):
        if path.is_file() and path.name != "timing.csv":
            other = runs[1] / path.relative_to(runs[0])
            assert path.read_bytes() == other.read_bytes(), path.name


def test_adapter_loads_and_is_the_trained_policy(
    runs: tuple[Path, Path], answering_llama: Path
) -> None:
    from peft import PeftModel
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    backbone = AutoModelForCausalLM.from_pretrained(answering_llama)
    model = PeftModel.from_pretrained(backbone, runs[0] / "adapter").eval()
    tokenizer = AutoTokenizer.from_pretrained(answering_llama)
    rows = [json.loads(line) for line in (runs[0] / "evaluation.jsonl").open()][5:]
    prompt = prompt_of(PROMPT, {"instruction"}, "here")
    settings = ppo_settings()
    again = generate(
        model,
        tokenizer,
        prefix=prompt.prefix,
        tails=[prompt.tail(instruction=row["instruction"]) for row in rows],
        sampling=settings.sampling,
        seeds=[derived_seed(0, "evaluation", index) for index in range(5)],
    )
    assert [entry.text for entry in again] == [row["completion"] for row in rows]
    shapes = {
        name: entry.shape for name, entry in load_file(runs[0] / "value_head.safetensors").items()
    }
    assert shapes == {"weight": (1, 32), "bias": (1,)}


def test_prompts_are_permutations_epoch_by_epoch() -> None:
    pool = [Instruction(f"i{n}", f"Do {n}.", 1, 0, [], "", 0.0, "", 0.0, 9, 9) for n in range(6)]
    settings = ppo_settings()
    drawn = [e.id for step in (1, 2, 3) for e in step_instructions(pool, step, settings)]
    assert sorted(drawn[:6]) == sorted(drawn[6:]) == sorted(entry.id for entry in pool)
    assert drawn[:6] != drawn[6:]


def test_score_figures_by_hand() -> None:
    one = Instruction("i0", "Do it.", 1, 0, [], "", 0.0, "", 0.0, 9, 9)
    done = Completion("Output: x", (5,), "eos", 9)
    scores = [dict.fromkeys(COMPONENTS, value) for value in (0.25, 0.75)]
    rollouts = [
        Rollout(one, done, Pair("", "x"), scores[0], 1.0),
        Rollout(one, done, Pair("", "x"), scores[1], 3.0),
        Rollout(one, done, None, None, -1.0),
        Rollout(one, done, None, None, -1.0),
    ]
    weights = PAPER_WEIGHTS.model_copy(update={"unparseable": -1.0})
    figures = score_figures(rollouts, weights)
    assert figures["reward_mean"] == 0.5
    assert figures["reward_sd"] == pytest.approx(math.sqrt(11 / 3))
    assert figures["coherence_mean"] == 0.5
    assert figures["coherence_sd"] == pytest.approx(math.sqrt(0.125))
    assert figures["parse_rate"] == figures["floor_share"] == 0.5
    assert figures["reward_parsed"] == 2.0
    none = score_figures(rollouts[2:], weights)
    assert none["coherence_mean"] == none["coherence_sd"] == none["reward_parsed"] == ""


@pytest.mark.parametrize(
    ("text", "finish", "reward"),
    [
        ("Input: 1\nOutput: 2\n", "stop", 1.0),
        ("Output: 2", "length", -0.6),
        ("Output: \n", "stop", -0.6),
        ("2\nOutput: 2", "stop", -0.6),
        ("nothing", "stop", -0.6),
        # one input with two outputs: stage 3 drops all of them
        ("Example 1\nInput: a\nOutput: b\nExample 2\nInput: a\nOutput: c", "stop", -0.6),
        # a bad one before a good one
        ("Example 1\nInput: a\nOutput:\nExample 2\nInput: d\nOutput: e", "stop", 1.0),
        ("Example 1\nInput: a\nOutput: a\nExample 2\nInput: d\nOutput: e", "length", -0.6),
        ("", "eos", -0.6),
    ],
)
def test_what_is_no_instance_gets_the_floor(
    text: str, finish: Any, reward: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ppo_settings()
    monkeypatch.setattr(
        "refine_af.ppo.rollouts.generate", lambda *_, **__: [Completion(text, (5,), finish, 9)]
    )
    weights = dict.fromkeys(COMPONENTS, 0.25) | {"constant": 0.0, "unparseable": -0.6}

    def judge(triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        assert triplets, "nothing is no question"
        return [dict.fromkeys(COMPONENTS, 1.0) for _ in triplets]

    environment = Environment(
        tokenizer=None,
        prompt=prompt_of("Task: {instruction}\n", {"instruction"}, "prompt"),
        sampling=settings.sampling,
        judge=judge,
        weights=Weights.model_validate(weights),
    )
    one = Instruction("i0", "Do it.", 1, 0, [], "", 0.0, "", 0.0, 9, 9)
    (rollout,) = environment.rollouts(None, [one], seeds=[1], stopwatch=Stopwatch())
    assert rollout.reward == reward
    assert (rollout.pair is None) == (rollout.components is None) == (reward < 0)
    # What is scored is what stage 3 keeps, of which it takes the first here.
    rules = read_experiment(demo_config()).instances
    assert rules.per_instruction == 1
    kept = parsed(rules, [one], [AskedReply(0, 0, text, finish, 1, 1, "input first")]).kept
    assert [entry.pair for entry in kept] == ([rollout.pair] if rollout.pair else [])


def test_an_instruction_without_room_costs_nothing(
    inputs: Path, judges: tuple[Path, Path], answering_llama: Path, tmp_path: Path
) -> None:
    """Nothing is drawn for it, so nothing is learnt of it: whatever its length."""
    shutil.copytree(answering_llama, tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    text = json.dumps(config | {"max_position_embeddings": 128})
    (tmp_path / "model" / "config.json").write_text(text)
    policy = new_policy(tmp_path / "model", ppo_settings().lora, quantization="none", seed=0)
    settings, widths = ppo_settings(), []
    environment = Environment(
        tokenizer=load_tokenizer(tmp_path / "model"),
        prompt=prompt_of(PROMPT, {"instruction"}, "prompt"),
        sampling=settings.sampling,
        judge=lambda triplets: [dict.fromkeys(COMPONENTS, 1.0) for _ in triplets],
        weights=PAPER_WEIGHTS,
    )
    texts = ["word " * 3000, *INSTRUCTIONS[:3]]
    pool = [
        Instruction(f"i{n:06}", t, 1, 0, [], "", 0.0, "", 0.0, 9, 9) for n, t in enumerate(texts)
    ]
    policy.model.get_base_model().model.register_forward_pre_hook(
        lambda *given: widths.append(given[-1]["input_ids"].shape[1]), with_kwargs=True
    )
    step = PpoTrainer(policy, environment, settings).step(pool)
    (long,) = (entry for entry in step.rollouts if entry.instruction.id == "i000000")
    assert (long.completion.tokens, long.reward) == ((), -0.6)
    assert (
        step.metrics["response_length"] == sum(len(e.completion.tokens) for e in step.rollouts) / 4
    )
    assert max(widths) < 128


def test_the_instruction_is_asked_as_stage_3_asks_it() -> None:
    prompt = prompt_of(PROMPT, {"instruction"}, "prompt")
    row = Instruction("i000000", "\n Do it. ", 1, 0, [], "", 0.0, "", 0.0, 9, 9)
    environment = Environment(None, prompt, ppo_settings().sampling, lambda _: [], PAPER_WEIGHTS)
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    tails, _ = requests_of([row], read_experiment(config).instances, prompt)
    assert [environment.tail(row)] == tails == [" Do it.\n"]


def refusal_of(inputs: Path, judges: tuple[Path, Path], backbone: Path, **changes: Any) -> str:
    """What the stage says as it ends."""
    given: dict[str, Any] = {
        "settings": ppo_settings(),
        "reward": Reward.model_validate(REWARD),
        "watch": PpoWatch.model_validate(WATCH),
        "compute": PpoMachine.model_validate(COMPUTE),
        "chat": False,
        "backbone": backbone,
        "reward_model": judges[0],
        "evaluator": judges[1],
        "judge_prompt": None,
        "judge_server": None,
        "report_to": [],
        "curves": inputs / "curves",
        "instructions": inputs / "segment",
        "prompt": inputs / "prompt.txt",
        "progress": inputs / "kept",
        "ppo": inputs / "ppo",
    }
    with pytest.raises(InputError) as refused:
        main(**given | changes)
    assert not (inputs / "ppo").exists()
    return str(refused.value)


def test_an_empty_segment_is_said(
    inputs: Path, judges: tuple[Path, Path], tiny_llama: Path, tmp_path: Path
) -> None:
    (tmp_path / "instructions.jsonl").touch()
    said = refusal_of(inputs, judges, tiny_llama, instructions=tmp_path)
    assert said == f"{tmp_path}/instructions.jsonl: holds no instruction"


def test_a_backbone_that_writes_no_instances_is_said(
    inputs: Path, judges: tuple[Path, Path], tiny_llama: Path
) -> None:
    said = refusal_of(inputs, judges, tiny_llama)
    assert said.startswith(
        f"{tiny_llama}: 0 of 5 replies to {inputs}/prompt.txt hold an instance, fewer than "
        "watch.ppo.least_parsed 0.05, so there is nothing for PPO to improve. Look at them in "
    )
    assert said.endswith(
        "/before.jsonl; a lower ppo.sampling.temperature, or another prompt, makes others"
    )
