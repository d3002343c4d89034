"""What fine-tuning leaves: an adapter in PEFT's format, or a whole model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import GenerationConfig

from refine_af.errors import InputError, shown
from refine_af.files.documents import read_document, write_json
from refine_af.models.backbones import LOAD_FAULTS, load_backbone, stored_dtype
from refine_af.models.device_faults import disk_faults
from refine_af.models.lora import save_lora
from refine_af.settings.sft import Sft
from refine_af.sft.card import card_of

# The checkpoint's files beside its weights and config.json.
TEXT_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "special_tokens_map.json"),
    *("added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja"),
)
MERGED = "merged"
GENERATION = "generation_config.json"


def check_output(backbone: Path, settings: Sft) -> None:
    """InputError, before any update, where a whole model is asked for that could not be written."""
    if settings.tuning != "full" and not settings.merge:
        return
    stored_dtype(backbone)
    if (backbone / GENERATION).is_file():
        read_document(backbone / GENERATION)
    from transformers import AutoConfig

    with TemporaryDirectory() as aside:
        try:
            AutoConfig.from_pretrained(backbone, local_files_only=True).save_pretrained(aside)
        except LOAD_FAULTS as error:
            wrong = shown(str(error), 300)
            raise InputError(
                f"{backbone / 'config.json'}: a tuned model could not be saved with it: {wrong}"
            ) from None


def save_tuned(model: Any, backbone: Path, end: int, settings: Sft, folder: Path) -> None:
    """Write into `folder` what the settings ask for: a whole model, or an adapter, merged too.

    `end` is the token that the model has learnt to end with. OSError where the disk is full.
    """
    if settings.tuning == "full":
        save_model(model, backbone, end, folder)
        return
    save_lora(model, folder)
    if settings.merge:
        save_merged(backbone, end, folder)


def save_model(model: Any, backbone: Path, end: int, folder: Path) -> None:
    """Write a whole model that was tuned from `backbone`, in its precision, with its tokenizer.

    Its generation_config.json is the backbone's, with `end` among its ends of text. OSError where
    the disk is full.
    """
    published = backbone / GENERATION
    stated = read_document(published) if published.is_file() else None
    stated = stated or model.generation_config.to_diff_dict()
    # Written apart: transformers refuses to write some that it reads (a temperature without
    # do_sample), and whoever runs the model is to have it as the backbone.
    model.generation_config = GenerationConfig()
    with disk_faults():
        model.to(stored_dtype(backbone)).save_pretrained(folder)
    for name in TEXT_FILES:
        if (backbone / name).is_file():
            shutil.copyfile(backbone / name, folder / name)
    write_json(folder / GENERATION, ended_by(stated, end))


def ended_by(stated: Mapping[str, Any], end: int) -> dict[str, Any]:
    """What a generation_config.json states, with a token among those that end a text."""
    ends = stated.get("eos_token_id")
    known = ends if isinstance(ends, list) else [] if ends is None else [ends]
    if end in known:
        return dict(stated)
    return {**stated, "eos_token_id": [*known, end] if known else end}


def save_merged(backbone: Path, end: int, adapter: Path) -> None:
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
    save_model(model.merge_and_unload(safe_merge=True), backbone, end, adapter / MERGED)


def write_cards(folder: Path, backbone: str, summary: Mapping[str, Any], settings: Sft) -> None:
    """Write a card beside all that `save_tuned` has written and somebody may hand on."""
    kind = "model" if settings.tuning == "full" else "adapter"
    for place, held in ((folder, kind), (folder / MERGED, "model")):
        if place.is_dir():
            text = card_of(held, backbone, summary, settings)
            (place / "README.md").write_text(text, encoding="utf-8")
