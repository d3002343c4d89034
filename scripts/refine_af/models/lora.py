"""LoRA adapters on a language model (arXiv 2106.09685): made, saved, and loaded whole."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from refine_af.errors import InputError, shown
from refine_af.files.documents import read_document
from refine_af.models.checkpoints import check_weights
from refine_af.models.device_faults import disk_faults
from refine_af.models.shapes import architecture
from refine_af.models.upstream import experts_without_adapter, has_adapter
from refine_af.settings.lora import Lora

# What PEFT raises at an adapter_config.json that is not what it should be, and at such weights.
LOAD_FAULTS = (
    *(ValueError, TypeError, AttributeError, LookupError),
    *(OSError, RuntimeError, ImportError, re.error, SafetensorError),
)


def with_lora(model: Any, lora: Lora, *, seed: int, section: str) -> Any:
    """The model with a fresh adapter, whose weights alone train; at first it changes nothing.

    `section` is the adapter's place in config.yaml. InputError where the targets name no layer
    of the model, or its output layer.
    """
    from peft import LoraConfig, get_peft_model

    targets = lora.targets if isinstance(lora.targets, str) else list(lora.targets)
    wrong = f"{section}.targets {shown(targets)}"
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets,
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)  # PEFT draws the first values from the global generator
        try:
            tuned = get_peft_model(model, config)
        except (ValueError, re.error) as error:
            raise InputError(f"{wrong}: {shown(str(error), 300)}") from None
    if has_adapter(tuned.get_output_embeddings()):
        raise InputError(f"{wrong}: the output layer cannot have an adapter")
    kind = architecture(tuned)
    if router := next(_adapted_routers(tuned), None):
        raise InputError(
            f"{wrong}: {kind} cannot be adapted at {router}, which sends tokens to experts; name "
            "the layers of the attention and of what else is linear"
        )
    if (left := experts_without_adapter(tuned)) and tuned.device.type != "meta":
        share = left / sum(weight.numel() for weight in tuned.parameters())
        print(f"{wrong}: the experts of {kind}, {share:.0%} of its weights, get no adapter")
    return tuned


def _adapted_routers(tuned: Any) -> Iterator[str]:
    """The names of layers with an adapter that give more than their product."""
    for name, layer in tuned.named_modules():
        base = layer.get_base_layer() if has_adapter(layer) else None
        if isinstance(base, torch.nn.Linear) and "Router" in type(base).__name__:
            yield name.removeprefix("base_model.model.")


def load_lora(model: Any, adapter: Path) -> Any:
    """The model with the adapter in a folder. InputError unless it is complete, and fits."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import safe_open

    weights = adapter / "adapter_model.safetensors"
    for path in (adapter / "adapter_config.json", weights):
        if not path.is_file():
            raise InputError(f"{adapter}: no {path.name}, so this is no adapter folder")
    read_document(adapter / "adapter_config.json")
    try:
        with safe_open(weights, framework="pt") as file:
            given = set(file.keys())
        tuned = PeftModel.from_pretrained(model, adapter)
    except LOAD_FAULTS as error:
        wrong = shown(str(error), 300)
        raise InputError(f"{adapter}: the adapter cannot be loaded: {wrong}") from None
    # False: otherwise PEFT asks the hub for the backbone's config.json, by its folder's name.
    wanted = set(get_peft_model_state_dict(tuned, save_embedding_layers=False))
    report = {"missing_keys": wanted - given, "unexpected_keys": given - wanted}
    check_weights(adapter, report, "adapter_config.json")
    return tuned


def save_lora(model: Any, folder: Path) -> None:
    """Write the adapter in PEFT's format: the same bytes wherever its backbone's folder stands.

    OSError where the disk is full.
    """
    with disk_faults():
        model.save_pretrained(folder, save_embedding_layers=False)
    _tidy(folder)


def _tidy(folder: Path) -> None:
    """Take out of a saved adapter what differs between runs: set order, paths, PEFT's README."""
    path = folder / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = Path(config["base_model_name_or_path"]).name
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # PEFT writes a set, in whatever order it comes
    text = json.dumps(config, indent=2, sort_keys=True)
    path.write_text(text + "\n", encoding="utf-8")
    (folder / "README.md").unlink(missing_ok=True)
