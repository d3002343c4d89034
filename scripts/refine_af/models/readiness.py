"""What an architecture can do, found out before any weight is read: it is built without memory."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from refine_af.errors import InputError, shown
from refine_af.models.backbones import LOAD_FAULTS, layout_of, quiet
from refine_af.models.checkpoints import check_backbone
from refine_af.models.known_architectures import COLUMNS, ENCODER, STATE
from refine_af.models.lora import with_lora
from refine_af.models.shapes import ATTENTION, architecture, kinds_of_attention, text_config
from refine_af.settings.lora import Lora


def check_generation(folder: Path) -> None:
    """InputError, naming the architecture, where it cannot write texts side by side."""
    _refuse_generation(folder, _built(folder, "generation"))


def check_ppo(folder: Path, lora: Lora) -> None:
    """InputError, naming the architecture, where PPO cannot train it, or not these layers."""
    model = _built(folder, "PPO")
    _refuse_generation(folder, model)
    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear):
        raise InputError(
            f"{folder}: PPO cannot train {architecture(model)}: it has no linear layer from its "
            "last hidden states to tokens"
        )
    with_lora(model, lora, seed=0, section="ppo.lora")


def check_fine_tuning(folder: Path, lora: Lora | None) -> None:
    """InputError, naming the architecture, where it cannot be built, or not be adapted."""
    model = _built(folder, "fine-tuning")
    if lora is not None:
        with_lora(model, lora, seed=0, section="sft.lora")


def _built(folder: Path, stage: str) -> Any:
    """The model's layers as config.json describes them, on a device that holds no numbers."""
    from transformers import AutoModelForCausalLM

    check_backbone(folder)
    quiet()
    try:
        config, _ = layout_of(folder)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except LOAD_FAULTS as error:
        wrong = shown(str(error), 300)
        raise InputError(f"{folder}: no language model can be built for {stage}: {wrong}") from None


def _refuse_generation(folder: Path, model: Any) -> None:
    config = text_config(model)
    reason = None
    if config.is_encoder_decoder:
        reason = ENCODER
    elif getattr(model, "_is_stateful", False) or not hasattr(config, "num_hidden_layers"):
        reason = STATE
    elif unknown := kinds_of_attention(config) - ATTENTION:
        reason = f"layers of the kind {sorted(unknown)[0]!r} are not known here"
    elif "position_ids" not in inspect.signature(type(model).forward).parameters:
        reason = COLUMNS
    if reason:
        raise InputError(
            f"{folder}: {architecture(model)} cannot write texts side by side, in generation and "
            f"in PPO: {reason}"
        )
