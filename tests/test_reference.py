"""docs/configuration.md and config.schema.json tell what the settings are."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from refine_af.settings.experiment import Experiment
from refine_af.workflow.configuration import Configuration
from refine_af.workflow.faults import key_of
from refine_af.workflow.reference import page, schema
from tiny import ROOT

CONFIGS = {"config.yaml": "", "demo/config.yaml": "../"}
EXAMPLES = sorted(path.parent.name for path in ROOT.glob("examples/*/config.yaml"))
CONFIGS |= {f"examples/{name}/config.yaml": "../../" for name in EXAMPLES}
SCHEMA = Draft202012Validator(schema())


def faults(config: object) -> list[str]:
    return [fault.json_path for fault in SCHEMA.iter_errors(config)]


def row_of(key: str) -> list[str]:
    """The cells of a key's row on the page."""
    text = page(yaml.safe_load((ROOT / "config.yaml").read_text()))
    (line,) = re.findall(rf"^\| `{re.escape(key)}` \| (.*) \|$", text, re.M)
    return [cell.replace("\\|", "|") for cell in re.split(r" (?<!\\)\| ", line)]


def test_the_files_are_what_would_be_generated() -> None:
    generated = runpy.run_path(str(ROOT / "docs" / "make_configuration.py"))["generated"]()
    assert {path.relative_to(ROOT).as_posix() for path in generated} == {
        "docs/configuration.md",
        "config.schema.json",
    }
    for path, text in generated.items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: `make docs`"


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_names_its_schema_and_keeps_to_it(name: str) -> None:
    path = ROOT / name
    first = path.read_text().splitlines()[0]
    assert first == f"# yaml-language-server: $schema={CONFIGS[name]}config.schema.json"
    assert json.loads((path.parent / f"{CONFIGS[name]}config.schema.json").read_text()) == schema()
    assert faults(yaml.safe_load(path.read_text())) == []


def test_an_experiment_may_say_only_what_differs() -> None:
    assert faults({}) == []
    assert faults({"extends": "../config.yaml", "ppo": {"steps": 3}, "demo": None}) == []
    assert faults({"reward": {"weights": {"brief": 1.0}}}) == []


@pytest.mark.parametrize(
    ("config", "place"),
    [
        ({"extends": 3}, "$.extends"),
        ({"ppoo": {}}, "$"),
        ({"ppo": {"stepps": 3}}, "$.ppo"),
        ({"ppo": {"steps": 0}}, "$.ppo.steps"),
        ({"ppo": {"learning_rate": 0}}, "$.ppo.learning_rate"),
        ({"ppo": {"lora": {"dropout": 1}}}, "$.ppo.lora.dropout"),
        ({"ppo": {"lora": {"dropout": -0.1}}}, "$.ppo.lora.dropout"),
        ({"sft": {"schedule": "cosin"}}, "$.sft.schedule"),
        ({"instructions": {"novelty": {"threshold": 0.7}}}, "$.instructions.novelty.threshold"),
        ({"instructions": {"novelty": {"threshold": "1.2"}}}, "$.instructions.novelty.threshold"),
        ({"fetch": {"superni_tasks": []}}, "$.fetch"),
        ({"reward": {"weights": {"brief": "much"}}}, "$.reward.weights.brief"),
    ],
)
def test_an_editor_sees_what_the_reader_would_refuse(config: dict[str, Any], place: str) -> None:
    assert faults(config) == [place]


@pytest.mark.parametrize(
    ("key", "kind", "shipped"),
    [
        ("sizes", "list of at least one, each whole number, ≥ 1", "`[5000, 10000, 15000]`"),
        ("ppo.learning_rate", "number, > 0", "`2e-5`"),
        ("ppo.kl.adaptive", "`true` or `false`", "`true`"),
        ("ppo.lora.dropout", "number, ≥ 0, < 1", "`0.0`"),
        ("compute.sft.gpus", "whole number, ≥ 1, ≤ 64", "`1`"),
        ("overlap.rouge_l", r"text like `^(0(\.[0-9]+)?|1(\.0+)?)$`", '`"0.7"`'),
        ("models", "sections by name", "`llama-2-7b`, `llama-2-13b`, `mistral-7b`"),
        ("superni.baselines.<name>.stop", "list, each text", "`base`: `[]`"),
        ("ratings.page.size", "whole number, ≥ 1 or `null`", "`null`"),
        ("demo", "section or `null`", "`null`"),
        ("demo.seed", "whole number, ≥ 0, < 4,294,967,296", ""),
    ],
)
def test_a_row_tells_kind_and_value(key: str, kind: str, shipped: str) -> None:
    assert row_of(key)[:2] == [kind, shipped]


def test_each_component_has_its_weight_on_the_page() -> None:
    kind, shipped, _ = row_of("reward.weights.<name>")
    assert kind == "number"
    assert shipped.split("<br>")[0] == "`reward_model`: `0.0078`"


