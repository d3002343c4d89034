"""The memory of a stated GPU: what a checkpoint's headers say, and what cannot stand there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refine_af.errors import InputError
from refine_af.models.stored_weights import FOUR_BITS, stored_weights
from refine_af.settings.experiment import Experiment
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.gpu_memory import check_memory
from tiny import demo_config


def checkpoint(folder: Path, shapes: dict[str, tuple[int, ...]], *, files: int = 1) -> Path:
    """A checkpoint of zeros in these shapes, in as many files as asked."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 10}))
    (folder / "tokenizer.json").write_text("{}")
    names = list(shapes)
    parts = {f"model-{n}.safetensors": names[n::files] for n in range(files)}
    if files == 1:
        parts = {"model.safetensors": names}
    for file, held in parts.items():
        save_file({name: np.zeros(shapes[name], np.float16) for name in held}, folder / file)
    if files > 1:
        weight_map = {name: file for file, held in parts.items() for name in held}
        index = json.dumps({"weight_map": weight_map})
        (folder / "model.safetensors.index.json").write_text(index)
    return folder


SHAPES: dict[str, tuple[int, ...]] = {
    "model.embed_tokens.weight": (10, 8),  # 80, a table
    "model.layers.0.self_attn.q_proj.weight": (8, 8),  # 64, linear
    "model.layers.0.self_attn.q_proj.bias": (8,),
    "model.layers.0.mlp.experts.0.up_proj.weight": (16, 8),  # 128, an expert
    "model.layers.0.mlp.experts.down_proj": (2, 8, 16),  # 256, a block of experts
    "lm_head.weight": (10, 8),  # 80, a table
}


@pytest.mark.parametrize("files", [1, 2])
def test_weights_are_counted_by_hand(tmp_path: Path, files: int) -> None:
    counts = stored_weights(checkpoint(tmp_path / "model", SHAPES, files=files)).counts
    assert counts == (616, 64)
    assert counts.share == pytest.approx(64 / 616)
    assert counts.memory("none") == 1232
    assert counts.memory("nf4") == pytest.approx(64 * (0.5 + 0.015625 + 0.000244140625) + 552 * 2)
    assert pytest.approx(4.127, abs=5e-4) == 8 * FOUR_BITS, "QLoRA: 0.127 bits a weight on top"


def experiment(folder: Path, memory: int | None, **sections: dict[str, object]) -> Experiment:
    """The test experiment with one model, and a GPU that has `memory` MB."""
    config = demo_config()
    config["models"] = {"some": {"checkpoint": str(folder)}}
    config["compute"]["gpu_mem_mb"] = memory
    for stage, changes in sections.items():
        config[stage] |= changes
    return read_experiment(config)


def test_a_model_that_the_gpu_cannot_hold_is_refused(tmp_path: Path) -> None:
    shapes = {
        "model.layers.0.self_attn.q_proj.weight": (1000, 1000),
        "model.layers.0.mlp.experts.up_proj": (4, 1000, 1000),
    }
    folder = checkpoint(tmp_path / "model", shapes)
    # In 16 bits 10 MB, with the million that 4 bits can hold 8 MB and a half.
    check_memory(experiment(folder, None), str)
    check_memory(experiment(folder, 11), str)
    with pytest.raises(InputError) as raised:
        check_memory(experiment(folder, 9, ppo={"quantization": "nf4"}), str)
    assert str(raised.value) == (
        f"config.yaml, models.some.checkpoint: {folder}: instructions needs 10 MB for the weights "
        "alone, and compute.gpu_mem_mb states 9"
    )
    every = ("instructions", "ppo", "instances", "sft", "superni", "users")
    small: dict[str, dict[str, object]] = {stage: {"quantization": "nf4"} for stage in every}
    check_memory(experiment(folder, 9, **small), str)
    with pytest.raises(InputError, match=r"needs 9 MB .* states 8; 20% of its 5,000,000 weights"):
        check_memory(experiment(folder, 8, **small), str)
    full = small | {"sft": {"tuning": "full", "quantization": "none"}}
    with pytest.raises(InputError, match="sft, with tuning: full, needs 80 MB"):
        check_memory(experiment(folder, 79, **full), str)


def test_a_checkpoint_that_is_not_there_yet_is_left_to_its_jobs(tmp_path: Path) -> None:
    check_memory(experiment(tmp_path / "later", 1), str)


def test_a_file_without_a_header_is_named(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", SHAPES)
    (folder / "model.safetensors").write_bytes(b"<html>")
    with pytest.raises(InputError, match=r"model\.safetensors: no safetensors file: "):
        stored_weights(folder)
