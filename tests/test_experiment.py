"""config.yaml: the paper's constants, and what its values turn into."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from refine_af.errors import InputError
from refine_af.jobs.command_line import canonical
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.door import check_experiment
from refine_af.workflow.paths import checkpoint_folder
from refine_af.workflow.plan import Plan
from tiny import ROOT


@pytest.fixture
def paper() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    return config


def test_the_papers_own_numbers(paper: dict[str, Any]) -> None:
    experiment = read_experiment(paper)
    assert list(experiment.models) == ["llama-2-7b", "llama-2-13b", "mistral-7b"]
    assert experiment.sizes == (5000, 10000, 15000)
    stage1, ppo, sft = experiment.instructions, experiment.ppo, experiment.sft
    assert (stage1.human_demonstrations, stage1.machine_demonstrations) == (6, 2)
    assert (ppo.steps, ppo.batch_size, ppo.gradient_accumulation_steps) == (200, 4, 4)
    assert (ppo.learning_rate, ppo.quantization) == (2e-5, "nf4")
    assert (sft.epochs, sft.learning_rate, sft.warmup_ratio) == (3, 2e-5, 0.3)
    assert (sft.batch_size, sft.gradient_accumulation_steps, sft.schedule) == (2, 4, "cosine")


def test_every_number_names_its_source() -> None:
    """Each line of config.yaml with a number has a comment, or stands under one that has."""
    bare = []
    covered = -1
    for number, line in enumerate((ROOT / "config.yaml").read_text().splitlines(), 1):
        indent = len(line) - len(line.lstrip())
        if indent <= covered:
            covered = -1
        if covered < 0 and "#" in line and line.rstrip().split("#")[0].rstrip().endswith(":"):
            covered = indent
        value = line.split("#")[0]
        if re.search(r":\s*\[?-?\d[\d.e-]*(\s|,|$)", value) and "#" not in line and covered < 0:
            bare.append(f"{number}: {line}")
    assert not bare


def test_the_same_values_give_the_same_text(paper: dict[str, Any]) -> None:
    turned = {key: paper[key] for key in reversed(list(paper))}
    turned["sft"] = dict(reversed(list(paper["sft"].items())))
    text = canonical(read_experiment(paper).sft)
    assert text == canonical(read_experiment(turned).sft)
    turned["sft"]["epochs"], turned["sft"]["batch_size"] = 2, 3
    assert text != canonical(read_experiment(turned).sft)


def test_yamls_exponents_are_numbers(paper: dict[str, Any]) -> None:
    paper["sft"]["learning_rate"] = yaml.safe_load("2e-5")
    assert read_experiment(paper).sft.learning_rate == 2e-5


@pytest.mark.parametrize(
    "key",
    [
        "learning_rate",
        "value_learning_rate",
        "clip",
        "value_coefficient",
        "kl.coefficient",
    ],
)
def test_a_number_that_no_one_can_mean_is_named(key: str, paper: dict[str, Any]) -> None:
    *sections, name = key.split(".")
    place = paper["ppo"]
    for section in sections:
        place = place[section]
    place[name] = 1e300
    with pytest.raises(InputError, match=rf"ppo\.{key}: .* 1000000; got 1e\+300"):
        read_experiment(paper)


@pytest.mark.parametrize("name", ["constant", "naturalness"])
def test_a_weight_that_no_one_can_mean_is_named(name: str, paper: dict[str, Any]) -> None:
    paper["reward"]["weights"][name] = 1e300
    with pytest.raises(InputError, match=rf"reward\.weights\.{name}: .* 1000000; got 1e\+300"):
        read_experiment(paper)


def test_a_prompt_of_no_baseline_is_named(paper: dict[str, Any]) -> None:
    paper["prompts"]["baselines"] = {"base": "one.txt", "bsae": "two.txt"}
    with pytest.raises(InputError, match=r"prompts\.baselines\.bsae: none of superni\.baselines"):
        read_experiment(paper)


CANNOT_BE_GIVEN: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "judges that read nothing": (
        lambda c: c["reward"].update(max_length=31),
        r"reward\.max_length 31: .*at least 32",
    ),
    "a page of no method": (
        lambda c: c["ratings"]["page"].update(methods=["base", "evol"]),
        r"ratings\.page\.methods: 'evol' is none of the methods, nor base",
    ),
    "a page of no size": (
        lambda c: c["ratings"]["page"].update(size=5),
        r"ratings\.page\.size: 5 is none of the sizes \[5000, 10000, 15000\]",
    ),
    "files of no model": (
        lambda c: c["ratings"].update(files={"other": ["x.json"]}),
        r"ratings\.files\.other: there is no such model",
    ),
}


@pytest.mark.parametrize("name", CANNOT_BE_GIVEN)
def test_what_no_stage_can_give_is_refused(paper: dict[str, Any], name: str) -> None:
    change, message = CANNOT_BE_GIVEN[name]
    check_experiment(read_experiment(paper))
    change(paper)
    with pytest.raises(InputError, match=f"^config.yaml, {message}"):
        check_experiment(read_experiment(paper))


@pytest.mark.parametrize("name", ["hf_AbCdSecretKey123", "sk-Secret", "key"])
def test_a_key_in_the_place_of_its_variable_is_not_told(paper: dict[str, Any], name: str) -> None:
    server = {
        "url": "http://h/v1",
        "model": "m",
        "concurrency": 1,
        "timeout_s": 1.0,
        "attempts": 1,
        "patience_s": 1.0,
    }
    given = {"key": "hf_AbCdSecretKey123"} if name == "key" else {"key_variable": name}
    with pytest.raises(InputError, match=r"servers\.mistral-7b\.key") as caught:
        read_experiment(
            paper | {"servers": {"mistral-7b": {"key_variable": None, **server, **given}}}
        )
    assert "Secret" not in str(caught.value)


def test_a_threshold_is_asked_for_in_quotes(paper: dict[str, Any]) -> None:
    paper["instructions"]["novelty"]["threshold"] = 0.7
    with pytest.raises(
        InputError, match=r'threshold: an exact decimal, so in quotes: "0\.7"; got 0.7'
    ):
        read_experiment(paper)


def test_segments_cover_the_largest_size(paper: dict[str, Any]) -> None:
    paper["instructions"]["segment_size"], paper["ratings"]["page"]["size"] = 16, None
    assert len(Plan(read_experiment(paper | {"sizes": [16_000]}), ROOT).segments.possible) == 1000
    with pytest.raises(InputError, match=r"sizes: 16001 needs more than 1,000 segments of 16 "):
        read_experiment(paper | {"sizes": [16_001]})


def test_where_a_checkpoint_stands() -> None:
    assert checkpoint_folder("my/model") == "my/model"
    pinned = "mistralai/Mistral-7B-v0.1@7231864981174d9bee8c7687c24c8344414eae6b"
    folder = (
        "results/checkpoints/mistralai--Mistral-7B-v0.1--7231864981174d9bee8c7687c24c8344414eae6b"
    )
    assert checkpoint_folder(pinned) == folder


@pytest.mark.parametrize("path", ["/home/a@b/model", "./a@abcdef1", "../a@b", "~/a@abcdef1/m"])
def test_a_path_that_begins_as_one_is_local_whatever_it_holds(
    path: str, paper: dict[str, Any]
) -> None:
    paper["models"] = {"local": {"checkpoint": path}}
    paper["servers"] = {}
    assert read_experiment(paper).models["local"].checkpoint == path
    assert checkpoint_folder(path) == path


def test_a_checkpoint_with_an_at_is_a_commit_or_says_that_it_is_a_path(
    paper: dict[str, Any],
) -> None:
    paper["models"] = {"local": {"checkpoint": "models/a@b"}}
    with pytest.raises(InputError, match=r"a local folder with @ in its path begins with /, \. or"):
        read_experiment(paper)


def test_a_chat_is_off_where_nothing_is_said_and_no_server_is_asked_in_one(
    paper: dict[str, Any],
) -> None:
    paper["models"] = {"one": {"checkpoint": "a"}, "two": {"checkpoint": "b", "chat": True}}
    found = read_experiment(paper)
    assert [model.chat for model in found.models.values()] == [False, True]
    plan = Plan(found, ROOT)
    wildcards = [SimpleNamespace(model=name) for name in ("one", "two")]
    assert [plan.chat(each) for each in wildcards] == ["false", "true"]
    server = {"url": "http://h/v1", "model": "m", "key_variable": None, "concurrency": 1}
    limits = {"timeout_s": 1.0, "attempts": 1, "patience_s": 1.0}
    paper["servers"] = {"one": server | limits, "two": server | limits}
    paper["instructions"]["engine"] = "server"
    assert read_experiment(paper).models["two"].chat, "as token ids a prompt is in its chat"
    paper["servers"]["two"] |= {"prompts": "text"}
    with pytest.raises(
        InputError, match=r"models\.two\.chat: true, where servers\.two\.prompts: text"
    ):
        read_experiment(paper)


def test_all_faults_are_named_at_once(paper: dict[str, Any]) -> None:
    paper["sft"]["epochs"] = 0
    del paper["ppo"]["steps"]
    with pytest.raises(InputError) as caught:
        read_experiment(paper)
    assert "sft.epochs" in str(caught.value) and "ppo.steps" in str(caught.value)
