"""What is known of published checkpoints before they are fetched, and of those that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.forecast.shapes import Shape, cached, of_config, of_folder
from refine_af.settings.checkpoints import HUB
from refine_af.settings.demo import Demo, TinyBackbone


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
