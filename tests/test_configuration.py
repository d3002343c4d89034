"""config.yaml with what it extends: how values meet, and that a fault names its file and line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from refine_af.errors import InputError
from refine_af.workflow.configuration import (
    WHOLE,
    Configuration,
    read_configuration,
    read_experiment,
    resolved,
)
from refine_af.workflow.door import check_experiment, check_files
from refine_af.workflow.plan import Plan
from refine_af.workflow.yaml_files import Key
from tiny import ROOT


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


SERVER = (
    "{url: http://h/v1, model: m, key_variable: null, concurrency: 1, timeout_s: 1, attempts: 1,"
    " patience_s: 1}"
)
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
    assert found.place_of("sft.epochs") == f"{tmp_path}/mine/../demo/config.yaml, line 2"
    assert found.place_of("sft.lora.dropout").endswith("/config.yaml, line 4")
    given = read_configuration(path, typed={"sft": {"lora": {"r": 1}}})
    folders = {tmp_path, tmp_path / "demo", tmp_path / "mine"}
    assert {Path(file).resolve().parent for file in given.files} == folders


def test_the_command_line_stands_above_all_files(tmp_path: Path) -> None:
    path = written(tmp_path, "config.yaml", BASE)
    more = written(tmp_path, "more.yaml", "\nsft: {epochs: 8, packing: true}\n")
    found = read_configuration(path, [more], {"sft": {"epochs": 9}, "models": {"second": {}}})
    assert found.values["sft"] == {"epochs": 9, "packing": True, "lora": {"r": 16, "alpha": 32}}
    assert list(found.values["models"]) == ["large", "second"], "as Snakemake merges"
    assert found.place_of("sft.epochs") == "--config"
    assert found.place_of("sft.packing") == f"{more}, line 2"
    assert found.place_of("gone") == str(path), "which is to state it"


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
        ("extends: ../list.yaml\n", "list.yaml, line 1: holds no keys"),
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


def leaves(values: dict[str, Any], above: Key = ()) -> Iterator[Key]:
    """Every key that is to hold a value, and no section."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*above, name))
        else:
            yield (*above, name)


def spoiled(keys: Iterable[Key], extends: str = "") -> tuple[str, dict[str, int]]:
    """A config.yaml in which each of `keys` holds what none may, and the line of each."""
    lines, places, above = [extends], {}, list[str]()
    for *section, name in keys:
        alike = [a == b for a, b in zip(section, above, strict=False)]
        shared = [*alike, False].index(False)
        lines += ["  " * n + f"{part}:" for n, part in enumerate(section) if n >= shared]
        lines.append("  " * len(section) + f"{name}: [[1]]")
        places[".".join((*section, name))] = len(lines)
        above = section
    return "\n".join(lines) + "\n", places


def test_every_wrong_value_is_told_once_with_the_file_and_line_of_its_own(tmp_path: Path) -> None:
    """Every key of the paper's config.yaml, half of them stated anew by what extends it."""
    known = list(leaves(yaml.safe_load((ROOT / "config.yaml").read_text())))
    assert len(known) > 150
    apart = [key for key in known if not any(key[: len(whole)] == whole for whole in WHOLE)]
    below, first = spoiled(known)
    over, second = spoiled(apart[::2], "extends: ..")
    base, path = written(tmp_path, "config.yaml", below), written(tmp_path, "m/config.yaml", over)
    with pytest.raises(InputError) as caught:
        read_experiment(read_configuration(path))
    found = re.findall(
        r"^  ([\w.@/-]+?)(?:\.0)?: .* \((.*), line (\d+)\)$", str(caught.value), re.M
    )
    assert len(found) == len(str(caught.value).splitlines()) - 1
    wanted = {key: (str(path.parent / ".." / base.name), line) for key, line in first.items()}
    wanted |= {key: (str(path), line) for key, line in second.items()}
    assert sorted(found) == sorted((key, file, str(line)) for key, (file, line) in wanted.items())


