"""From tokens to a text, and to its end: the rules of stopping."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from refine_af.engines.replies import Ending, Finish
from refine_af.models.encoding import special_names
from refine_af.settings.sampling import Sampling

ASKED = 32  # tokens after which an ending is asked, whatever they are


def ends_of_text(tokenizer: Any, generation_config: Any, also: Collection[int]) -> frozenset[int]:
    """The tokens that end a text: the tokenizer's, the checkpoint's own, and `also`."""
    own = getattr(generation_config, "eos_token_id", None)
    ends = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own]), *also}
    return frozenset(end for end in ends if end is not None)


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
        signs: str = "",
    ) -> None:
        """Without `end_of_text` that token ends no text: writing goes on, and decoding drops it.

        `also` are further tokens that are an end of text, `signs` those of all endings.
        """
        self._tokenizer = tokenizer
        self._limit = sampling.max_new_tokens
        eos = ends_of_text(tokenizer, model.generation_config, also)
        self._eos = eos if end_of_text else frozenset()
        special = special_names(tokenizer) if sampling.stop else {}
        # Those that name special tokens, which a text does not show, are looked for beside them.
        self._special = [
            string for string in sampling.stop if any(name in string for name in special)
        ]
        self._strings = [string for string in sampling.stop if string not in self._special]
        last = {string[-1] for string in sampling.stop}
        pieces: list[str] = []
        if last or signs:
            pieces = tokenizer.batch_decode([[i] for i in range(len(tokenizer))])
        self._asking = {i for i, piece in enumerate(pieces) if set(signs) & set(piece)}
        # A space may be decoded away and a character may come in byte-sized tokens: then any
        # token can complete a stop string.
        if any(not char.isascii() or char == " " for char in last):
            self._completing = None
        else:
            self._completing = {i for i, piece in enumerate(pieces) if last & set(piece)}

    def ended(
        self, tokens: Sequence[int], ending: Ending | None = None
    ) -> tuple[str, Finish] | None:
        """The text and what ended it, if the last of `tokens` did; None where it goes on."""
        if tokens[-1] in self._eos:
            return self._decoded(tokens[:-1]), "eos"
        if self._completing is None or tokens[-1] in self._completing:
            before = [*self._before_strings(tokens), *self._before_special(tokens)]
            if before:
                return min(before, key=len), "stop"
        if ending and self._is_asked(tokens):
            text = self._decoded(tokens)
            if (place := ending.place(text)) is not None:
                return text[:place], "cut"
        return (self._decoded(tokens), "length") if len(tokens) >= self._limit else None

    def _is_asked(self, tokens: Sequence[int]) -> bool:
        """Whether a sign, or what follows one, was written last."""
        return len(tokens) % ASKED == 0 or not self._asking.isdisjoint(tokens[-2:])

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
