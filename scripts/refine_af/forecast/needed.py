"""The memory that a stage needs, part by part."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Needed:
    """Bytes of a stage's parts on a GPU, or in a process: the model's weights, what is trained with
    its optimizer, keys and values of texts that are written, activations, and the judges.
    """

    weights: float = 0.0
    trained: float = 0.0
    texts: float = 0.0
    activations: float = 0.0
    judges: float = 0.0

    @property
    def total(self) -> float:
        """All of it at once."""
        return self.weights + self.trained + self.texts + self.activations + self.judges
