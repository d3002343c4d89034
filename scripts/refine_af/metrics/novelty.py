"""The novelty filter of the pool: a text enters unless its ROUGE-L with one in it is too high."""

from __future__ import annotations

import re
import sys
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

from refine_af.errors import shown
from refine_af.words import TOKENIZERS

DECIMAL = re.compile(r"[0-9]+(\.[0-9]+)?")

LARGEST_CHARACTER = sys.maxunicode
FIRST_LOOK = 0.8  # of the highest bound: the nearest text is most often among these
ROOM = 256  # texts that a new index has room for
COMMON = 1 / 32  # of the texts: above it, a byte for every text is faster than a list of some

Occurrence = str | tuple[str, int]
"""A token with how often it occurred before: a, b, (a, 1), (a, 2) for a b a a."""


@dataclass(frozen=True)
class Verdict:
    """Whether a text is new, and if not why: "similar" or "no tokens".

    `rouge_l` is the highest ROUGE-L F1 with a text of the pool, `nearest` that text's index (the
    lowest of equals); 0 and None where the pool is empty or the text has no tokens.
    """

    accepted: bool
    reason: Literal["similar", "no tokens"] | None
    rouge_l: float
    nearest: int | None


class NoveltyPool:
    """A growing list of texts, each new one compared with all.

    Exact: no common subsequence of two texts is longer than the number of occurrences that they
    share, and every text that this bound leaves as a candidate for the nearest is scored.
    """

    def __init__(
        self,
        texts: Iterable[str] = (),
        *,
        threshold: str = "0.7",
        tie: Literal["reject", "accept"] = "reject",
        tokens: Literal["rouge", "unicode"] = "rouge",
    ) -> None:
        """A pool that holds `texts` unjudged, at indices 0, 1, ...

        `threshold` is an exact decimal; `tie` is what becomes of a text exactly at it. `tokens`
        "rouge" are rouge_score's without stemmer: runs of a-z and 0-9; "unicode" are words of
        every script (`refine_af/words.py`). ValueError where one of them is none of these.
        """
        if tie not in ("reject", "accept"):
            raise ValueError(f"tie {shown(tie)}: neither 'reject' nor 'accept'")
        if tokens not in TOKENIZERS:
            raise ValueError(f"tokens {shown(tokens)}: neither 'rouge' nor 'unicode'")
        self._threshold = _exact(threshold)
        self._tie_accepted = tie == "accept"
        self._tokenize = TOKENIZERS[tokens]
        self._codes: dict[str, int] = {}
        self._sequences: list[str | list[int]] = []
        self._index = _Index()
        for text in texts:
            words = self._tokenize(text)
            self._add(words, _occurrences(words))

    def __len__(self) -> int:
        return len(self._sequences)

    def nearest(self, text: str) -> Verdict:
        """The verdict on `text`, which does not enter."""
        tokens = self._tokenize(text)
        return self._judge(tokens, _occurrences(tokens))

    def offer(self, text: str) -> Verdict:
        """The verdict on `text`, which enters where it is accepted."""
        tokens = self._tokenize(text)
        occurrences = _occurrences(tokens)
        verdict = self._judge(tokens, occurrences)
        if verdict.accepted:
            self._add(tokens, occurrences)
        return verdict

    def _judge(self, tokens: Sequence[str], occurrences: Sequence[Occurrence]) -> Verdict:
        if not tokens:
            return Verdict(accepted=False, reason="no tokens", rouge_l=0.0, nearest=None)
        if not self._sequences:
            return Verdict(accepted=True, reason=None, rouge_l=0.0, nearest=None)
        # A token that the pool lacks is in no common subsequence: it counts in the length alone.
        known = [code for token in tokens if (code := self._codes.get(token)) is not None]
        nearest, subsequence = self._closest(occurrences, known, len(tokens))
        both = len(tokens) + int(self._index.lengths[nearest])
        over = 2 * subsequence * self._threshold.denominator - both * self._threshold.numerator
        accepted = over < 0 or (over == 0 and self._tie_accepted)
        return Verdict(accepted, None if accepted else "similar", 2 * subsequence / both, nearest)

    def _closest(
        self, occurrences: Sequence[Occurrence], known: list[int], length: int
    ) -> tuple[int, int]:
        """The nearest text's index, and its longest common subsequence with `known`."""
        bounds = self._index.bounds(occurrences, length)
        highest = float(bounds.max())
        if not highest:
            return 0, 0
        sequence = _sequence(known)
        least = FIRST_LOOK * highest
        while True:
            # What a bound lost by rounding must not rule out a text that ties with the best.
            (places,) = (bounds >= least * (1 - 1e-6)).nonzero()
            texts = [self._sequences[place] for place in places.tolist()]
            found = process.cdist([sequence], texts, scorer=LCSseq.similarity, dtype=np.int64)[0]
            # A quotient of integers is rounded correctly, so that equal scores stay equal.
            scores = found / (length + self._index.lengths[places].astype(np.int64))
            best = int(scores.argmax())
            if scores[best] >= least:
                return int(places[best]), int(found[best])
            least = float(scores[best])

    def _add(self, tokens: Sequence[str], occurrences: Sequence[Occurrence]) -> None:
        codes = [self._codes.setdefault(token, len(self._codes)) for token in tokens]
        self._sequences.append(_sequence(codes))
        self._index.add(occurrences)


