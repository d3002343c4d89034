"""Training of the demo's tiny models from scratch: Muon for matrices, AdamW for the rest."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from refine_af.jobs.progress import Progress

# Newton–Schulz coefficients of Muon (K. Jordan, 2024), which take all singular values near 1.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
WARMUP, FLOOR = 0.05, 0.05  # shares of the steps and of the learning rate


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum, scaled so that AdamW's learning rates fit.

    Sources: K. Jordan, "Muon", 2024; the scale from arXiv 2502.16982, section 2.2.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(
            list(matrices), {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix; matrices of one shape are orthogonalised together."""
        for group in self.param_groups:
            for alike in _by_shape(group["params"]).values():
                updates = torch.stack([self._momentum(p, group["momentum"]) for p in alike])
                for parameter, update in zip(alike, orthogonal(updates), strict=True):
                    turned = update.T if _is_tall(parameter) else update
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    scale = 0.2 * math.sqrt(max(parameter.shape))
                    parameter.add_(turned, alpha=-group["lr"] * scale)

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> torch.Tensor:
        """The Nesterov momentum of a matrix, turned so that it is no taller than wide."""
        gradient = parameter.grad
        assert gradient is not None, "every matrix of a tiny model takes part in its loss"
        state = self.state[parameter]
        held = state.setdefault("momentum", torch.zeros_like(parameter))
        held.mul_(momentum).add_(gradient)
        update: torch.Tensor = gradient + momentum * held
        return update.T if _is_tall(parameter) else update


def orthogonal(matrices: torch.Tensor) -> torch.Tensor:
    """Roughly the nearest half-orthogonal matrices, (count, rows, columns), rows ≤ columns."""
    a, b, c = COEFFICIENTS
    x: torch.Tensor = matrices / (matrices.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


def _is_tall(matrix: torch.Tensor) -> bool:
    return matrix.shape[0] > matrix.shape[1]


def _by_shape(matrices: Iterable[nn.Parameter]) -> dict[tuple[int, ...], list[nn.Parameter]]:
    alike: dict[tuple[int, ...], list[nn.Parameter]] = {}
    for matrix in matrices:
        alike.setdefault(tuple(sorted(matrix.shape)), []).append(matrix)
    return alike


def train(
    model: Any,
    loss_of: Callable[[int], torch.Tensor],
    *,
    steps: int,
    learning_rate: float,
) -> None:
    """Minimise `loss_of(step)` over the model's parameters, with warm-up and cosine decay."""
    embeddings = {
        id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)
    }
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in model.parameters():
        is_matrix = parameter.dim() == 2 and min(parameter.shape) > 1
        (matrices if is_matrix and id(parameter) not in embeddings else rest).append(parameter)
    optimizers = [
        Muon(matrices, learning_rate),
        torch.optim.AdamW(rest, learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    progress = Progress(steps, "steps")
    model.train()
    for step in range(steps):
        loss = loss_of(step)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * _schedule(step, steps)
            optimizer.step()
            optimizer.zero_grad()
        progress.advance(note=f"loss {loss.item():.3f}")
    model.eval()


def _schedule(step: int, steps: int) -> float:
    """The share of the learning rate at a step: linear warm-up, then a cosine to the floor."""
    warmup = max(1, round(WARMUP * steps))
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return FLOOR + (1 - FLOOR) * 0.5 * (1 + math.cos(math.pi * done))
