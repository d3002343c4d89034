"""What a model answers greedily, round by round, each reply on disk before it is used."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from refine_af.engines.replies import Group, Reply
from refine_af.engines.reply_log import ReplyLog
from refine_af.errors import InputError, shown
from refine_af.jobs.progress import Progress
from refine_af.settings.sampling import Sampling

Load = Callable[[], tuple[Any, Any]]


def model_of(backbone: Path, adapter: Path | None, quantization: str) -> Load:
    """Gives a backbone with its adapter, and its tokenizer; loaded when first asked for."""

    @cache
    def load() -> tuple[Any, Any]:
        from refine_af.models.backbones import load_backbone, load_tokenizer

        model = load_backbone(backbone, quantization=quantization, adapter=adapter)
        return model, load_tokenizer(backbone)

    return load


def context_of(backbone: Path) -> int | None:
    """How many tokens a model reads and writes at most; None where its config.json sets no end."""
    from transformers import AutoConfig

    from refine_af.models.backbones import LOAD_FAULTS

    try:
        config = AutoConfig.from_pretrained(backbone, local_files_only=True)
    except LOAD_FAULTS as error:
        wrong = shown(str(error), 300)
        raise InputError(f"{backbone}: no model's config.json: {wrong}") from None
    room = getattr(config, "max_position_embeddings", None)
    return room if isinstance(room, int) else None


def greedy(max_new_tokens: int, stop: tuple[str, ...]) -> Sampling:
    """At each token the likeliest one."""
    return Sampling(
        temperature=0.0,
        top_p=1.0,
        presence_penalty=0.0,
        max_new_tokens=max_new_tokens,
        stop=stop,
    )


class Answers:
    """A model's replies to rounds of prompts, kept in a folder: none of them is asked for twice.

    What shares a batch decides a reply's last bits: a round that was cut off is written again,
    in the same batch, and those of its replies that the folder holds stay.
    """

    def __init__(
        self,
        load: Load,
        sampling: Sampling,
        *,
        end_of_text: bool,
        progress: Progress,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`end_of_text` says whether that token ends a reply; else it is read over."""
        self._load, self._sampling, self._end_of_text = load, sampling, end_of_text
        self._progress, self._clock = progress, clock

    def round(self, number: int, groups: Sequence[Group], folder: Path) -> list[Reply]:
        """The replies to a round's prompts, in order; on disk in `folder` when this returns."""
        tails = [tail for group in groups for tail in group.tails]
        began, count, tokens = self._clock(), 0, 0

        def came(_: int, reply: Reply) -> None:
            nonlocal count, tokens
            count += 1
            tokens += reply.tokens
            self._progress.advance()

        def engine(
            tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
        ) -> Iterator[tuple[int, Reply]]:
            nonlocal began
            self._load()
            began = self._clock()  # the rate is that of writing
            yield from self._written(groups)

        with closing(ReplyLog(folder / f"{number}.jsonl", engine)) as log:
            if known := log.known(number):
                self._progress.skip(min(known, len(tails)))
            replies = log.replies(number, tails, [0] * len(tails), came)
        if count:
            seconds = max(self._clock() - began, 1e-9)
            self._progress.line(
                f"round {number}: {count} replies · {count / seconds:,.1f} replies/s · "
                f"{tokens / seconds:,.0f} tokens/s"
            )
        return replies

    def _written(self, groups: Sequence[Group]) -> Iterator[tuple[int, Reply]]:
        from refine_af.engines.generation import completions_of

        model, tokenizer = self._load()
        for place, made in completions_of(
            model,
            tokenizer,
            groups,
            sampling=self._sampling,
            seeds=[0] * sum(len(group.tails) for group in groups),
            end_of_text=self._end_of_text,
        ):
            yield place, Reply(made.text, made.finish, made.prompt_tokens, len(made.tokens))
