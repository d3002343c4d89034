"""The two neural judges: OASST's reward model, which transformers has no class for, and a T5."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from refine_af.errors import InputError, shown
from refine_af.models.backbones import LOAD_FAULTS
from refine_af.models.checkpoints import COMPUTED, check_checkpoint, check_weights

NO_TENSORS = "it holds more than named tensors, and may be a program"


class RewardModel(nn.Module):
    """A GPT-NeoX trunk with one score, read at the last token, in OASST's checkpoint layout.

    Source: Open-Assistant, model/model_training/models/reward_model.py, pooling "last".
    """

    def __init__(self, config: Any) -> None:
        """`config` is a transformers GPTNeoXConfig."""
        from transformers import GPTNeoXModel

        super().__init__()
        self.config = config
        self.gpt_neox = GPTNeoXModel(config)
        self.out_proj = nn.Linear(config.hidden_size, 1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Scores, (rows,), of token ids and mask, both (rows, length), padded on the right."""
        hidden = self.gpt_neox(input_ids=input_ids, attention_mask=attention_mask)
        # The count of tokens so far is highest first at a row's last token.
        last = attention_mask.cumsum(1).argmax(1)
        rows = torch.arange(len(last), device=last.device)
        scores: torch.Tensor = self.out_proj(hidden.last_hidden_state[rows, last]).squeeze(-1)
        return scores

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors in the published layout."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        config = self.config.to_dict() | {
            "model_type": "gpt_neox_reward_model",
            "architectures": ["GPTNeoXRewardModel"],
            "pooling": "last",
        }
        text = json.dumps(config, indent=2, sort_keys=True)
        (folder / "config.json").write_text(text + "\n", encoding="utf-8")
        tensors = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})

    @classmethod
    def load(cls, folder: Path) -> RewardModel:
        """The model in `folder`, on the CPU in float32. InputError where it is no such model."""
        from transformers import GPTNeoXConfig

        path = folder / "config.json"
        config = check_checkpoint(folder)
        for key, wanted in (("model_type", "gpt_neox_reward_model"), ("pooling", "last")):
            if config.get(key) != wanted:
                raise InputError(f"{path}: {key} is {shown(config.get(key))}, not {wanted!r}")
        try:
            model = cls(GPTNeoXConfig.from_dict(config | {"model_type": "gpt_neox"}))
        except LOAD_FAULTS as error:
            wrong = shown(str(error), 300)
            raise InputError(f"{path}: no reward model can be made from it: {wrong}") from None
        _fill(model, *_read_weights(folder))
        return model


def load_evaluator(folder: Path) -> Any:
    """The T5 in `folder`, on the CPU in float32. InputError where it is no whole T5."""
    from safetensors import SafetensorError
    from transformers import T5ForConditionalGeneration

    check_checkpoint(folder)
    for path in folder.glob("pytorch_model*.bin"):
        _check_archive(path)
    try:
        model, report = T5ForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    except pickle.UnpicklingError:
        raise InputError(f"{folder}: no evaluator can be loaded: {NO_TENSORS}") from None
    except (*LOAD_FAULTS, SafetensorError) as error:
        raise InputError(
            f"{folder}: no evaluator can be loaded: {shown(str(error), 300)}"
        ) from None
    check_weights(folder, report)
    start = model.config.decoder_start_token_id
    if not isinstance(start, int) or not 0 <= start < model.config.vocab_size:
        raise InputError(
            f"{folder / 'config.json'}: decoder_start_token_id is no token: {shown(start)}"
        )
    return model


def evaluator_logits(
    model: Any, ids: torch.Tensor, mask: torch.Tensor, yes: int, no: int
) -> torch.Tensor:
    """How much likelier "Yes" is than "No" as the first token, (rows,): a difference of logits.

    `ids` and `mask` are (rows, length); `yes` and `no` are the ids of the two tokens.

    Its sigmoid is UniEval's score, P(Yes) / (P(Yes) + P(No)).
    """
    start = ids.new_full((len(ids), 1), model.config.decoder_start_token_id)
    out = model(input_ids=ids, attention_mask=mask, decoder_input_ids=start, use_cache=False)
    logits: torch.Tensor = out.logits[:, 0, yes] - out.logits[:, 0, no]
    return logits


def _read_weights(folder: Path) -> tuple[Path, Mapping[str, torch.Tensor]]:
    """The checkpoint's tensors by name, with the file that holds them."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / "model.safetensors"
    try:
        if path.is_file():
            return path, load_file(path)
        path = folder / "pytorch_model.bin"
        if not path.is_file():
            raise InputError(f"{folder}: neither model.safetensors nor pytorch_model.bin")
        _check_archive(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"{path}: no weights can be read: {NO_TENSORS}") from None
    except (SafetensorError, RuntimeError) as error:
        raise InputError(f"{path}: no weights can be read: {shown(str(error), 300)}") from None
    if not isinstance(weights, dict):
        raise InputError(f"{path}: holds a {type(weights).__name__}, not named tensors")
    for name, tensor in weights.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise InputError(f"{path}: holds {shown({name: tensor})}, no named tensor")
    return path, weights


def _check_archive(path: Path) -> None:
    """InputError unless the file is what torch writes: on other bytes it may fail in any way."""
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path}: no weights can be read: not a whole archive of torch 1.6 or later"
        )


def _fill(model: nn.Module, path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    wanted = model.state_dict()
    given = {name: tensor for name, tensor in weights.items() if not name.endswith(COMPUTED)}
    for fault, names in (
        ("lacks", wanted.keys() - given.keys()),
        ("holds unknown", given.keys() - wanted.keys()),
    ):
        if names:
            listed = ", ".join(sorted(names)[:5])
            raise InputError(f"{path}: {fault} {listed}{' …' if len(names) > 5 else ''}")
    for name, tensor in wanted.items():
        if given[name].shape != tensor.shape:
            shapes = f"{tuple(given[name].shape)}, where config.json says {tuple(tensor.shape)}"
            raise InputError(f"{path}: {name} has the shape {shapes}")
    model.load_state_dict(given)
