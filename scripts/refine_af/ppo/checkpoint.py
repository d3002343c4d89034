"""All that PPO's training changes: copied, put back, and kept on disk to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from refine_af.models import snapshots
from refine_af.ppo.floor import Moments


@dataclass(frozen=True)
class Checkpoint:
    """Training after `step` steps; random numbers depend on seed and step, so none are kept.

    `parsed` are of the rewards of all replies with an instance.
    """

    step: int
    kl_coefficient: float
    micro_batch: int
    parsed: Moments
    tensors: Mapping[str, Tensor]


def copied(policy: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The weights that train and the optimizer's state, by name, on the CPU."""
    tensors = snapshots.training_tensors(policy, optimizer)
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in tensors.items()}


def put_back(
    policy: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Make weights and optimizer what they were when `copied`; gradients are dropped."""
    # Copies: the optimizer updates the very tensors that it is given.
    own = {name: tensor.clone() for name, tensor in tensors.items()}
    snapshots.put_back(policy, optimizer, own)
    optimizer.zero_grad(set_to_none=True)


def save_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Land a checkpoint beside the earlier ones, of which only the last then stays.

    InputError where it cannot be written; the earlier ones are then intact.
    """
    state = {
        "kl_coefficient": checkpoint.kl_coefficient,
        "micro_batch": checkpoint.micro_batch,
        "parsed": asdict(checkpoint.parsed),
    }
    snapshots.save_snapshot(folder, checkpoint.step, checkpoint.tensors, state, documents={})


def newest_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint in a folder, None where there is none.

    Damaged ones are reported and deleted, and the one before them is taken. InputError where all
    are damaged.
    """
    found = snapshots.newest_snapshot(folder)
    if found is None:
        return None
    state = {**found.state, "parsed": Moments(**found.state["parsed"])}
    return Checkpoint(found.step, **state, tensors=found.tensors())
