"""docs/readings.md says where a reading stands, and it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from refine_af.ppo.policy import new_policy
from refine_af.prompts.templates import read_prompt
from refine_af.settings.lora import Lora
from tiny import ROOT

READINGS = (ROOT / "docs" / "readings.md").read_text(encoding="utf-8")
ROWS = [line for line in READINGS.splitlines() if line.startswith("| ")]


def named() -> list[str]:
    """What the last columns of the tables set in code type."""
    lasts = [row.strip("| ").split(" | ")[-1] for row in ROWS]
    return [name for last in lasts for name in re.findall(r"`([^`]+)`", last)]


def key(name: str) -> bool:
    """Whether config.yaml holds the dotted key."""
    value: Any = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


@pytest.mark.parametrize("name", [name for name in named() if not name.startswith("results/")])
def test_a_reading_stands_where_it_is_said_to(name: str) -> None:
    if name.startswith("refine_af/"):
        assert (ROOT / "scripts" / name).is_file()
    else:
        assert key(name)


def test_what_is_said_beside_trl_and_tk_instruct(tiny_llama: Path) -> None:
    lora = Lora(r=2, alpha=4, dropout=0.0, targets="all-linear")
    head = new_policy(tiny_llama, lora, quantization="none", seed=0).value_head
    assert not torch.any(head.weight) and not torch.any(head.bias)
    assert "starts from random weights | ours from zero" in READINGS
    assert "`ratio_threshold`" in READINGS
    prompt = read_prompt(ROOT / "resources" / "prompts" / "superni.txt", {"definition", "input"})
    assert prompt.rest.endswith("\nOutput:") and "`Output: ` | without the final" in READINGS


def test_one_difference_of_rounds_and_the_size_of_a_download() -> None:
    """Self-Instruct draws all five prompts of a request before any reply, as a round here."""
    assert "(SI: 5, drawn so too)" in READINGS and "growing within" not in READINGS
    gigabytes = 13.5 + 26.0 + 14.5 + 5.35 + 2.95  # Llama 7B, 13B, Mistral in 16 bits; the judges
    for page in ("README.md", "docs/running.md"):
        text = " ".join((ROOT / page).read_text(encoding="utf-8").split())
        assert f"about {gigabytes:.0f} GB to download" in text