# The file that is extended, the one that extends it, what is told, and in which of both it stands.
SEVERAL: dict[str, tuple[str, str, str, str]] = {
    "sampling": (
        "ppo:\n  sampling:\n    top_p: 0.5\n",
        "ppo: {sampling: {max_new_tokens: 9}}\n",
        "ppo.sampling: top_p 0.5: PPO must draw",
        "base, line 4",
    ),
    "a minibatch": (
        "ppo:\n\n  rollouts: 7\n",
        "ppo: {epochs: 1}\n",
        "rollouts 7 is no",
        "base, line 4",
    ),
    "words": (
        "instructions: {filter: {max_words: 9}}\n",
        "instructions:\n  filter:\n    min_words: 10\n",
        "min_words 10 is greater",
        "own, line 4",
    ),
    "a component": (
        "reward:\n  weights:\n    constant: 0\n    unparseable: 0\n    A b: 1\n",
        "reward: {max_length: 99}\n",
        "reward.weights: A b: no name for a component",
        "base, line 6",
    ),
    "judges": (
        "reward:\n  weights: {constant: 0, unparseable: 0, brief: 1}\n",
        "reward: {max_length: 99}\n",
        "reward.weights are for brief",
        "base, line 3",
    ),
    "a server": (
        f"servers:\n  gone: {SERVER}\n",
        "instructions: {engine: transformers}\n",
        "servers.gone: there is no such model; an entry bears the name of its model, here llama",
        "base, line 3",
    ),
    "no server": (
        "servers: {}\n",
        "\ninstructions: {engine: server}\n",
        "engine is server",
        "own, line 3",
    ),
    "a chat": (
        f"servers: {{a: {SERVER}, a.b: {SERVER[:-1]}, prompts: text}}}}\n",
        "instructions: {engine: server}\nmodels:\n  a: {checkpoint: x}\n  a.b: {checkpoint: y,\n"
        "    chat: true}\n",
        "models.a.b.chat: true, where",
        "own, line 6",
    ),
    "a size": (
        "sizes:\n- 5000\n\n- 0\n",
        "ppo: {epochs: 1}\n",
        "sizes.1: Input should",
        "base, line 5",
    ),
    "sizes": ("sizes: [9000000]\n", "ppo: {epochs: 1}\n", "sizes: 9000000 needs", "base, line 2"),
    "GPUs": (
        "compute: {sft: {gpus: 3}}\n",
        "compute: {sft: {threads: 1}}\n",
        "gpus: 3",
        "base, line 2",
    ),
    "tuning": (
        "sft: {tuning: full}\n",
        "sft: {epochs: 1}\n",
        "tuning: full trains",
        "base, line 2",
    ),
    "a baseline's prompt": (
        "prompts:\n  baselines:\n    gone: x\n",
        "prompts: {baselines: {base: y}}\n",
        "prompts.baselines.gone: none of",
        "base, line 4",
    ),
    "a baseline": (
        "superni:\n  baselines:\n    table: {stop: []}\n",
        "superni: {baselines: {base: {stop: []}}}\n",
        "superni.baselines.table: a name that is taken",
        "base, line 4",
    ),
    "a rated size": (
        "ratings:\n  page:\n    size: 7\n",
        "ratings: {page: {seed: 1}}\n",
        "ratings.page.size: 7 is none",
        "base, line 4",
    ),
    "files of ratings": (
        "ratings:\n  files:\n    gone: [x]\n",
        "ratings: {page: {seed: 1}}\n",
        "ratings.files.gone: there is no such model",
        "base, line 4",
    ),
    "files twice": (
        "ratings:\n  files:\n    mistral-7b: [x, ./x]\n",
        "ratings: {page: {seed: 1}}\n",
        "ratings.files: mistral-7b lists twice: x",
        "base, line 4",
    ),
    "what moved": (
        "ppo: {reward: {}}\n",
        "ppo: {epochs: 1}\n",
        "ppo.reward: moved",
        "base, line 2",
    ),
    "a missing key": (
        "ppo: {epochs: 1}\n",
        "\nmodels:\n  a: {}\n",
        "models.a.checkpoint: is",
        "own, line 4",
    ),
    "a path of a name too long": (
        f"data:\n  seeds: {'x' * 256}\n",
        "data: {superni: y}\n",
        "data.seeds: too long for a path",
        "base, line 3",
    ),
    "a path of no user": (
        "prompts: {sft: ~no-such-user/x}\n",
        "data: {superni: y}\n",
        "prompts.sft: begins with ~",
        "base, line 2",
    ),
    "a path of two lines": (
        'prompts: {sft: "a\\nb"}\n',
        "data: {superni: y}\n",
        "prompts.sft: holds a character that does not print",
        "base, line 2",
    ),
    "a file for a folder of tasks": (
        "data: {superni: README.md}\n",
        "data: {seeds: results/y}\n",
        "README.md: no folder of tasks",
        "base, line 2",
    ),
    "a path where nothing is": (
        "prompts: {sft: resources/gone}\n",
        "data: {superni: y}\n",
        "prompts.sft: resources/gone: there is nothing",
        "base, line 2",
    ),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_what_is_told_of_several_keys_names_the_line_of_the_first(
    name: str, tmp_path: Path
) -> None:
    below, own, told, where = SEVERAL[name]
    base = written(tmp_path, "config.yaml", f"extends: {ROOT}\n{below}")
    path = written(tmp_path, "mine/config.yaml", f"extends: ..\n{own}")
    with pytest.raises(InputError) as caught:
        configuration = read_configuration(path)
        experiment = read_experiment(configuration)
        plan = Plan(experiment, ROOT)
        check_files(
            experiment, plan.located, lambda made: "gone" not in made, configuration.place_of
        )
    message = str(caught.value).removeprefix("config.yaml is wrong:\n")
    file, line = where.split(", ")
    stands = path.parent / ".." / base.name if file == "base" else path
    assert told in message and message.endswith(f" ({stands}, {line})"), message
    assert len(message.splitlines()) == 1


def test_what_nothing_states_is_told_with_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "config.yaml", "sizes: [5]\n")
    with pytest.raises(InputError) as caught:
        read_experiment(read_configuration(path))
    assert f"  ppo: is required, and nothing states it ({path})\n" in str(caught.value)


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
    found = read_configuration(ROOT / "demo" / "config.yaml", typed=given)
    if key == ("reward", "model"):  # weights belong to a scorer's judges
        assert found.values["reward"]["model"] is None
        return
    node: Any = read_experiment(found)
    for name in key:
        node = getattr(node, name)
    assert node == value


def test_a_wrong_value_that_is_typed_is_told_as_it_was_read() -> None:
    typed = {"ppo": {"steps": "0"}, "overlap": {"rouge_l": "0.8"}}
    with pytest.raises(InputError) as caught:
        read_experiment(read_configuration(ROOT / "config.yaml", typed=typed))
    assert str(caught.value) == (
        "config.yaml is wrong:\n  ppo.steps: Input should be greater than or equal to 1; got 0 "
        "(--config)"
    )


def test_text_in_a_file_of_the_command_line_stays_text(tmp_path: Path) -> None:
    more = written(tmp_path, "more.yaml", "ppo:\n  steps: '10'\n")
    found = read_configuration(ROOT / "config.yaml", [more])
    with pytest.raises(InputError, match=r"ppo\.steps: .*got '10' \(.*more\.yaml, line 2\)"):
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
