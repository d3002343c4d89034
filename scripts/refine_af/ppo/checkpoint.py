"""All that PPO's training changes: copied, put back, and kept on disk to go on from."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from refine_af.errors import InputError
from refine_af.landing import whole_folder
from refine_af.records import write_json

KEPT = 2  # checkpoints: the newest, and the one before it in case that file goes bad
NAME = re.compile(r"step_(\d+)")
TENSORS, STATE = "tensors.safetensors", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """Training after `step` steps; random numbers depend on seed and step, so none are kept."""

    step: int
    kl_coefficient: float
    micro_batch: int
    tensors: Mapping[str, Tensor]


def copied(policy: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The weights that train and the optimizer's state, by name, on the CPU."""
    tensors = {f"policy.{name}": weight for name, weight in _trained(policy)}
    for index, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in state.items()}
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


@torch.no_grad()
def put_back(
    policy: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Make weights and optimizer what they were when `copied`; gradients are dropped."""
    for name, weight in _trained(policy):
        weight.copy_(tensors[f"policy.{name}"])
    states: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            index, _, entry = rest.partition(".")
            # The optimizer works in the tensors that it is given.
            states.setdefault(int(index), {})[entry] = tensor.clone()
    optimizer.load_state_dict(optimizer.state_dict() | {"state": states})
    optimizer.zero_grad(set_to_none=True)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Land a checkpoint beside the earlier ones, of which only the last then stays.

    InputError where it cannot be written; the earlier ones are whole then.
    """
    from safetensors.torch import save

    data = save(dict(checkpoint.tensors))
    with whole_folder(folder / f"step_{checkpoint.step:06}") as place:
        (place / TENSORS).write_bytes(data)
        state = {
            "step": checkpoint.step,
            "kl_coefficient": checkpoint.kl_coefficient,
            "micro_batch": checkpoint.micro_batch,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        write_json(place / STATE, state)
    _tidy(folder)


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in a folder, None where there is none.

    A damaged one is said and deleted, and the one before it taken. InputError where all are.
    """
    damaged: list[Path] = []
    for path in _newest_first(folder):
        checkpoint = _read(path)
        if checkpoint:
            for other in damaged:
                print(f"{other}: a damaged checkpoint, deleted", flush=True)
                shutil.rmtree(other)
            return checkpoint
        damaged.append(path)
    if damaged:
        raise InputError(f"{folder}: every checkpoint is damaged; delete the folder to start anew")
    return None


def _read(path: Path) -> Checkpoint | None:
    """A checkpoint, None unless its bytes are those that were written."""
    from safetensors.torch import load

    try:
        data = (path / TENSORS).read_bytes()
        state = json.loads((path / STATE).read_bytes())
        if state.pop("sha256") != hashlib.sha256(data).hexdigest():
            return None
        return Checkpoint(**state, tensors=load(data))
    except (FileNotFoundError, ValueError, TypeError, AttributeError, LookupError):
        return None


def _newest_first(folder: Path) -> list[Path]:
    found = {path: NAME.fullmatch(path.name) for path in folder.iterdir()}
    steps = {path: int(match[1]) for path, match in found.items() if match}
    return sorted(steps, key=lambda path: -steps[path])


def _tidy(folder: Path) -> None:
    # A save that was killed leaves its folder under another name.
    for path in [*_newest_first(folder)[KEPT:], *folder.glob(".step_*.partial")]:
        shutil.rmtree(path)


def _trained(policy: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, entry) for name, entry in policy.named_parameters() if entry.requires_grad)