def test_every_key_of_the_papers_config_is_on_the_page() -> None:
    text = page({})

    def keys(node: Any, path: str) -> list[str]:
        named = node.items() if isinstance(node, dict) else ()
        return [path, *(key for name, below in named for key in keys(below, f"{path}.{name}"))]

    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    own = re.compile(
        r"^(models|fetch\.(?:weights_sha256|parsers)|superni\.baselines|release\.licenses)\."
        r"|^(reward\.weights|forecast\.machines)\."
    )
    for section, node in config.items():
        for key in keys(node, section):
            if not own.match(key):
                assert f"`{key}`" in text or f"## {key}\n" in text, key


def test_a_long_value_is_cut_short() -> None:
    text = page({"data": {"seeds": "x" * 61, "user_instructions": "y" * 60, "superni": "z"}})
    assert f"`{'x' * 59}…`" in text and f"`{'y' * 60}`" in text


def test_the_generator_is_what_make_docs_runs() -> None:
    makefile = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^docs:.*## .*\n\t(.*)$", makefile, re.M)
    assert recipe.endswith(" docs/make_configuration.py")
    assert Path(ROOT, "docs", "make_configuration.py").is_file()


PAPER: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
STOP: dict[str, list[str]] = {"stop": []}
SERVER: dict[str, object] = {"url": "http://h/v1", "model": "m", "key_variable": None}
SERVER |= {"concurrency": 1, "timeout_s": 1.0, "attempts": 1, "patience_s": 1.0}
TINY = dict.fromkeys(("hidden_size", "intermediate_size", "layers", "heads"), 1)
TINY |= {"key_value_heads": 1, "steps": 1, "batch_size": 1}
# By the key of a section whose names are the user's, what may stand under one.
NAMED: dict[str, object] = {
    "models": {"checkpoint": "x"},
    "servers": SERVER,
    "superni.baselines": STOP,
    "prompts.baselines": "x",
    "ratings.files": ["x"],
    "demo.backbones": TINY | {"architecture": "llama", "learning_rate": 1.0},
    "reward.weights": 1.0,
    "fetch.weights_sha256": "0" * 64,
    "fetch.parsers": {"url": "https://h/f", "sha256": "0" * 64},
    "release.licenses": "apache-2.0",
    "forecast.machines": dict.fromkeys(
        ("memory_gb", "bandwidth_gb_s", "tflops_16", "tflops_32"), 1
    ),
}
# The keys whose values are names.
NAMES = ["reward.scorer", "fetch.instance_prompt_constant"]
TAKEN = ["base", "table", "empty", "refine-af", "junk", "true", "constant", "self-instruct"]
NEAR = [
    *("A", "a_b", "a-b", "a.b", ".a", "-a", "_a", "1a", "a b", "a/b", "a\u0301", "ä", "a\0", ""),
    *("a" * 100, "a" * 101, "a/b", "A.b/C", "a.B", "a..b", "a.ä", "..", "a\u2028", "a\r", "١"),
]


def put(key: str, value: object) -> dict[str, Any]:
    """What states a value at a key, and nothing else."""
    for part in reversed(key.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def refused(config: dict[str, Any], key: str) -> bool:
    """Whether the reader of the paper's config.yaml with `config` finds a fault at a key."""
    whole = Configuration(config, {}).above(Configuration(PAPER, {}), {tuple(key.split("."))})
    try:
        Experiment.model_validate(whole.values)
    except ValidationError as error:
        return any(
            key_of(fault)[: key.count(".") + 1] == tuple(key.split(".")) for fault in error.errors()
        )
    return False


def beside(key: str) -> dict[str, Any]:
    """What a section needs whatever other names it holds."""
    known: dict[str, dict[str, Any]] = {
        "superni.baselines": {"base": STOP},
        "reward.weights": {"constant": 0.0, "unparseable": 0.0},
    }
    return known.get(key, {})


@pytest.mark.parametrize("key", [*NAMED, *NAMES])
@given(name=st.sampled_from(NEAR + TAKEN) | st.text(max_size=4) | st.text("aA0._-/", max_size=5))
def test_an_editor_takes_the_names_that_the_reader_takes(key: str, name: str) -> None:
    # Python's `$`, which this checker of schemas uses, overlooks a last line end; ECMA's does not.
    assume(not name.endswith("\n"))
    if key == "reward.weights" and name in beside(key):
        return
    told = beside(key) | {name: NAMED[key]} if key in NAMED else name
    config = put(key, told)
    assert bool(faults(config)) == refused(config, key)


def test_every_section_of_names_is_among_those() -> None:
    whole = schema()

    def sections(node: Any, key: str) -> list[str]:
        if "patternProperties" in node or "propertyNames" in node:
            return [key]
        below = node.get("properties", {}).items()
        found = [at for name, each in below for at in sections(each, f"{key}.{name}".lstrip("."))]
        for part in [node, *node.get("anyOf", [])]:
            if "$ref" in part:
                found += sections(whole["$defs"][part["$ref"].rpartition("/")[2]], key)
        return found

    assert sorted(sections(whole, "")) == sorted(NAMED)
