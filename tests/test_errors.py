"""A wrong config or file ends in one message that names it and the value, and in no traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tiny import tiny_config, write_experiment
from workflow import snakemake

Change = Callable[[dict[str, Any]], object]


def put(path: str, value: object) -> Change:
    """Set the key at a dotted path."""

    def change(config: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            config = config[name]
        config[last] = value

    return change


def drop(path: str) -> Change:
    def change(config: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for name in parents:
            config = config[name]
        del config[last]

    return change


# kind: (change, what the message must hold)
WRONG_CONFIG: dict[str, tuple[Change, list[str]]] = {
    # an unknown key
    "unknown section": (put("sftt", {}), ["sftt", "{}"]),
    "unknown key": (put("ppo.learning_rat", 1.0), ["ppo.learning_rat", "1.0"]),
    "unknown nested key": (put("ppo.kl.beta", 0.2), ["ppo.kl.beta", "0.2"]),
    # a missing key
    "missing section": (drop("instances"), ["instances", "required"]),
    "missing key": (drop("sft.epochs"), ["sft.epochs", "required"]),
    "missing stage in compute": (drop("compute.ppo"), ["compute", "ppo"]),
    # a wrong type
    "text for a number": (put("sft.epochs", "three"), ["sft.epochs", "'three'"]),
    "a number for text": (put("superni.prompt", 7), ["superni.prompt", "7"]),
    "a fraction for a count": (put("ppo.steps", 2.5), ["ppo.steps", "2.5"]),
    "a number for yes or no": (put("ppo.kl.adaptive", 1), ["ppo.kl.adaptive", "1"]),
    "one size, no list": (put("sizes", 4), ["sizes", "4"]),
    "not a number": (put("ppo.learning_rate", float("nan")), ["ppo.learning_rate", "nan"]),
    "infinite": (put("sft.learning_rate", float("inf")), ["sft.learning_rate", "inf"]),
    # a value out of range
    "no steps": (put("ppo.steps", 0), ["ppo.steps", "0"]),
    "negative rate": (put("ppo.learning_rate", -1e-3), ["ppo.learning_rate", "-0.001"]),
    "share above one": (put("instances.least_parsed", 1.5), ["instances.least_parsed", "1.5"]),
    "top_p of zero": (put("instances.sampling.top_p", 0), ["instances.sampling.top_p", "0"]),
    "size of zero": (put("sizes", [0, 4]), ["sizes.0", "0"]),
    "no model": (put("models", {}), ["models", "{}"]),
    "threshold above one": (
        put("instructions.novelty.threshold", "1.2"),
        ["instructions.novelty.threshold", "'1.2'"],
    ),
    # a value that is not among the known ones
    "unknown method": (put("methods", ["evol-instruct"]), ["methods.0", "'evol-instruct'"]),
    "unknown schedule": (put("sft.schedule", "cosin"), ["sft.schedule", "'cosin'"]),
    "unknown quantization": (put("ppo.quantization", "int3"), ["ppo.quantization", "'int3'"]),
    # a name that cannot be part of a path
    "model name with a slash": (put("models", {"a/b": {"checkpoint": "x"}}), ["models", "a/b"]),
    # an impossible combination
    "rollouts that fill no batch": (put("ppo.rollouts", 6), ["ppo", "rollouts 6", "4"]),
    "more rollouts than prompts": (put("instructions.segment", 2), ["ppo.rollouts 4", "2"]),
    "fewest words above most": (
        put("instructions.filter.min_words", 99),
        ["instructions.filter", "min_words 99", "max_words 40"],
    ),
    "dropout in PPO": (put("ppo.lora.dropout", 0.1), ["ppo", "dropout 0.1"]),
    "a size twice": (put("sizes", [4, 4]), ["sizes", "4"]),
    "no base among the baselines": (
        put("superni.baselines", {"other": {"prompt": "demo/prompts/superni.txt", "stop": []}}),
        ["superni.baselines", "base"],
    ),
    # a checkpoint or file that is not there
    "missing checkpoint folder": (
        put("models.tiny.checkpoint", "no/such/model"),
        ["models.tiny.checkpoint", "no/such/model"],
    ),
    "unpinned hub checkpoint": (
        put("models.tiny.checkpoint", "meta-llama/Llama-2-7b-hf@main"),
        ["models.tiny.checkpoint", "meta-llama/Llama-2-7b-hf@main"],
    ),
    "missing reward model": (put("ppo.reward.model", "gone"), ["ppo.reward.model", "gone"]),
    "missing seeds": (put("data.seeds", "none.jsonl"), ["data.seeds", "none.jsonl"]),
    "missing prompt": (put("prompts.instances", "none.txt"), ["prompts.instances", "none.txt"]),
    "a hub checkpoint without fetch": (
        put("models.tiny.checkpoint", "meta-llama/Llama-2-7b-hf@01c7f73"),
        ["models.tiny.checkpoint", "meta-llama--Llama-2-7b-hf--01c7f73"],
    ),
}


def assert_refused(output: str, status: int, wanted: list[str]) -> None:
    assert status != 0, output
    assert "Traceback" not in output
    for text in wanted:
        assert text in output, output


@pytest.mark.parametrize("name", WRONG_CONFIG)
def test_a_wrong_config_is_refused_before_any_job(world: Path, tmp_path: Path, name: str) -> None:
    change, wanted = WRONG_CONFIG[name]
    config = tiny_config(world)
    change(config)
    folder = write_experiment(tmp_path / "experiment", config)
    done = snakemake("--directory", folder, "--cores", 1)
    assert_refused(done.stdout, done.returncode, ["config.yaml", *wanted])
    assert not (folder / "results").exists()


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        (b'{"id": "a", "instruction": "Sort."', ["line 2", "not JSON"]),
        (b'["a"]', ["line 2", "not a JSON object", "['a']"]),
        (b'{"id": "a"}', ["line 2", "'instruction'", "'id': 'a'"]),
        (b'{"id": "a", "instruction": 5}', ["line 2", "'instruction'", "5"]),
        (b'{"id": "a", "instruction": "  "}', ["line 2", "empty instruction", "'a'"]),
        (b'{"id": "seed_0", "instruction": "Sort."}', ["line 2", "'seed_0'", "line 1"]),
        (b'{"id": "a", "instruction": "\xff"}', ["line 2", "not UTF-8", "\\xff"]),
        (b"", ["line 2", "not JSON"]),
    ],
)
def test_a_broken_seed_is_refused_before_any_job(
    world: Path, tmp_path: Path, line: bytes, wanted: list[str]
) -> None:
    seeds = tmp_path / "seeds.jsonl"
    good = (world / "seeds.jsonl").read_bytes().splitlines(keepends=True)
    seeds.write_bytes(good[0] + line + b"\n" + good[2])
    config = tiny_config(world)
    config["data"]["seeds"] = str(seeds)
    folder = write_experiment(tmp_path / "experiment", config)
    done = snakemake("--directory", folder, "--cores", 1)
    assert_refused(done.stdout, done.returncode, [str(seeds), *wanted])
    assert not (folder / "results").exists()


def test_results_that_are_no_folder(world: Path, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment", tiny_config(world))
    (folder / "results").write_text("in the way")
    done = snakemake("--directory", folder, "--cores", 1)
    assert_refused(done.stdout, done.returncode, [str(folder / "results"), "not a folder"])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("models: [unclosed\nsizes: 3\n", ["config.yaml, line 2"]),
        ("sizes: [1]\nmodels:\n\tone: 1\n", ["config.yaml, line 3", "\\t"]),
        ("sizes: [1]\nmethods: []\nsizes: [2]\n", ["config.yaml, line 3", "'sizes'", "line 1"]),
        ("ppo: {steps: 1, steps: 2}\n", ["config.yaml, line 1", "'steps'"]),
        ("just words\n", ["config.yaml", "no keys"]),
        ("", ["config.yaml", "no keys"]),
    ],
)
def test_yaml_that_cannot_be_read(tmp_path: Path, text: str, wanted: list[str]) -> None:
    (tmp_path / "config.yaml").write_text(text)
    done = snakemake("--directory", tmp_path, "--cores", 1)
    assert_refused(done.stdout, done.returncode, wanted)


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    done = snakemake("--directory", tmp_path, "--cores", 1)
    assert_refused(done.stdout, done.returncode, [str(tmp_path / "config.yaml"), "no such file"])
