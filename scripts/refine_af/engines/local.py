"""A backbone in this process, with an adapter or none: loaded at the first call."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from refine_af.engines.replies import Group, Reply
from refine_af.errors import InputError, shown
from refine_af.settings.sampling import Sampling

Load = Callable[[], tuple[Any, Any]]


class LocalEngine:
    """An engine whose replies depend on the model, the prompts and the seeds alone.

    All replies of a call are written side by side, and what shares a batch decides their last
    bits. So where some are `answered` already, all are written again, and come out the same.
    """

    def __init__(
        self,
        load: Load,
        sampling: Sampling,
        *,
        chat: bool = False,
        end_of_text: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load` gives model and tokenizer, and is called once.

        `chat` says whether a prompt is put through the tokenizer's chat template, as one turn.
        `end_of_text` says whether that token ends a reply; otherwise the reply goes on after it.
        """
        self._load, self._sampling, self._end_of_text = load, sampling, end_of_text
        self._chat, self._clock = chat, clock
        self._loaded: tuple[Any, Any] | None = None
        self.loading_s, self.origin = 0.0, ""

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        if self._loaded is None:
            began = self._clock()
            self._loaded = self._load()
            self.loading_s = self._clock() - began
        from refine_af.engines.generation import completions
        from refine_af.models.chat import chat_of

        for place, made in completions(
            *self._loaded,
            groups,
            sampling=self._sampling,
            seeds=seeds,
            chat=chat_of(self._loaded[1]) if self._chat else None,
            end_of_text=self._end_of_text,
        ):
            yield place, Reply(made.text, made.finish, made.prompt_tokens, len(made.tokens))


def model_of(backbone: Path, adapter: Path | None, quantization: str) -> Load:
    """A function that loads a backbone, with its adapter if any, and its tokenizer.

    It tries the architecture before the weights are read, and a small batch afterwards.
    """

    def load() -> tuple[Any, Any]:
        from refine_af.engines.self_check import check_batching
        from refine_af.models.backbones import load_backbone, load_tokenizer
        from refine_af.models.readiness import check_generation

        check_generation(backbone)
        tokenizer = load_tokenizer(backbone)
        model = load_backbone(backbone, quantization=quantization, adapter=adapter)
        check_batching(model, tokenizer)
        return model, tokenizer

    return load


def context_of(backbone: Path) -> int | None:
    """The most tokens of a prompt with its reply; None where config.json sets no limit.

    InputError where the folder has no config.json that transformers can read.
    """
    from transformers import AutoConfig

    from refine_af.models.backbones import LOAD_FAULTS
    from refine_af.models.shapes import room_of

    try:
        config = AutoConfig.from_pretrained(backbone, local_files_only=True)
    except LOAD_FAULTS as error:
        wrong = shown(str(error), 300)
        raise InputError(f"{backbone}: no model's config.json: {wrong}") from None
    return room_of(config.get_text_config(decoder=True))
