"""What fine-tuning leaves: an adapter in PEFT's format, or a whole model."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from refine_af.models.backbones import load_backbone, stored_dtype
from refine_af.models.device_faults import disk_faults
from refine_af.models.lora import save_lora
from refine_af.settings.sft import Sft

# The checkpoint's files beside its weights and config.json.
TEXT_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"),
)
MERGED = "merged"


def save_tuned(model: Any, backbone: Path, settings: Sft, folder: Path) -> None:
    """Write into `folder` what the settings ask for: a whole model, or an adapter, merged too.

    OSError where the disk is full.
    """
    if settings.tuning == "full":
        save_model(model, backbone, folder)
        return
    save_lora(model, folder)
    if settings.merge:
        save_merged(backbone, folder)


def save_model(model: Any, backbone: Path, folder: Path) -> None:
    """Write a whole model that was tuned from `backbone`, in its precision, with its tokenizer.

    OSError where the disk is full.
    """
    with disk_faults():
        model.to(stored_dtype(backbone)).save_pretrained(folder)
    for name in TEXT_FILES:
        if (backbone / name).is_file():
            shutil.copyfile(backbone / name, folder / name)


def save_merged(backbone: Path, adapter: Path) -> None:
    """Write the backbone with the adapter of a folder merged into its weights, in that folder.

    It is merged into the weights as published, not as nf4 rounds them; on the CPU, since a GPU that
    holds the model in 4 bits may not hold it in 16.
    """
    model = load_backbone(
        backbone,
        quantization="none",
        adapter=adapter,
        dtype=stored_dtype(backbone),
        place=torch.device("cpu"),
    )
    save_model(model.merge_and_unload(safe_merge=True), backbone, adapter / MERGED)