class _Index:
    """From each occurrence to the texts that hold it, and how many occurrences each text has.

    A text is a place 0, 1, ... The texts of an occurrence are a list of places, or where they are
    many a row with a 1 at each.
    """

    def __init__(self) -> None:
        self.lengths = np.zeros(ROOM, np.float32)
        self._size = 0
        self._lists: dict[Occurrence, array[int]] = {}
        self._rows: dict[Occurrence, NDArray[np.uint8]] = {}

    def add(self, occurrences: Sequence[Occurrence]) -> None:
        if self._size == len(self.lengths):
            self._grow()
        for occurrence in occurrences:
            if (row := self._rows.get(occurrence)) is not None:
                row[self._size] = 1
            elif (places := self._lists.get(occurrence)) is not None:
                places.append(self._size)
            else:
                self._lists[occurrence] = array("i", [self._size])
        self.lengths[self._size] = len(occurrences)
        self._size += 1

    def bounds(self, occurrences: Sequence[Occurrence], length: int) -> NDArray[np.float32]:
        """No less than half the ROUGE-L F1 with each text, up to rounding; (texts,), float32."""
        # No text shares more than there are: below 256, a byte counts them.
        kind = np.uint8 if len(occurrences) < 256 else np.int32
        shared: NDArray[Any] = np.zeros(self._size, kind)
        lists = []
        for occurrence in occurrences:
            if (row := self._rows.get(occurrence)) is not None:
                shared += row[: self._size]
            elif (places := self._lists.get(occurrence)) is not None:
                # A view, which must be gone before `add` makes the array longer.
                lists.append(np.frombuffer(places, np.intc))
        if lists:  # `+=` would count a text that stands in several lists once
            np.add.at(shared, np.concatenate(lists), shared.dtype.type(1))
        bounds: NDArray[np.float32] = self.lengths[: self._size] + np.float32(length)
        np.divide(shared, bounds, out=bounds)
        return bounds

    def _grow(self) -> None:
        """Room for as many texts again; what has become common gets a row."""
        self.lengths = _doubled(self.lengths)
        self._rows = {occurrence: _doubled(row) for occurrence, row in self._rows.items()}
        for occurrence, places in list(self._lists.items()):
            if len(places) > COMMON * self._size:
                self._rows[occurrence] = np.zeros(2 * self._size, np.uint8)
                self._rows[occurrence][self._lists.pop(occurrence)] = 1


def _doubled(values: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate([values, np.zeros_like(values)])


def _exact(threshold: str) -> Fraction:
    if not (isinstance(threshold, str) and DECIMAL.fullmatch(threshold)):
        raise ValueError(f"threshold {shown(threshold)}: not a decimal in quotes, such as '0.7'")
    value = Fraction(threshold)
    if not 0 < value <= 1:
        raise ValueError(f"threshold {shown(threshold)}: not above 0 and at most 1")
    return value


def _occurrences(tokens: Sequence[str]) -> list[Occurrence]:
    seen: dict[str, int] = {}
    occurrences: list[Occurrence] = []
    for token in tokens:
        before = seen.get(token, 0)
        seen[token] = before + 1
        occurrences.append((token, before) if before else token)
    return occurrences


def _sequence(codes: list[int]) -> str | list[int]:
    # rapidfuzz is fastest on strings, and takes a number for the character of that code point.
    return "".join(map(chr, codes)) if max(codes, default=0) <= LARGEST_CHARACTER else codes
