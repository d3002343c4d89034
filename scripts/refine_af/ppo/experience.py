"""What PPO's updates of a step learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from refine_af.ppo.advantages import explained_variance
from refine_af.ppo.packing import Tokens


@dataclass(frozen=True)
class Experience:
    """A step's responses, and what the policy as it was before the step makes of them.

    Tensors are (rollouts, tokens), float32, 0 outside the mask. `log_ratios` are the policy's
    log-probabilities less the reference's; `entropy` is a mean over tokens, in nats.
    """

    rows: Sequence[Tokens]
    log_probs: Tensor
    log_ratios: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor
    mask: Tensor
    entropy: float

    def figures(self) -> dict[str, float]:
        """Figures of metrics.csv; `kl` is a mean of whole responses, to the reference, in nats."""
        return {
            "kl": float(self.log_ratios.sum(1).mean()),
            "entropy": self.entropy,
            "explained_variance": explained_variance(self.values, self.returns, self.mask),
            "response_length": float(self.mask.sum(1).mean()),
        }
