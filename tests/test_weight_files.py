"""A model's folder is looked into before any job: tokenizer, weights, architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from checkpoint_folders import SMALL, write
from refine_af.errors import InputError
from refine_af.models.checkpoints import check_backbone, check_judge
from refine_af.models.weight_files import weight_files
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.door import check_files
from tiny import ROOT, tiny_config

SHARDED = [
    [f"model-{n:05}-of-00002.safetensors" for n in (1, 2)],
    [f"model.safetensors-{n:05}-of-00002.safetensors" for n in (1, 2)],
    [f"model-{n:05}-of-000163.safetensors" for n in (1, 163)],
    ["model-a.safetensors", "other.safetensors"],
]


def indexed(names: list[str], stem: str = "model.safetensors") -> dict[str, bytes]:
    table = {f"layer.{place}": name for place, name in enumerate(names)}
    index = json.dumps({"metadata": {}, "weight_map": table}).encode()
    return {**SMALL, **dict.fromkeys(names, b"w"), f"{stem}.index.json": index}


@pytest.mark.parametrize("names", SHARDED, ids=lambda names: names[0])
def test_an_index_says_which_files_hold_the_weights(names: list[str], tmp_path: Path) -> None:
    files = indexed(names) | {"pytorch_model.bin": b"never read"}
    assert weight_files(files, files.__getitem__, "here", pickles=False) == names
    check_backbone(write(tmp_path / "whole", files))
    del files[names[1]]
    with pytest.raises(InputError, match=f"1 of 2 files: .* names {names[1]}, which is not there"):
        check_backbone(write(tmp_path / "half", files))


WEIGHTS = {**SMALL, "model.safetensors": b"w"}
PICKLE = {**SMALL, "pytorch_model.bin": b"w"}


def kind(model_type: str, **more: Any) -> dict[str, bytes]:
    return {**WEIGHTS, "config.json": json.dumps({"model_type": model_type, **more}).encode()}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"config.json": b"{}"}, "holds no tokenizer"),
        (SMALL, "holds no weights"),
        ({**SMALL, "model-00001-of-00002.safetensors": b""}, "no model.safetensors.index.json"),
        ({**SMALL, "model.safetensors.index.json": b"{}"}, "no weight_map"),
        (indexed(["../model.safetensors"]), "names no file of weights"),
        (PICKLE, "pickles alone"),
        (indexed(["pytorch_model-1.bin"], "pytorch_model.bin"), "pickles alone"),
        (kind("mamba"), "'mamba' cannot write texts side by side, in generation and in PPO"),
        (kind("qwen3_5", text_config={"model_type": "qwen3_5_text"}), "a running state"),
        (kind("vlm", text_config={"model_type": "lfm2"}), "a running state"),
        (kind("bloom"), "counts columns"),
        (kind("falcon", alibi=True), "counts columns"),
        (kind("gemma3n"), "read the keys of earlier ones"),
        (kind("t5", is_encoder_decoder=True), "an encoder with a decoder"),
    ],
)
def test_a_folder_that_cannot_be_a_backbone_is_named(
    files: dict[str, bytes], said: str, tmp_path: Path
) -> None:
    files = {name: content for name, content in files.items() if "/" not in name}
    with pytest.raises(InputError, match=said) as caught:
        check_backbone(write(tmp_path / "model", files))
    assert str(caught.value).startswith(f"{tmp_path / 'model'}: ")


def test_a_judges_weights_may_be_pickles(tmp_path: Path) -> None:
    check_judge(write(tmp_path / "pickle", PICKLE))
    check_judge(write(tmp_path / "safe", kind("t5", is_encoder_decoder=True)))
    check_backbone(write(tmp_path / "falcon", kind("falcon")))
    with pytest.raises(InputError, match="holds no weights"):
        check_judge(write(tmp_path / "none", SMALL))


def test_models_are_looked_into_at_the_door(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world)
    config["models"] = {"tiny": {"checkpoint": str(write(tmp_path / "model", PICKLE))}}
    with pytest.raises(
        InputError, match=r"config\.yaml, models\.tiny\.checkpoint: .*pickles alone"
    ):
        check_files(
            read_experiment(config),
            lambda path: str(ROOT / path),
            lambda path: False,
            lambda key: "",
        )
