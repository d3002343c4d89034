"""A key of an earlier config.yaml is met with the name that it has now."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from refine_af.errors import InputError
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.moved_keys import MOVED, check_moved
from tiny import ROOT


@pytest.fixture
def paper() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    return config


def put(config: dict[str, Any], key: str) -> None:
    *parents, last = key.split(".")
    for name in parents:
        config = config.setdefault(name, {})
    config[last] = 3


def stands(config: Any, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(config, dict) or name not in config:
            return False
        config = config[name]
    return True


@pytest.mark.parametrize("old", MOVED)
def test_an_old_key_is_told_its_new_name(paper: dict[str, Any], old: str) -> None:
    new = MOVED[old].replace("{}", "base")
    old = old.replace("{}", "base")
    assert not stands(paper, old)
    assert stands(paper, new.removesuffix(".base"))
    read_experiment(paper)
    put(paper, old)
    with pytest.raises(InputError) as caught:
        read_experiment(paper)
    assert str(caught.value) == f"config.yaml is wrong:\n  {old}: moved; it is `{new}` now"


def test_all_old_keys_are_told_at_once(paper: dict[str, Any]) -> None:
    for key in ("report.keys", "superni.baselines.a.prompt", "superni.baselines.b.prompt"):
        put(paper, key)
    with pytest.raises(InputError) as caught:
        read_experiment(paper)
    assert str(caught.value).splitlines()[1:] == [
        "  superni.baselines.a.prompt: moved; it is `prompts.baselines.a` now",
        "  superni.baselines.b.prompt: moved; it is `prompts.baselines.b` now",
        "  report.keys: moved; it is `report.count_wins_over` now",
    ]


@pytest.mark.parametrize("odd", [None, 3, "text", [1], {3: None}])
def test_a_section_of_another_kind_is_the_readers_affair(odd: object) -> None:
    check_moved({"superni": odd, "ppo": odd, "watch": {"ppo": odd}})
    check_moved({"superni": {"baselines": odd}})
