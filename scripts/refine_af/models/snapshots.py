"""Where training stands, kept on disk to go on from: tensors, and a state in JSON."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from refine_af.errors import InputError
from refine_af.files.digests import sha256_of
from refine_af.files.documents import write_json
from refine_af.files.landing import whole_folder
from refine_af.models.device_faults import disk_faults

KEPT = 2  # the newest, and the one before it in case that file goes bad
NAME = re.compile(r"step_(\d+)")
TENSORS, STATE, DIGESTS = "tensors.safetensors", "state.json", "sha256.json"


@dataclass(frozen=True)
class Snapshot:
    """Training after `step` steps, in a folder whose files are as they were written."""

    step: int
    folder: Path
    state: dict[str, Any]

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name, on the CPU."""
        from safetensors.torch import load_file

        found: dict[str, Tensor] = load_file(self.folder / TENSORS)
        return found


def training_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The weights that train and the optimizer's state, by name; not copied."""
    tensors = {f"weights.{name}": entry.detach() for name, entry in _trained(model).items()}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    return tensors


@torch.no_grad()
def put_back(
    model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Make weights and optimizer what they were when `training_tensors` were taken.

    The optimizer may keep the given tensors, and update them in place. InputError where they are
    of other weights, as another version of a library may name them.
    """
    trained = {f"weights.{name}": weight for name, weight in _trained(model).items()}
    for name, weight in trained.items():
        if name not in tensors or tensors[name].shape != weight.shape:
            raise InputError(
                f"the checkpoint to go on from does not fit the model: it has no {name} of the "
                f"shape {tuple(weight.shape)}; delete the stage's folder in results/scratch"
            )
    for name, weight in trained.items():
        weight.copy_(tensors[name])
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, entry = rest.partition(".")
            states.setdefault(int(index), {})[entry] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": states})


def save_snapshot(
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    documents: Mapping[str, Mapping[str, Any]],
) -> None:
    """Land a snapshot beside the earlier ones, of which only the last then stays.

    `documents` are further JSON files of its folder, by name. InputError where it cannot be
    written; the earlier ones are then intact.
    """
    from safetensors.torch import save_file

    with whole_folder(folder / f"step_{step:06}") as place:
        with disk_faults():
            save_file(dict(tensors), place / TENSORS)
        for name, document in {STATE: {"step": step, **state}, **documents}.items():
            write_json(place / name, document)
        digests = {path.name: sha256_of(path) for path in sorted(place.iterdir())}
        write_json(place / DIGESTS, digests)
    _tidy(folder)


def newest_snapshot(folder: Path) -> Snapshot | None:
    """The newest snapshot in a folder, None where there is none.

    Damaged ones are reported and deleted, and the one before them is taken. What a killed save
    has left is deleted too. InputError where all are damaged.
    """
    damaged: list[Path] = []
    for path in _newest_first(folder):
        snapshot = _read(path)
        if snapshot:
            for other in damaged:
                print(f"{other}: a damaged checkpoint, deleted", flush=True)
                _delete(other)
            _tidy(folder)
            return snapshot
        damaged.append(path)
    if damaged:
        raise InputError(f"{folder}: every checkpoint is damaged; delete the folder to start anew")
    return None


def _read(path: Path) -> Snapshot | None:
    """A snapshot, None unless its files are those that were written, and no others."""
    try:
        digests = json.loads((path / DIGESTS).read_bytes())
        found = {entry.name: sha256_of(entry) for entry in path.iterdir() if entry.name != DIGESTS}
        state = json.loads((path / STATE).read_bytes())
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError, RecursionError):
        return None
    if digests != found or not isinstance(state, dict) or state.pop("step", None) != _step(path):
        return None
    return Snapshot(_step(path), path, state)


def _tidy(folder: Path) -> None:
    # A killed save leaves a folder with a temporary name, or one snapshot too many.
    for path in [*_newest_first(folder)[KEPT:], *folder.glob(".step_*.partial")]:
        _delete(path)


def _delete(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def _newest_first(folder: Path) -> list[Path]:
    found = [path for path in folder.iterdir() if NAME.fullmatch(path.name)]
    return sorted(found, key=_step, reverse=True)


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step_"))


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: entry for name, entry in model.named_parameters() if entry.requires_grad}
