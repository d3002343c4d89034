"""The demo's files and its tiny models, made through the command line."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import pytest

from refine_af.demo.corpus import EXAMPLES_HEADER, LIST_HEADER, draw_task
from refine_af.demo.families import TRAINING
from refine_af.jobs.command_line import canonical, run
from refine_af.records.human_tasks import read_seeds
from refine_af.settings.demo import Demo
from tiny import demo_config

ROOT = Path(__file__).resolve().parents[1]
CONFIG = demo_config()
TINY_BACKBONE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "layers": 1,
    "heads": 2,
    "key_value_heads": 1,
    "steps": 2,
    "batch_size": 2,
    "learning_rate": 0.01,
}
TINY_JUDGE = {"hidden_size": 16, "layers": 1, "steps": 2, "batch_size": 12, "learning_rate": 0.01}
TINY = Demo.model_validate(
    {
        "seed": 0,
        "seed_tasks": 50,
        "vocabulary": 400,
        "context": 64,
        "instances_per_task": 3,
        "quality_tasks": 2,
        "backbones": {
            "llama": TINY_BACKBONE | {"architecture": "llama"},
            "mistral": TINY_BACKBONE | {"architecture": "mistral"},
        },
        "reward_model": TINY_JUDGE,
        "evaluator": TINY_JUDGE,
        "parser": {
            "hidden_size": 16,
            "layers": 1,
            "heads": 2,
            "trees": 20,
            "steps": 2,
            "batch_size": 4,
            "learning_rate": 0.01,
        },
    }
)

Command = Callable[..., None]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """scripts/demo.py as a module, so that one process pays for the imports of all tests."""
    spec = importlib.util.spec_from_file_location("demo_script", ROOT / "scripts/demo.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def command(function: Command, settings: Demo = TINY, **paths: object) -> None:
    """Run a subcommand with the flags that a rule would give it."""
    flags = ["--settings", canonical(settings)]
    for name, value in paths.items():
        flags += ["--" + name.replace("_", "-"), str(value)]
    run(function, arguments=flags)


@pytest.fixture(scope="module")
def tokenizer(script: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "tokenizer"
    command(script.tokenizer, tokenizer=folder)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


# Files in upstream's forms.


def make_data(script: ModuleType, folder: Path) -> None:
    command(
        script.data,
        seeds=folder / "seeds.jsonl",
        user_instructions=folder / "users.jsonl",
        superni=folder / "superni",
    )


def test_data_is_the_same_every_time(script: ModuleType, tmp_path: Path) -> None:
    make_data(script, tmp_path / "first")
    make_data(script, tmp_path / "second")
    assert contents(tmp_path / "first") == contents(tmp_path / "second")


def test_data_has_upstreams_forms(script: ModuleType, tmp_path: Path) -> None:
    make_data(script, tmp_path)
    seeds = read_seeds(tmp_path / "seeds.jsonl")
    assert len(seeds) == len({seed.instruction for seed in seeds}) == 50
    keys = ["id", "name", "instruction", "instances", "is_classification"]
    rows = [json.loads(line) for line in (tmp_path / "seeds.jsonl").read_text().splitlines()]
    assert all(list(row) == keys for row in rows)
    assert {row["name"] for row in rows} == TRAINING.keys()
    users = [json.loads(line) for line in (tmp_path / "users.jsonl").read_text().splitlines()]
    assert len(users) == 12
    assert all(row["instances"][0].keys() == {"input", "output"} for row in users)


def test_the_held_out_tasks_are_superni_tasks(
    script: ModuleType, run_script: Any, tmp_path: Path
) -> None:
    make_data(script, tmp_path)
    collected = tmp_path / "instances.jsonl"
    section = json.dumps(CONFIG["superni"] | {"instances_per_task": 2})
    flags = ["--settings", section, "--tasks", tmp_path / "superni", "--instances", collected]
    done = run_script("superni_replies", "instances", *flags)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in collected.read_text().splitlines()]
    assert len(rows) == 24 and all(row["input"] for row in rows)
    assert Counter(row["category"] for row in rows) == {
        "list_editing": 6,
        "item_selection": 6,
        "information_extraction": 6,
        "sentence_rewriting": 6,
    }


# The tokenizer.


def test_the_tokenizer_loses_nothing_and_begins_texts(tokenizer: Path) -> None:
    from refine_af.demo.tokenizer import read_tokenizer

    loaded = read_tokenizer(tokenizer)
    assert len(loaded) == 400
    for text in ["Task 9: Sort\n\n the  list\t", "naïve – 漢字 🙂", " leading", "a\r\nb", ""]:
        ids = loaded(text)["input_ids"]
        assert ids[0] == loaded.bos_token_id and loaded.decode(ids[1:]) == text
    for special in ["<|prompter|>", "<|assistant|>", "<|endoftext|>", "</s>"]:
        assert len(loaded.encode(special, add_special_tokens=False)) == 1
    assert loaded.encode("</s>", add_special_tokens=False) == [loaded.eos_token_id]


def test_a_prompt_tokenised_in_two_parts_reads_as_one(tokenizer: Path) -> None:
    from refine_af.demo.tokenizer import read_tokenizer
    from refine_af.models.encoding import encode
    from refine_af.prompts.task_lists import task_list
    from refine_af.prompts.templates import read_prompt

    loaded, random, prompts = read_tokenizer(tokenizer), Random(4), ROOT / "demo/prompts"
    for _ in range(50):
        instruction = draw_task(random).instruction
        values = {"definition": instruction, "input": "cat, owl"}
        for name, slots in [
            ("instructions.txt", {"tasks": task_list([instruction] * 8, "Task {number}:")}),
            ("instances.txt", {"instruction": instruction}),
            ("superni.txt", values),
            ("superni_few_shot.txt", values),
        ]:
            prompt = read_prompt(prompts / name, set(slots))
            prefix = encode(loaded, prompt.prefix, start=True)
            tail = encode(loaded, prompt.tail(**slots), start=False)
            assert prefix + tail == loaded(prompt.fill(**slots))["input_ids"], name


def test_the_prompts_are_written_as_the_training_documents_are() -> None:
    prompts = ROOT / "demo/prompts"
    assert (prompts / "instructions.txt").read_text() == LIST_HEADER + "{tasks}"
    for name in ("instances.txt", "superni_few_shot.txt"):
        assert (prompts / name).read_text().startswith(EXAMPLES_HEADER + "Task: ")


def test_only_outputs_and_copies_have_full_weight(tokenizer: Path) -> None:
    from refine_af.demo.backbone import packed_documents
    from refine_af.demo.tokenizer import read_tokenizer

    loaded = read_tokenizer(tokenizer)
    ids, weights = packed_documents(Random(5), loaded, 8, 64)
    assert ids.shape == weights.shape == (8, 64)
    full = loaded.decode(ids.flatten()[weights.flatten() == 1.0])
    lines = full.splitlines()
    assert lines and all(line.startswith(("Output: ", "Again: ")) for line in lines)
    rest = loaded.decode(ids.flatten()[weights.flatten() != 1.0])
    assert "Output" not in rest and "Again" not in rest


# Training.


def test_orthogonal_matrices_have_singular_values_near_one() -> None:
    import torch

    from refine_af.demo.training import orthogonal

    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonal(torch.randn(3, 8, 20)))
    assert values.min() > 0.5 and values.max() < 1.5


@pytest.mark.parametrize("name", ["llama", "mistral"])
def test_a_backbone_is_a_checkpoint_and_the_same_every_time(
    name: str, script: ModuleType, tokenizer: Path, tmp_path: Path, capsys: Any
) -> None:
    from refine_af.models.backbones import load_backbone, load_tokenizer

    for run_name in ("first", "second"):
        command(script.backbone, name=name, tokenizer=tokenizer, backbone=tmp_path / run_name)
    assert "few-shot tasks answered exactly" in capsys.readouterr().out
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    model = load_backbone(tmp_path / "first", quantization="none")
    assert model.config.model_type == name and model.config.vocab_size == 400
    assert len(load_tokenizer(tmp_path / "first")) == 400


def test_the_judges_are_checkpoints_and_the_same_every_time(
    script: ModuleType, tokenizer: Path, tmp_path: Path
) -> None:
    from refine_af.rewards.equation_1 import COMPONENTS
    from refine_af.rewards.scorer import Scorer, Triplet
    from refine_af.settings.reward import Reward

    folders = {}
    for turn in ("first", "second"):
        folders[turn] = model, evaluator = tmp_path / turn / "model", tmp_path / turn / "evaluator"
        command(script.reward_model, tokenizer=tokenizer, reward_model=model)
        command(script.evaluator, tokenizer=tokenizer, evaluator=evaluator)
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    settings = Reward.model_validate(CONFIG["reward"])
    (scores,) = Scorer(settings, *folders["first"])([Triplet("Say it.", "", "It.")])
    assert set(scores) == set(COMPONENTS)


@pytest.mark.slow
def test_the_parser_is_one_that_the_stage_reads_and_the_same_every_time(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from refine_af.diversity.benepar_parser import BeneparParser

    for turn in ("first", "second"):
        command(script.parser, parser=tmp_path / turn)
    assert "trees of new sentences given exactly: " in capsys.readouterr().out
    assert contents(tmp_path / "first") == contents(tmp_path / "second")
    ((tree, reason),) = BeneparParser(tmp_path / "first", 100).parses(["Sort the numbers."])
    assert tree and tree.startswith("(TOP ") and reason is None


def test_wrong_arguments_are_named(script: ModuleType, tokenizer: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"demo\.backbones: no 'qwen'"):
        command(script.backbone, name="qwen", tokenizer=tokenizer, backbone=tmp_path / "b")
    with pytest.raises(SystemExit, match=r"nowhere: no tokenizer\.json"):
        command(script.evaluator, tokenizer=tmp_path / "nowhere", evaluator=tmp_path / "e")
    assert not list(tmp_path.iterdir())
