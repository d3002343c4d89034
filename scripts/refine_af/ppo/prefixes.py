"""What begins every prompt, as the policy and its reference read it."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from refine_af.models.prefix import Prefix
from refine_af.ppo.policy import Policy


class Prefixes:
    """The reference's reading, kept for good, and the policy's, kept until its weights change."""

    def __init__(self, policy: Policy, tokens: Sequence[int]) -> None:
        self._policy = policy
        self.tokens = tokens
        self._own: Prefix | None = None
        self._reference: Prefix | None = None

    def own(self, *, graph: bool = False) -> Prefix:
        """The policy's, which gradients can pass if `graph`.

        On a CPU they always can, so that a step's replies, their log-probabilities and its first
        update share one reading. On a GPU reading is quick, and replies want the memory that a
        graph takes.
        """
        if self._own is None or (graph and not self._own.graph):
            with torch.set_grad_enabled(graph or self._policy.model.device.type == "cpu"):
                self._own = self._policy.read(self.tokens)
        return self._own

    def forget(self) -> None:
        """Drop the policy's, whose graph serves once, and which other weights make another."""
        self._own = None

    @torch.no_grad()
    def reference(self) -> Prefix:
        """The reference's. Says once what memory it takes."""
        if self._reference is None:
            with self._policy.as_reference():
                self._reference = self._policy.read(self.tokens)
            if self.tokens:
                print(
                    f"the reference's keys and values of the {len(self.tokens):,} tokens that "
                    f"begin every prompt are kept: {self._reference.nbytes / 1e6:,.1f} MB",
                    flush=True,
                )
        return self._reference
