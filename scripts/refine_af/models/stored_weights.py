"""What the headers of a checkpoint's files say of its weights, so that none need be read."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.models.weight_files import OTHER_SENSES, weight_files

# Parts of a model that bitsandbytes leaves as they are: tables from and to tokens and places, and
# experts, which stand side by side in one tensor once they are loaded.
TABLES = re.compile(r"embed|(^|\.)(wte|wpe|lm_head|output)\.")
EXPERTS = re.compile(r"(^|\.)experts\.")
# Bytes of a weight in 4 bits: half of one, a byte for every 64 of them, and 4 for every 256 of
# these (double quantisation, QLoRA, arXiv 2305.14314, section 3).
FOUR_BITS = 0.5 + 1 / 64 + 4 / (64 * 256)
SIXTEEN_BITS = 2
# Of a weight that is trained itself, all in 32 bits: it, its gradient, and Adam's two moments.
TRAINED = 16


class Counts(NamedTuple):
    """How many weights a checkpoint has, and how many of them 4 bits can hold."""

    weights: int
    four_bits: int

    @property
    def share(self) -> float:
        """The share of the weights that can be held in 4 bits, 0 to 1."""
        return self.four_bits / self.weights

    def memory(self, quantization: str) -> float:
        """Bytes of the weights alone on a GPU, under `quantization` (nf4 or none)."""
        small = self.four_bits if quantization == "nf4" else 0
        return small * FOUR_BITS + (self.weights - small) * SIXTEEN_BITS


@dataclass(frozen=True)
class Stored:
    """The weights of a checkpoint, and the names and shapes, (out, in), of its linear layers."""

    counts: Counts
    linears: Sequence[tuple[str, tuple[int, int]]]


def stored_weights(folder: Path) -> Stored:
    """The language model's weights in a folder of safetensors, by names and shapes in headers.

    InputError where a file holds no such header, or no weights.
    """
    from safetensors import SafetensorError, safe_open

    names = {entry.name for entry in folder.iterdir() if entry.is_file()}
    files = weight_files(
        names, lambda name: (folder / name).read_bytes(), str(folder), pickles=False
    )
    config = read_document(folder / "config.json")
    weights, linears = 0, list[tuple[str, tuple[int, int]]]()
    for name in files:
        try:
            with safe_open(folder / name, framework="numpy") as opened:
                keys = [key for key in list(opened.keys()) if not OTHER_SENSES.search(key)]
                shapes = {key: opened.get_slice(key).get_shape() for key in keys}
        except (SafetensorError, OSError) as error:
            raise InputError(f"{folder / name}: no safetensors file: {error}") from None
        for key, shape in shapes.items():
            weights += math.prod(shape)
            if _is_linear(key, shape, config.get("vocab_size")):
                linears.append((key, (shape[0], shape[1])))
    if not weights:
        raise InputError(f"{folder}: its files hold no weights")
    four_bits = sum(math.prod(shape) for _, shape in linears)
    return Stored(Counts(weights, four_bits), linears)


def _is_linear(name: str, shape: list[int], vocabulary: object) -> bool:
    plain = len(shape) == 2 and name.endswith(".weight") and vocabulary not in shape
    return plain and not TABLES.search(name) and not EXPERTS.search(name)
