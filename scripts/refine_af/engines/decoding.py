"""From logits to tokens, and from tokens to a text's end: the rules of drawing and of stopping."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from refine_af.engines.replies import Finish
from refine_af.errors import InputError
from refine_af.models.encoding import special_names
from refine_af.settings.sampling import Sampling


def next_tokens(
    logits: torch.Tensor, seen: torch.Tensor, uniforms: torch.Tensor, sampling: Sampling
) -> torch.Tensor:
    """The next token of each row, (rows, 1), int64, from logits (rows, vocabulary).

    The presence penalty lowers the logits of the tokens that the row has `seen`, (rows,
    vocabulary), bool; then come temperature and nucleus sampling (arXiv 1904.09751). The row's
    number in `uniforms`, (rows,), float64 in [0, 1), picks by the cumulated probabilities,
    likeliest first. InputError where a logit is not finite.
    """
    if not bool(logits.isfinite().all()):
        raise InputError(
            "the model's logits are not finite: its weights, or its adapter's, are broken"
        )
    scores = logits.double()
    if sampling.presence_penalty:
        scores = scores - sampling.presence_penalty * seen
    if sampling.temperature == 0:
        return scores.argmax(-1, keepdim=True)
    probabilities = (scores / sampling.temperature).softmax(-1)
    # Stable: the order of equals must not depend on what else is in the batch.
    likeliest, tokens = probabilities.sort(dim=-1, descending=True, stable=True)
    below = likeliest.cumsum(-1) - likeliest
    # The nucleus: a token stays where those before it hold less than top_p, so the first does.
    likeliest = likeliest.masked_fill(below >= sampling.top_p, 0.0)
    cumulated = likeliest.cumsum(-1)
    target = uniforms[:, None] * cumulated[:, -1:]
    picked = torch.searchsorted(cumulated, target, right=True)
    # Rounding may lift the target to the whole sum, which lies behind the last token that stays.
    last = (likeliest > 0).sum(-1, keepdim=True) - 1
    return tokens.gather(-1, torch.minimum(picked, last))


def uniforms(seed: int, count: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) that one text's tokens are drawn with, (count,), float64."""
    return np.random.Generator(np.random.Philox(seed)).random(count)


class Stops:
    """Decides where a text ends; decodes it only after a token that can end it."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        sampling: Sampling,
        *,
        end_of_text: bool = True,
        also: Collection[int] = (),
    ) -> None:
        """Without `end_of_text` that token ends no text: writing goes on, and decoding drops it.

        `also` are further tokens that are an end of text.
        """
        self._tokenizer = tokenizer
        self._limit = sampling.max_new_tokens
        ends = getattr(model.generation_config, "eos_token_id", None)
        eos = {tokenizer.eos_token_id, *(ends if isinstance(ends, list) else [ends]), *also}
        self._eos = eos if end_of_text else set()
        special = special_names(tokenizer) if sampling.stop else {}
        # Those that name special tokens, which a text does not show, are looked for beside them.
        self._special = [
            string for string in sampling.stop if any(name in string for name in special)
        ]
        self._strings = [string for string in sampling.stop if string not in self._special]
        last = {string[-1] for string in sampling.stop}
        # A space may be decoded away and a character may come in byte-sized tokens: then any
        # token can complete a stop string.
        if any(not char.isascii() or char == " " for char in last):
            self._completing = None
        else:
            pieces = tokenizer.batch_decode([[i] for i in range(len(tokenizer))]) if last else []
            self._completing = {i for i, piece in enumerate(pieces) if last & set(piece)}

    def ended(self, tokens: Sequence[int]) -> tuple[str, Finish] | None:
        """The text and what ended it, if the last of `tokens` did; None where it goes on."""
        if tokens[-1] in self._eos:
            return self._decoded(tokens[:-1]), "eos"
        if self._completing is None or tokens[-1] in self._completing:
            before = [*self._before_strings(tokens), *self._before_special(tokens)]
            if before:
                return min(before, key=len), "stop"
        return (self._decoded(tokens), "length") if len(tokens) >= self._limit else None

    def _before_strings(self, tokens: Sequence[int]) -> list[str]:
        """The text before each stop string that stands in it."""
        if not self._strings:
            return []
        text = self._decoded(tokens)
        return [text[:place] for string in self._strings if (place := text.find(string)) >= 0]

    def _before_special(self, tokens: Sequence[int]) -> list[str]:
        """The same for the stop strings that name special tokens."""
        if not self._special:
            return []
        shown = self._decoded(tokens, special=True)
        places = [place for string in self._special if (place := shown.find(string)) >= 0]
        return [self._decoded_to(tokens, shown, place) for place in places]

    def _decoded_to(self, tokens: Sequence[int], shown: str, place: int) -> str:
        """The text of the first tokens, as far as `place` in what they show with special ones."""
        whole, written = len(tokens), shown
        while len(written) > place:
            whole -= 1
            written = self._decoded(tokens[:whole], special=True)
        return self._decoded(tokens[:whole]) + shown[len(written) : place]

    def _decoded(self, tokens: Sequence[int], *, special: bool = False) -> str:
        text = self._tokenizer.decode(
            tokens, skip_special_tokens=not special, clean_up_tokenization_spaces=False
        )
        return str(text)
