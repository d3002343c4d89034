"""Checkpoint folders: what can be said of one before any weight is read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.documents import read_document
from refine_af.models.known_architectures import refusal_of
from refine_af.models.weight_files import check_files

# Buffers of older checkpoints, which today's classes compute by themselves.
COMPUTED = ("rotary_emb.inv_freq", "attention.bias", "attention.masked_bias")


def check_checkpoint(folder: Path) -> dict[str, Any]:
    """The config.json of a checkpoint folder. InputError where there is none, or no object."""
    if not folder.exists():
        raise InputError(f"{folder}: no such checkpoint folder")
    if not folder.is_dir():
        raise InputError(f"{folder}: a checkpoint is a folder, and this is a file")
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: no config.json, so this is no checkpoint folder")
    return read_document(folder / "config.json")


def check_chat(folder: Path, asking: str = "chat: true") -> None:
    """InputError where a checkpoint's tokenizer has no chat template, which `asking` asks for."""
    stated = folder / "tokenizer_config.json"
    if (folder / "chat_template.jinja").is_file():
        return
    if not stated.is_file() or not read_document(stated).get("chat_template"):
        raise InputError(f"{folder}: the tokenizer has no chat template, which {asking} asks for")


def check_backbone(folder: Path) -> dict[str, Any]:
    """The config.json of a folder that may be a backbone. InputError for what can be seen at once.

    That is a missing file, weights in pickles, and an architecture that is known not to work.
    """
    config = check_checkpoint(folder)
    if reason := refusal_of(config):
        raise InputError(f"{folder}: {reason}")
    check_files(folder, pickles=False)
    return config


def check_classifier(folder: Path) -> dict[str, Any]:
    """The config.json of a folder that may be a reward model with one score for a conversation.

    InputError for what can be seen at once: a missing file, weights in pickles, no chat template,
    another class, or another number of scores.
    """
    config = check_checkpoint(folder)
    check_files(folder, pickles=False)
    check_chat(folder, "sequence_classifier")
    classes = config.get("architectures")
    named = [str(name) for name in classes] if isinstance(classes, list) else []
    if not any(name.endswith("ForSequenceClassification") for name in named):
        raise InputError(
            f"{folder / 'config.json'}: no sequence classifier: architectures is {shown(classes)}, "
            "and names no class …ForSequenceClassification"
        )
    labels = config.get("id2label")
    many = len(labels) if isinstance(labels, Mapping) else config.get("num_labels", 2)
    if many != 1:
        raise InputError(
            f"{folder / 'config.json'}: a reward model gives one score, and this classifier has "
            f"{shown(many)} labels (id2label, 2 where it says nothing)"
        )
    return config


def check_judge(folder: Path) -> dict[str, Any]:
    """The config.json of a folder that may be a judge. InputError where a file is missing."""
    config = check_checkpoint(folder)
    check_files(folder, pickles=True)
    return config


def check_weights(
    folder: Path, report: Mapping[str, Collection[Any]], config: str = "config.json"
) -> None:
    """InputError unless every weight was loaded, and no other.

    `report` is transformers' account of a load, and `config` the file that says which weights
    there are. Without this check a weight that the files lack is drawn at random, and one that
    does not fit is left out, with a warning at most.
    """
    for fault, key in (
        ("lack", "missing_keys"),
        ("hold the unknown", "unexpected_keys"),
        ("hold in another shape", "mismatched_keys"),
    ):
        names = [name if isinstance(name, str) else name[0] for name in report.get(key, ())]
        odd = sorted(name for name in names if not name.endswith(COMPUTED))
        if odd:
            listed = ", ".join(odd[:5]) + (" …" if len(odd) > 5 else "")
            raise InputError(f"{folder}: the weights do not fit {config}: they {fault} {listed}")
