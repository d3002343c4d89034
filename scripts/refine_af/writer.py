"""A backbone that completes one prompt file's prompts, loaded once and called often."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from refine_af.generation import Completion, generate
from refine_af.models import load_backbone, load_tokenizer
from refine_af.progress import Progress
from refine_af.settings import Sampling

Writer = Callable[[Sequence[str], Sequence[int]], list[Completion]]


def load_writer(
    backbone: Path,
    *,
    quantization: str,
    prefix: str,
    sampling: Sampling,
    adapter: Path | None = None,
    progress: Progress | None = None,
) -> Writer:
    """A function from prompts' tails and seeds, one a tail, to their completions, in order."""
    tokenizer = load_tokenizer(backbone)
    model = load_backbone(backbone, quantization=quantization, adapter=adapter)

    def write(tails: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        return generate(
            model,
            tokenizer,
            prefix=prefix,
            tails=tails,
            sampling=sampling,
            seeds=seeds,
            progress=progress,
        )

    return write
