"""config.yaml with what it extends: how values meet, and that a fault names its file and line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from refine_af.errors import InputError
from refine_af.workflow.configuration import (
    Configuration,
    read_configuration,
    read_experiment,
    resolved,
)
from refine_af.workflow.door import check_experiment
from tiny import ROOT


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


BASE = """
sft:
  epochs: 3
  lora: {r: 16, alpha: 32}
sizes: [5000, 10000]
models:
  large: {checkpoint: large}
fetch:
  timeout_s: 60
"""


def test_mappings_merge_and_all_else_replaces(tmp_path: Path) -> None:
    written(tmp_path, "config.yaml", BASE)
    text = "extends: ../config.yaml\nsft: {epochs: 1, lora: {r: 8}}\nsizes: [10]\nfetch: null\n"
    found = read_configuration(written(tmp_path, "mine/config.yaml", text)).values
    assert found == {
        "sft": {"epochs": 1, "lora": {"r": 8, "alpha": 32}},
        "sizes": [10],
        "models": {"large": {"checkpoint": "large"}},
        "fetch": None,
    }


def test_models_are_those_of_the_experiment_alone(tmp_path: Path) -> None:
    written(tmp_path, "config.yaml", BASE)
    text = "extends: ../config.yaml\nmodels:\n  small: {checkpoint: small}\n"
    found = read_configuration(written(tmp_path, "mine/config.yaml", text))
    assert found.values["models"] == {"small": {"checkpoint": "small"}}
    assert ("models", "large") not in found.places


def test_what_is_extended_may_extend_another(tmp_path: Path) -> None:
    written(tmp_path, "config.yaml", BASE)
    written(tmp_path, "demo/config.yaml", "extends: ..\nsft: {epochs: 2}\n")
    path = written(tmp_path, "mine/config.yaml", "extends: ../demo/config.yaml\nsizes: [1]\n")
    found = read_configuration(path)
    assert (found.values["sft"]["epochs"], found.values["sizes"]) == (2, [1])
    assert "extends" not in found.values
    assert found.place(("sft", "epochs")) == f"{tmp_path}/mine/../demo/config.yaml, line 2"
    assert found.place(("sft", "lora", "dropout")).endswith("/config.yaml, line 4")


def test_the_command_line_stands_above_all_files(tmp_path: Path) -> None:
    path = written(tmp_path, "config.yaml", BASE)
    found = read_configuration(path, {"sft": {"epochs": 9}, "models": {"second": {}}})
    assert found.values["sft"] == {"epochs": 9, "lora": {"r": 16, "alpha": 32}}
    assert list(found.values["models"]) == ["large", "second"], "as Snakemake merges"
    assert found.place(("sft", "epochs")) == "--config or --configfile"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "sizes: [1]\nextends: 3\n",
            "mine/config.yaml, line 2: extends: not the path of a file: 3",
        ),
        ("extends: ../none.yaml\n", "line 1: extends: '../none.yaml': there is no file"),
        ("extends: config.yaml\n", "line 1: extends: 'config.yaml': that file extends this one"),
        ("extends: ../bad.yaml\n", "bad.yaml, line 2: the key 'sft' stands on line 1 too"),
        ("extends: ../list.yaml\n", "list.yaml: holds no keys"),
        ("1: 2\n", "mine/config.yaml, line 1: the key 1 is read as int, no text: put it in quotes"),
    ],
)
def test_a_fault_names_file_and_line(text: str, fault: str, tmp_path: Path) -> None:
    written(tmp_path, "bad.yaml", "sft: {}\nsft: {}\n")
    written(tmp_path, "list.yaml", "- 1\n")
    with pytest.raises(InputError, match=re.escape(fault)):
        read_configuration(written(tmp_path, "mine/config.yaml", text))


def test_two_files_that_extend_each_other_are_named(tmp_path: Path) -> None:
    written(tmp_path, "one.yaml", "extends: two.yaml\n")
    written(tmp_path, "two.yaml", "extends: one.yaml\n")
    with pytest.raises(InputError, match=r"two\.yaml, line 1: extends: .*extends this one"):
        read_configuration(tmp_path / "one.yaml")


def test_a_wrong_value_is_named_with_the_file_and_line_that_it_stands_in(tmp_path: Path) -> None:
    base = tmp_path / "config.yaml"
    base.write_text((ROOT / "config.yaml").read_text().replace("  epochs: 3 ", "  epochs: 0 "))
    line = next(n for n, text in enumerate(base.read_text().split("\n"), 1) if "epochs: 0" in text)
    path = written(tmp_path, "mine/config.yaml", "extends: ..\n\nsft:\n  packing: 7\n  new: 1\n")
    with pytest.raises(InputError) as caught:
        read_experiment(read_configuration(path))
    told = str(caught.value)
    assert re.search(rf"sft\.epochs: .*got 0 \(.*mine/\.\./config\.yaml, line {line}\)", told)
    assert re.search(r"sft\.packing: .*got 7 \(.*mine/config\.yaml, line 4\)", told)
    assert re.search(r"sft\.new: .*\(.*mine/config\.yaml, line 5\)", told)


def test_the_resolved_whole_is_the_same_experiment(tmp_path: Path) -> None:
    for folder in (ROOT, ROOT / "demo"):
        experiment = read_experiment(read_configuration(folder / "config.yaml"))
        path = written(tmp_path, "resolved.yaml", resolved(experiment))
        assert read_experiment(read_configuration(path)) == experiment


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)
mappings = st.dictionaries(st.text(max_size=2), values, max_size=4)


@given(below=mappings, over=mappings)
def test_merging_keeps_all_that_is_said_above(below: dict[str, Any], over: dict[str, Any]) -> None:
    found = Configuration(over, {}).above(Configuration(below, {}), set()).values
    again = Configuration(over, {}).above(Configuration(found, {}), set()).values
    assert again == found
    assert found.keys() == below.keys() | over.keys()
    for name, value in over.items():
        assert found[name] == value or isinstance(value, dict)
    assert Configuration({}, {}).above(Configuration(below, {}), set()).values == below


def test_hostile_yaml_is_one_message(tmp_path: Path) -> None:
    for text in ("a: " + "[" * 5000, "a: &x [*x]\n", "a: !!python/object:os.system {}\n"):
        path = written(tmp_path, "config.yaml", text)
        with pytest.raises(InputError, match=r"config\.yaml"):
            read_experiment(read_configuration(path))


def test_the_demo_says_only_what_differs() -> None:
    own = yaml.safe_load((ROOT / "demo" / "config.yaml").read_text())
    assert own.pop("extends") == "../config.yaml"
    paper = yaml.safe_load((ROOT / "config.yaml").read_text())

    def same(below: Any, over: Any, at: str) -> list[str]:
        if isinstance(below, dict) and isinstance(over, dict):
            return [
                found
                for name in over.keys() & below.keys()
                for found in same(below[name], over[name], f"{at}.{name}")
            ]
        return [at] if below == over else []

    assert same(paper, own, "") == []


TYPED: list[tuple[dict[str, Any], tuple[str, ...], object]] = [
    # as Snakemake reads --config ppo='{steps: 10}' and the like
    ({"ppo": {"steps": "10"}}, ("ppo", "steps"), 10),
    ({"sizes": ["100", "200"]}, ("sizes",), (100, 200)),
    ({"ppo": {"kl": {"adaptive": "false"}}}, ("ppo", "kl", "adaptive"), False),
    ({"sft": {"learning_rate": "2e-5"}}, ("sft", "learning_rate"), 2e-5),
    ({"reward": {"model": "null", "evaluator": "null"}}, ("reward", "model"), None),
    ({"demo": "null"}, ("demo",), None),
    # text is meant, though YAML takes it for something else
    ({"overlap": {"rouge_l": "0.8"}}, ("overlap", "rouge_l"), "0.8"),
    ({"ppo": {"sampling": {"stop": ["5", "no"]}}}, ("ppo", "sampling", "stop"), ("5", "no")),
    ({"instructions": {"numbering": "{number}:"}}, ("instructions", "numbering"), "{number}:"),
]


@pytest.mark.parametrize(("given", "key", "value"), TYPED, ids=lambda each: str(each)[:40])
def test_what_is_typed_is_read_as_yaml_would(
    given: dict[str, Any], key: tuple[str, ...], value: object
) -> None:
    found = read_configuration(ROOT / "demo" / "config.yaml", given, given)
    if key == ("reward", "model"):  # weights belong to a scorer's judges
        assert found.values["reward"]["model"] is None
        return
    node: Any = read_experiment(found)
    for name in key:
        node = getattr(node, name)
    assert node == value


def test_text_in_a_file_of_the_command_line_stays_text() -> None:
    given = {"ppo": {"steps": "10"}}
    found = read_configuration(ROOT / "config.yaml", given, {})
    with pytest.raises(InputError, match=r"ppo\.steps: .*got '10' \(--config or --configfile\)"):
        read_experiment(found)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (
            "ppo:\n  stesp: 3\n",
            r"  ppo\.stesp: there is no such key; did you mean 'steps'\?; got 3",
        ),
        ("sizs: [5]\n", r"  sizs: there is no such key; did you mean 'sizes'\?; got \[5\]"),
        (
            "models: {a: {chekpoint: x}}\n",
            r"  models\.a\.chekpoint: .* did you mean 'checkpoint'\?",
        ),
        ("superni: {baselines: {b: {stopp: []}}}\n", r"b\.stopp: .* did you mean 'stop'\?"),
        ("sft: {qqq: 1}\n", r"  sft\.qqq: there is no such key; got 1 \(.*config\.yaml, line 2\)"),
    ],
)
def test_a_typo_is_told_with_the_key_that_is_meant(wrong: str, told: str, tmp_path: Path) -> None:
    path = written(tmp_path, "config.yaml", f"extends: {ROOT}/config.yaml\n{wrong}")
    with pytest.raises(InputError) as caught:
        read_experiment(read_configuration(path))
    lines = str(caught.value).splitlines()
    assert lines[0] == "config.yaml is wrong:" and len(lines) == 2, "one line for one typo"
    assert re.search(told, lines[1]) and re.search(rf"\({path}, line [23]\)$", lines[1])


def test_a_key_that_is_missing_because_of_a_typo_is_told_once(tmp_path: Path) -> None:
    text = (ROOT / "config.yaml").read_text().replace("\n  epochs: 3 ", "\n  epocs: 3 ")
    with pytest.raises(InputError) as caught:
        read_experiment(read_configuration(written(tmp_path, "config.yaml", text)))
    [line] = str(caught.value).splitlines()[1:]
    assert line.startswith("  sft.epocs: there is no such key; did you mean 'epochs'?; got 3 (")


def test_a_missing_section_tells_of_extends(tmp_path: Path) -> None:
    path = written(tmp_path, "config.yaml", "sizes: [5]\n")
    with pytest.raises(InputError, match=r"(?s)  ppo: is required.*\n.*the other by `extends:`"):
        read_experiment(read_configuration(path))


def test_the_guides_own_experiment_is_one(tmp_path: Path) -> None:
    """The first example of docs/how-to.md, with a model that stands there."""
    text = (ROOT / "docs" / "how-to.md").read_text()
    example = re.search(r"config\.yaml << 'END'\n(.*?)END\n", text, re.S)
    assert example
    stated = example[1].replace("../config.yaml", str(ROOT / "config.yaml"))
    experiment = read_experiment(read_configuration(written(tmp_path, "mine/config.yaml", stated)))
    check_experiment(experiment)
    assert (list(experiment.models), experiment.sizes) == (["my-model"], (5000,))
