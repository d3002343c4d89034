"""What is known of checkpoints, published ones and those that are here; no weight is read."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.models.stored_weights import Counts, stored_weights
from refine_af.settings.checkpoints import HUB
from refine_af.settings.demo import Demo, TinyBackbone
from refine_af.settings.lora import Lora

Linears = Mapping[str, tuple[int, int, int]]
# Model types whose layers are these: queries, keys, values, output; gate, up, down; no biases.
GATED = ("llama", "mistral")


@dataclass(frozen=True)
class Shape:
    """What decides a language model's memory and time.

    `query` and `keys` are the widths of a layer's queries and keys; `linears` are its linear layers
    but the last, by name: how many, and from what to what width. `counts` are its weights, and
    `stored` the bytes of their files. `source` says where all this is from.
    """

    layers: int
    width: int
    query: int
    keys: int
    vocabulary: int
    linears: Linears
    counts: Counts
    stored: float
    source: str

    @property
    def passed(self) -> int:
        """The weights of its linear layers, which every token passes; without the last."""
        return sum(count * before * after for count, before, after in self.linears.values())

    @property
    def head(self) -> int:
        """The weights of its last layer, from a hidden state to the logits."""
        return self.width * self.vocabulary

    def adapted(self, lora: Lora) -> int:
        """How many numbers a LoRA adapter trains."""
        chosen = [entry for name, entry in self.linears.items() if _is_target(name, lora.targets)]
        return lora.r * sum(count * (before + after) for count, before, after in chosen)


def _is_target(name: str, targets: str | tuple[str, ...]) -> bool:
    if isinstance(targets, str):
        return targets == "all-linear" or re.fullmatch(targets, name) is not None
    return name in targets


def of_config(config: Mapping[str, Any], source: str, *, bytes_each: int = 2) -> Shape | None:
    """The shape that a config.json describes; None where its model's layers are not known here."""
    if config.get("model_type") not in GATED:
        return None
    sizes = _sizes(config)
    layers, width, query, keys = (sizes[name] for name in ("layers", "width", "query", "keys"))
    inner, vocabulary = config["intermediate_size"], sizes["vocabulary"]
    linears = {
        "q_proj": (layers, width, query),
        "k_proj": (layers, width, keys),
        "v_proj": (layers, width, keys),
        "o_proj": (layers, query, width),
        "gate_proj": (layers, width, inner),
        "up_proj": (layers, width, inner),
        "down_proj": (layers, inner, width),
    }
    linear = sum(math.prod(entry) for entry in linears.values())
    tables = vocabulary * width * (1 if config.get("tie_word_embeddings") else 2)
    counts = Counts(linear + tables + (2 * layers + 1) * width, linear)
    return Shape(
        **sizes, linears=linears, counts=counts, stored=counts.weights * bytes_each, source=source
    )


def of_folder(folder: Path) -> Shape:
    """The shape of a checkpoint in a folder. InputError where its files do not say it."""
    config = read_document(folder / "config.json")
    text = config.get("text_config")
    sizes = _sizes({**config, **text} if isinstance(text, Mapping) else config)
    found, linears = stored_weights(folder), dict[str, tuple[int, int, int]]()
    for name, (after, before) in found.linears:
        key = name.removesuffix(".weight").rpartition(".")[2]
        count = linears.get(key, (0, 0, 0))[0]
        linears[key] = (count + 1, before, after)
    stored = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return Shape(
        **sizes, linears=linears, counts=found.counts, stored=stored, source="its own files"
    )


def _sizes(config: Mapping[str, Any]) -> dict[str, int]:
    """Layers, widths and vocabulary. InputError where a config.json names none."""
    found = {}
    for key, names in NAMES.items():
        value = next((config[name] for name in names if config.get(name)), None)
        if type(value) is not int or value < 1:
            raise InputError(f"config.json: {names[0]} is no count: {value!r}")
        found[key] = value
    heads = found.pop("heads")
    each = config.get("head_dim") or found["width"] // heads
    groups = config.get("num_key_value_heads") or heads
    return {**found, "query": heads * each, "keys": groups * each}


