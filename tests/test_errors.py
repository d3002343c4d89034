"""A wrong config or file ends in one message that names it and the value, and in no traceback."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refine_af.errors import InputError
from refine_af.jobs.command_line import canonical
from refine_af.records.human_tasks import read_seeds
from refine_af.workflow.configuration import read_configuration, read_experiment
from tiny import ROOT, tiny_config, write_experiment
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


def checkpoint_of(*names: str) -> Change:
    """A backbone whose folder holds files of these names and no other."""

    def change(config: dict[str, Any]) -> None:
        whole = Path(config["models"]["tiny"]["checkpoint"])
        folder = Path(tempfile.mkdtemp(dir=whole.parents[1]))
        for name in names:
            shutil.copy(whole / name, folder / name)
        config["models"]["tiny"]["checkpoint"] = str(folder)

    return change


PARSED_BY = {"backend": "benepar", "parser": "p", "batch_size": 4, "batch_subwords": 100}
# kind: (change, what the message must hold)
Wrong = dict[str, tuple[Change, list[str]]]

# What the settings refuse by themselves.
WRONG_VALUES: Wrong = {
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
    "a number for text": (put("prompts.superni", 7), ["prompts.superni", "7"]),
    "a fraction for a count": (put("ppo.steps", 2.5), ["ppo.steps", "2.5"]),
    "a number for yes or no": (put("ppo.kl.adaptive", 1), ["ppo.kl.adaptive", "1"]),
    "one size, no list": (put("sizes", 4), ["sizes", "4"]),
    "not a number": (put("ppo.learning_rate", float("nan")), ["ppo.learning_rate", "nan"]),
    "infinite": (put("sft.learning_rate", float("inf")), ["sft.learning_rate", "inf"]),
    # a value out of range
    "no steps": (put("ppo.steps", 0), ["ppo.steps", "0"]),
    "negative rate": (put("ppo.learning_rate", -1e-3), ["ppo.learning_rate", "-0.001"]),
    "share above one": (
        put("watch.instances.least_parsed", 1.5),
        ["watch.instances.least_parsed", "1.5"],
    ),
    "shards of none": (put("compute.instances.shards", 0), ["compute.instances.shards", "0"]),
    "shards of another stage": (put("compute.sft.shards", 2), ["compute.sft.shards", "2"]),
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
    "more rollouts than prompts": (put("instructions.segment_size", 2), ["ppo.rollouts 4", "2"]),
    "fewest words above most": (
        put("instructions.filter.min_words", 99),
        ["instructions.filter", "min_words 99", "max_words 40"],
    ),
    "an unknown parser": (
        put("diversity", {**PARSED_BY, "backend": "stanza"}),
        ["diversity.backend", "'stanza'"],
    ),
    "a size twice": (put("sizes", [4, 4]), ["sizes", "4"]),
    "no base among the baselines": (
        put("superni.baselines", {"other": {"stop": []}}),
        ["superni.baselines", "base"],
    ),
    "a baseline named as a method": (
        put("superni.baselines.self-instruct", {"stop": []}),
        ["superni.baselines", "'self-instruct'"],
    ),
    "a copy's name": (
        put("superni.baselines.copy-input", {"stop": []}),
        ["superni.baselines.copy-input: a name that is taken", "'copy-input'"],
    ),
    "the name of the table's log": (
        put("superni.baselines.table", {"stop": []}),
        ["superni.baselines.table: a name that is taken", "'table'"],
    ),
    "no layer to adapt": (put("sft.lora.targets", []), ["  sft.lora.targets: neither", "got []"]),
    "layers of a wrong kind": (
        put("ppo.lora.targets", [3]),
        ["  ppo.lora.targets: neither", "[3]"],
    ),
    "words in a row without end": (put("overlap.ngram", 10**6), ["overlap.ngram", "1000000"]),
    "a batch without end": (put("sft.batch_size", 10**9), ["sft.batch_size", "1000000000"]),
    "a decay without end": (put("sft.weight_decay", 1e30), ["sft.weight_decay", "1e+30"]),
    "more segments than can be planned": (
        put("sizes", [10**9]),
        ["sizes: 1000000000", "instructions.segment_size"],
    ),
    "a path with a NUL": (put("data.seeds", "a\0b"), ["data.seeds", "NUL"]),
    "unpinned hub checkpoint": (
        put("models.tiny.checkpoint", "meta-llama/Llama-2-7b-hf@main"),
        ["models.tiny.checkpoint", "meta-llama/Llama-2-7b-hf@main"],
    ),
}

# What shows beside the other settings, or in a checkpoint or file: not there, or something else.
WRONG_FILES: Wrong = {
    "seeds without instances": (
        put("sft.include_seeds", True),
        ["data.seeds", "seeds.jsonl, line 1", "no 'instances' in seed 'seed_0'"],
    ),
    "a checkpoint that is a file": (
        put("models.tiny.checkpoint", "README.md"),
        ["models.tiny.checkpoint", "README.md", "this is a file"],
    ),
    "a checkpoint without config.json": (
        put("reward.evaluator", "resources"),
        ["reward.evaluator", "resources", "config.json"],
    ),
    "a prompt without its slot": (
        put("prompts.instances", "README.md"),
        ["prompts.instances", "README.md", "{"],
    ),
    "encodings that are no JSON": (
        put("prompts.sft", "README.md"),
        ["prompts.sft", "README.md", "not JSON"],
    ),
    "seeds that are a folder": (put("data.seeds", "resources"), ["data.seeds", "resources"]),
    "missing checkpoint folder": (
        put("models.tiny.checkpoint", "no/such/model"),
        ["models.tiny.checkpoint", "no/such/model"],
    ),
    "a hub checkpoint without its commit": (
        put("models.tiny.checkpoint", "meta-llama/Llama-2-7b-hf"),
        ["models.tiny.checkpoint", "add @commit, as meta-llama/Llama-2-7b-hf@", "line "],
    ),
    "a checkpoint without a tokenizer": (
        checkpoint_of("config.json", "model.safetensors"),
        ["models.tiny.checkpoint", "holds no tokenizer (one of ", "tokenizer.json", "line "],
    ),
    "a checkpoint without weights": (
        checkpoint_of("config.json", "tokenizer.json"),
        ["models.tiny.checkpoint", "no weights", ".safetensors", "line "],
    ),
    "missing reward model": (put("reward.model", "gone"), ["reward.model", "gone"]),
    "a scorer that is nowhere": (
        put("reward.scorer", "my_reward.Brief"),
        ["reward.scorer", "my_reward.Brief", "no such module"],
    ),
    "weights of another scorer": (
        put("reward.weights.brief", 1.0),
        ["reward", "weights are for brief", "gives coherence, naturalness"],
    ),
    "no parser there": (
        put("diversity", {**PARSED_BY, "parser": "nowhere"}),
        ["diversity.parser: nowhere: there is nothing at", "no rule makes it"],
    ),
    "a parser of another kind": (
        put("diversity", {**PARSED_BY, "parser": "demo"}),
        ["diversity.parser: ", "demo: no config.json, so this is not a parser of benepar"],
    ),
    "missing seeds": (put("data.seeds", "none.jsonl"), ["data.seeds", "none.jsonl"]),
    "missing prompt": (put("prompts.instances", "none.txt"), ["prompts.instances", "none.txt"]),
    "a hub checkpoint without fetch": (
        put("models.tiny.checkpoint", "meta-llama/Llama-2-7b-hf@01c7f73"),
        ["models.tiny.checkpoint", "meta-llama--Llama-2-7b-hf--01c7f73", "fetch is null here"],
    ),
}


def assert_refused(output: str, status: int, wanted: list[str]) -> None:
    assert status != 0, output
    assert "Traceback" not in output
    assert '  File "' not in output
    for text in wanted:
        assert text in output, output


@pytest.mark.parametrize("name", WRONG_VALUES)
def test_a_wrong_value_is_named(world: Path, tmp_path: Path, name: str) -> None:
    change, wanted = WRONG_VALUES[name]
    config = tiny_config(world)
    change(config)
    folder = write_experiment(tmp_path / "experiment", config)
    with pytest.raises(InputError) as refused:
        read_experiment(read_configuration(folder / "config.yaml"))
    for text in ["config.yaml", *wanted]:
        assert text in str(refused.value)


@pytest.mark.parametrize("name", ["unknown section", "missing key", "a size twice", *WRONG_FILES])
def test_a_wrong_config_is_refused_before_any_job(world: Path, tmp_path: Path, name: str) -> None:
    """All that settings refuse ends a run in one way: some of it stands for the rest."""
    change, wanted = (WRONG_VALUES | WRONG_FILES)[name]
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
        (b"", ["line 2", "an empty line"]),
    ],
)
def test_a_broken_seed_is_named(
    world: Path, tmp_path: Path, line: bytes, wanted: list[str]
) -> None:
    seeds = with_second_line(world, tmp_path, line)
    with pytest.raises(InputError) as refused:
        read_seeds(seeds)
    for text in [str(seeds), *wanted]:
        assert text in str(refused.value)


def with_second_line(world: Path, folder: Path, line: bytes) -> Path:
    """Three seeds, the second of which is `line`."""
    seeds = folder / "seeds.jsonl"
    good = (world / "seeds.jsonl").read_bytes().splitlines(keepends=True)
    seeds.write_bytes(good[0] + line + b"\n" + good[2])
    return seeds


def test_a_broken_seed_is_refused_before_any_job(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world)
    seeds = with_second_line(world, tmp_path, b'{"id": "a", "instruction": "Sort."')
    config["data"]["seeds"] = str(seeds)
    folder = write_experiment(tmp_path / "experiment", config)
    done = snakemake("--directory", folder, "--cores", 1)
    assert_refused(done.stdout, done.returncode, [str(seeds), "line 2", "not JSON"])
    assert not (folder / "results").exists()


def test_an_empty_mirror_is_named_at_once(tmp_path: Path) -> None:
    done = snakemake("-n", "--config", f"fetch={{mirror: {tmp_path}}}")
    wanted = [f"config.yaml, fetch.mirror: {tmp_path}: an empty folder"]
    assert_refused(done.stdout, done.returncode, [*wanted, "(--config)"])


def test_results_that_are_no_folder(world: Path, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path / "experiment", tiny_config(world))
    (folder / "results").write_text("in the way")
    done = snakemake("--directory", folder, "--cores", 1)
    assert_refused(done.stdout, done.returncode, [str(folder / "results"), "not a folder"])


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("models: [unclosed\nsizes: 3\n", ["config.yaml, line 2"]),
        ("sizes: [1]\nmethods: []\nsizes: [2]\n", ["config.yaml, line 3", "'sizes'", "line 1"]),
        ("x: 1\nmethods: !!set {refine-af}\n", ["config.yaml, line 2", "'!!set'"]),
    ],
)
def test_yaml_that_cannot_be_read(tmp_path: Path, text: str, wanted: list[str]) -> None:
    (tmp_path / "config.yaml").write_text(text)
    done = snakemake("--directory", tmp_path, "--cores", 1)
    assert_refused(done.stdout, done.returncode, wanted)


def test_a_folder_without_a_config(tmp_path: Path) -> None:
    done = snakemake("--directory", tmp_path, "--cores", 1)
    assert_refused(done.stdout, done.returncode, [str(tmp_path / "config.yaml"), "no such file"])


def segment_of(folder: Path, line: str) -> Path:
    """A pool segment whose second instruction is `line`."""
    folder.mkdir()
    good = {
        "id": "i000000",
        "instruction": "Sort.",
        "round": 0,
        "request": 0,
        "demonstrations": [],
        "nearest": "seed_0",
        "rouge_l": 0.1,
        "nearest_seed": "seed_0",
        "seed_rouge_l": 0.1,
        "prompt_tokens": 9,
        "reply_tokens": 9,
    }
    (folder / "instructions.jsonl").write_text(json.dumps(good) + "\n" + line + "\n")
    return folder


def instances_of(folder: Path, line: str) -> Path:
    """A segment of instances that holds `line` alone."""
    folder.mkdir()
    (folder / "instances.jsonl").write_text(line + "\n")
    return folder


def text_in(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def task_in(world: Path, folder: Path, change: Change) -> Path:
    """The tiny tasks, the first of them changed."""
    shutil.copytree(world / "tasks", folder)
    path = folder / "task0_tiny.json"
    task = json.loads(path.read_text())
    change(task)
    path.write_text(json.dumps(task))
    return folder


def without_weights(world: Path, folder: Path) -> Path:
    shutil.copytree(world / "llama", folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    return folder


Flags = dict[str, object]


def sft(world: Path, out: Path, **changes: object) -> tuple[str, Flags]:
    config = read_experiment(tiny_config(world))
    row = '{"id": "i000000-0", "instruction_id": "i000000", "method": "self-instruct", '
    row += '"instruction": "Sort.", "input": "", "output": "One.", "adapter_sha256": "", '
    row += '"reward": 0.1, "components": {"reward_model": 1.5}}'
    given: Flags = {
        "settings": canonical(config.sft),
        "compute": canonical(config.compute.sft),
        "size": 4,
        "subsets": canonical(config.subsets),
        "encodings": ROOT / "demo" / "prompts" / "sft.json",
        "chat": False,
        "backbone": world / "llama",
        "instances": instances_of(out / "segment", row) if "instances" not in changes else None,
        "overlap": [],
        "seeds": [],
        "report-to": [],
        "curves": out / "curves",
        "progress": out / "kept",
        "adapter": out / "made",
    }
    return "sft", given | changes


def tasks(world: Path, out: Path, folder: Path) -> tuple[str, Flags]:
    config = read_experiment(tiny_config(world))
    flags: Flags = {"settings": canonical(config.superni), "tasks": folder}
    return "superni_replies instances", flags | {"instances": out / "made"}


def pool(world: Path, out: Path, folder: Path) -> tuple[str, Flags]:
    return "instructions merge", {"segments": folder, "instructions": out / "made"}


def scores(out: Path, predictions: str) -> tuple[str, Flags]:
    row = '{"id": "a", "task": "t", "category": "c", "definition": "d", "input": "", '
    instances = text_in(out / "instances.jsonl", row + '"references": ["x"]}\n')
    given = text_in(out / "predictions.jsonl", predictions)
    return "scores", {"instances": instances, "predictions": given, "scores": out / "made"}


BROKEN_FILES: dict[str, Callable[[Path, Path], tuple[tuple[str, Flags], list[str]]]] = {
    "pool: a cut line": lambda world, out: (
        pool(world, out, segment_of(out / "pool", '{"id": "i0000')),
        ["instructions.jsonl, line 2", "not JSON", "i0000"],
    ),
    "pool: an id twice": lambda world, out: (
        pool(
            world,
            out,
            segment_of(
                out / "pool",
                '{"id": "i000000", "instruction": "x", "round": 0, "request": 0, '
                '"demonstrations": [], "nearest": "", "rouge_l": 0, "nearest_seed": "", '
                '"seed_rouge_l": 0, "prompt_tokens": 9, "reply_tokens": 9}',
            ),
        ),
        ["instructions.jsonl, line 2", "i000000"],
    ),
    "instances: a number for the output": lambda world, out: (
        sft(
            world,
            out,
            instances=instances_of(
                out / "wrong",
                '{"id": "i000000-0", "instruction_id": "i000000", "method": "m", '
                '"instruction": "Sort.", "input": "", "output": 7, "adapter_sha256": "", '
                '"reward": 0.1, "components": {"reward_model": 1.5}}',
            ),
        ),
        ["instances.jsonl, line 1", "'output'", "7"],
    ),
    "instances: none": lambda world, out: (
        sft(world, out, instances=instances_of(out / "empty", "")),
        ["instances.jsonl, line 1", "an empty line"],
    ),
    "encodings: not JSON": lambda world, out: (
        sft(world, out, encodings=text_in(out / "sft.json", "{")),
        ["sft.json", "not JSON"],
    ),
    "encodings: a missing list": lambda world, out: (
        sft(world, out, encodings=text_in(out / "sft.json", '{"with_input": []}')),
        ["sft.json", "with"],
    ),
    "encodings: an unknown slot": lambda world, out: (
        sft(
            world,
            out,
            encodings=text_in(
                out / "sft.json",
                '{"with_input": [{"prompt": "{task}{instruction}{input}", "completion": '
                '"{output}"}], "without_input": [{"prompt": "{instruction}", "completion": '
                '"{output}"}]}',
            ),
        ),
        ["sft.json", "{task}"],
    ),
    "weights: cut short": lambda world, out: (
        sft(world, out, backbone=without_weights(world, out / "llama")),
        [str(Path("llama")), "no language model"],
    ),
    "task: no definition": lambda world, out: (
        tasks(world, out, task_in(world, out / "tasks", lambda task: task.pop("Definition"))),
        ["task0_tiny.json", "Definition"],
    ),
    "task: an answer that is no text": lambda world, out: (
        tasks(
            world,
            out,
            task_in(world, out / "tasks", lambda task: task["Instances"][1].update(output=[3])),
        ),
        ["task0_tiny.json", "output", "3"],
    ),
    "task: a category that is no list": lambda world, out: (
        tasks(
            world, out, task_in(world, out / "tasks", lambda task: task.update(Categories="One"))
        ),
        ["task0_tiny.json", "Categories", "'One'"],
    ),
    "predictions: an unknown id": lambda world, out: (
        scores(out, '{"id": "b", "prediction": "x"}\n'),
        ["predictions.jsonl, line 1", "'b'"],
    ),
    "predictions: an id twice": lambda world, out: (
        scores(out, '{"id": "a", "prediction": "x"}\n{"id": "a", "prediction": "y"}\n'),
        ["predictions.jsonl, line 2", "'a'"],
    ),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_named(world: Path, tmp_path: Path, run_script: Any, name: str) -> None:
    (command, flags), wanted = BROKEN_FILES[name](world, tmp_path)
    script, *subcommand = command.split()
    given: list[object] = []
    for flag, value in flags.items():
        given += [f"--{flag}", *(value if isinstance(value, list) else [value])]
    done = run_script(script, *subcommand, *given)
    assert_refused(done.stdout + done.stderr, done.returncode, wanted)
    assert not (tmp_path / "made").exists()
