"""The files of a checkpoint: which hold its weights, as their index says, and its tokenizer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from pathlib import Path

from refine_af.errors import InputError, shown

VOCABULARY = frozenset({"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json"})
# In order of preference: a .bin is a pickle, read only where a judge has nothing else.
SAFETENSORS = ("model", "safetensors")
PICKLES = ("pytorch_model", "bin")
# Where a model that reads more than text keeps what reads the rest, which is not loaded.
OTHER_SENSES = re.compile(r"(^|\.)(vision|visual|audio|multi_?modal|embed_vision|embed_audio)\w*\.")

Read = Callable[[str], bytes]


def index_of(names: Collection[str]) -> set[str]:
    """The index that says which files hold the weights; none where it is one file, or missing."""
    for stem, suffix in (SAFETENSORS, PICKLES):
        if f"{stem}.{suffix}" in names:
            return set()
        if (index := f"{stem}.{suffix}.index.json") in names:
            return {index}
    return set()


def weight_files(names: Collection[str], read: Read, source: str, *, pickles: bool) -> list[str]:
    """The files among `names` that hold the weights, in order, safetensors where there are any.

    `read` gives the bytes of an index. InputError where a file is missing, and, without
    `pickles`, where there are no others.
    """
    found = _one_format(names, read, source)
    if found[0].endswith(".bin") and not pickles:
        raise InputError(
            f"{source}: its weights are pickles alone ({found[0]}), which no stage reads for a "
            "backbone; take a commit that holds safetensors, or convert them with transformers "
            "(from_pretrained, then save_pretrained)"
        )
    return found


def _one_format(names: Collection[str], read: Read, source: str) -> list[str]:
    for stem, suffix in (SAFETENSORS, PICKLES):
        if f"{stem}.{suffix}" in names:
            return [f"{stem}.{suffix}"]
        index = f"{stem}.{suffix}.index.json"
        if index in names:
            wanted = _indexed(read(index), f"{source}: {index}", suffix)
            missing = [name for name in wanted if name not in names]
            if missing:
                raise InputError(
                    f"{source}: incomplete weights: {len(wanted) - len(missing)} of {len(wanted)} "
                    f"files: {index} names {missing[0]}, which is not there"
                )
            return wanted
        parts = [name for name in names if name.startswith(stem) and name.endswith(f".{suffix}")]
        if parts:
            raise InputError(f"{source}: incomplete weights: {len(parts)} files, and no {index}")
    raise InputError(f"{source}: holds no weights (model.safetensors or pytorch_model.bin)")


def _indexed(content: bytes, what: str, suffix: str) -> list[str]:
    """The files that an index names, in order."""
    try:
        table = json.loads(content)["weight_map"]
        found = sorted({str(name) for name in table.values()})
    except (ValueError, TypeError, LookupError, AttributeError):
        raise InputError(f"{what}: no index of weights: it has no weight_map of names") from None
    odd = [name for name in found if "/" in name or not name.endswith(f".{suffix}")]
    if odd or not found:
        raise InputError(f"{what}: its weight_map names no file of weights: {shown(odd)}")
    return found


def check_files(folder: Path, *, pickles: bool) -> None:
    """InputError unless a folder holds a tokenizer, and all its weights."""
    names = {entry.name for entry in folder.iterdir() if entry.is_file()}
    if not VOCABULARY & names:
        raise InputError(f"{folder}: holds no tokenizer (one of {', '.join(sorted(VOCABULARY))})")
    weight_files(names, lambda name: (folder / name).read_bytes(), str(folder), pickles=pickles)