NAMES = {
    "layers": ("num_hidden_layers", "n_layer"),
    "width": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
}


def cached(checkpoint: str) -> Path | None:
    """A hub checkpoint's config.json in the hub's own cache on this machine, if it is there."""
    hub = HUB.fullmatch(checkpoint)
    home = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser()
    root = Path(os.environ.get("HF_HUB_CACHE", home / "hub"))
    if hub is None:
        return None
    folder = root / f"models--{hub['repository'].replace('/', '--')}" / "snapshots"
    found = sorted(folder.glob(f"{hub['revision']}*/config.json"))
    return found[0] if found else None


@dataclass(frozen=True)
class Published:
    """A published checkpoint: its config.json's shape, weights, the bytes of their files, and
    whether its licence is to be accepted first.
    """

    config: Mapping[str, Any]
    weights: int
    stored: int
    gated: bool


def published(table: Path) -> dict[str, Published]:
    """The shipped table, by organisation/name."""
    document = read_document(table)
    return {
        name: Published(entry["config"], entry["weights"], entry["bytes"], entry["gated"])
        for name, entry in document.items()
    }


def repository(checkpoint: str) -> str:
    """The organisation/name of a checkpoint of the hub; "" of another one."""
    hub = HUB.fullmatch(checkpoint)
    return hub["repository"] if hub else ""


class Checkpoints:
    """What can be told of the checkpoints of an experiment; nothing is fetched."""

    def __init__(self, table: Mapping[str, Published], demo: Demo | None) -> None:
        self.table, self._demo = table, demo

    def shape(self, checkpoint: str, folders: list[Path]) -> Shape | None:
        """A backbone's shape, by its files in one of the `folders`, its config.json in the hub's
        cache, the shipped table or the demo's settings; None where none of them tells.
        """
        here = next((folder for folder in folders if (folder / "config.json").is_file()), None)
        if here is not None:
            return of_folder(here)
        if (config := cached(checkpoint)) is not None:
            return of_config(read_document(config), "its config.json, in the hub's cache")
        if (known := self.table.get(repository(checkpoint))) is not None:
            return of_config(known.config, "the shipped table")
        made = self._demo.backbones.get(Path(checkpoint).name) if self._demo else None
        if made is None or self._demo is None:
            return None
        return of_config(_demo_config(made, self._demo.vocabulary), "section demo", bytes_each=4)

    def described(self, checkpoint: str, folders: list[Path]) -> Path | Mapping[str, Any]:
        """What tells the architecture of a backbone whose shape is known: the folder of its
        config.json, or what that says.
        """
        config = cached(checkpoint)
        places = [*folders, *([config.parent] if config else [])]
        here = next((folder for folder in places if (folder / "config.json").is_file()), None)
        if here is not None:
            return here
        if (known := self.table.get(repository(checkpoint))) is not None:
            return known.config
        assert self._demo is not None, f"{checkpoint}: its shape is not known"
        return _demo_config(self._demo.backbones[Path(checkpoint).name], self._demo.vocabulary)

    def judge(self, checkpoint: str, folders: list[Path]) -> tuple[float, float]:
        """A judge's weights, and the bytes of their files; (0, 0) where nothing tells."""
        for folder in folders:
            files = [*folder.glob("*.safetensors"), *folder.glob("pytorch_model*.bin")]
            if stored := sum(file.stat().st_size for file in files):
                return stored / 4, stored  # judges are published in 32 bits
        known = self.table.get(repository(checkpoint))
        return (known.weights, known.stored) if known else (0.0, 0.0)


def _demo_config(made: TinyBackbone, vocabulary: int) -> dict[str, Any]:
    return {
        "model_type": made.architecture,
        "hidden_size": made.hidden_size,
        "intermediate_size": made.intermediate_size,
        "num_hidden_layers": made.layers,
        "num_attention_heads": made.heads,
        "num_key_value_heads": made.key_value_heads,
        "vocab_size": vocabulary,
        "tie_word_embeddings": True,
    }


def lines_of(path: Path, otherwise: int) -> int:
    """How many lines a file has that is there, or else as many as is said."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return otherwise
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    return sum(bool(line.strip()) for line in text.split("\n"))
