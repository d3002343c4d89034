"""What the tests of PPO share: settings, rows of tokens, and plain computations of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from refine_af.ppo.policy import Policy, Row, new_policy
from refine_af.ppo.settings import Ppo
from refine_af.settings import Lora
from tiny import ROOT

SETTINGS: dict[str, Any] = {
    "algorithm": "ppo",
    "seed": 0,
    "steps": 3,
    "rollouts": 4,
    "generations": 1,
    "batch_size": 2,
    "gradient_accumulation_steps": 2,
    "epochs": 2,
    "learning_rate": 1e-3,
    "value_learning_rate": 1e-3,
    "max_grad_norm": 1.0,
    "gamma": 1.0,
    "lam": 0.95,
    "clip": 0.2,
    "value_clip": 0.2,
    "value_coefficient": 0.1,
    "kl": {"coefficient": 0.2, "adaptive": True, "target": 6.0, "horizon": 10000.0},
    "lora": {"r": 4, "alpha": 8, "dropout": 0.0, "targets": "all-linear"},
    "quantization": "none",
    "sampling": {
        "temperature": 1.0,
        "top_p": 1.0,
        "presence_penalty": 0.0,
        "max_new_tokens": 24,
        "stop": ["Task"],
    },
    "reward": {
        "scorer": "refine_af.rewards.Scorer",
        "model": "reward_model",
        "evaluator": "evaluator",
        "max_length": 64,
        "weights": {
            "reward_model": 0.0078,
            "naturalness": 0.3212,
            "coherence": 0.1520,
            "understandability": -0.4421,
            "constant": -0.0274,
            "unparseable": -0.6,
        },
    },
    "evaluation_prompts": 5,
    "samples_every": 2,
}
WATCH: dict[str, Any] = {
    **yaml.safe_load((ROOT / "demo" / "config.yaml").read_text())["watch"]["ppo"],
    "least_parsed": 0.05,
    "checkpoint_every": 2,
}
PREFIX = [1, *range(100, 140)]
ROWS = [
    Row(tail=(50, 51, 52), response=(60, 61, 62, 63)),
    Row(tail=(53,), response=(64, 2)),
    Row(tail=(54, 55), response=()),
    Row(tail=(56, 57, 58, 59), response=(65,)),
]


def ppo_settings(**changes: Any) -> Ppo:
    return Ppo.model_validate(SETTINGS | changes)


def moved_policy(backbone: Path, quantization: str = "none") -> Policy:
    """A policy that has moved: random adapter and value head."""
    lora = Lora(r=4, alpha=8, dropout=0.0, targets="all-linear")
    policy = new_policy(backbone, lora, quantization=quantization, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B" in name or "value_head" in name:
                parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return policy


def full_rows(
    policy: Policy, prefix: list[int], rows: Sequence[Row], temperature: float
) -> list[tuple[Tensor, Tensor]]:
    """Log-probabilities and values from one unpadded row at a time, through the whole model."""
    found = []
    for row in rows:
        ids = torch.tensor([[*prefix, *row.tail, *row.response]])
        out = policy.model(input_ids=ids, output_hidden_states=True)
        count = len(row.response)
        places = slice(ids.shape[1] - count - 1, ids.shape[1] - 1)
        log_probs = (out.logits[0, places].float() / temperature).log_softmax(-1)
        targets = torch.tensor(row.response, dtype=torch.long)[:, None]
        values = policy.value_head(out.hidden_states[-1][0, places].float())[:, 0]
        found.append((log_probs.gather(-1, targets)[:, 0], values))
    return found


def gradients(policy: Policy) -> Tensor:
    found = [entry.grad.flatten() for entry in policy.parameters() if entry.grad is not None]
    policy.zero_grad()
    return torch.cat(found)
