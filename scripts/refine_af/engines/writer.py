"""A backbone that completes one prompt file's prompts, loaded once and called often."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from refine_af.engines.generation import completions
from refine_af.engines.replies import Engine, Reply
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.settings.sampling import Sampling


def load_writer(
    backbone: Path,
    *,
    quantization: str,
    prefix: str,
    sampling: Sampling,
    adapter: Path | None = None,
) -> Engine:
    """The engine `transformers`: replies depend on the backbone, the prompts and the seeds alone.

    All replies of a call are written side by side, which decides their last bits: with some of
    them `answered`, all are written again, and come out the same.
    """
    tokenizer = load_tokenizer(backbone)
    model = load_backbone(backbone, quantization=quantization, adapter=adapter)

    def write(
        tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        for place, made in completions(
            model, tokenizer, prefix=prefix, tails=tails, sampling=sampling, seeds=seeds
        ):
            yield place, Reply(made.text, made.finish, made.prompt_tokens, len(made.tokens))

    return write
