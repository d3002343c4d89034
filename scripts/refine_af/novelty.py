"""The novelty filter of the pool: a text enters unless its ROUGE-L with one in it is too high."""

from __future__ import annotations

import re
import sys
import unicodedata
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import LCSseq

NOT_WORD = re.compile(r"[^a-z0-9]+")
# Thai and Lao, Burmese, Khmer, kana, Han: scripts that put no space between words.
WITHOUT_SPACES = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")

LARGEST_CHARACTER = sys.maxunicode
FIRST_LOOK = 0.85  # of the highest bound: the nearest text is most often among these


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
    """Texts that only grow, each new one compared with all.

    Exact: an index from each (token, occurrence) to the texts that hold it counts the tokens
    that two texts share, no common subsequence is longer than that, and every text that this
    bound leaves as a candidate for the nearest is scored.
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
        every script.
        """
        self._threshold = Fraction(threshold)
        self._tie_accepted = tie == "accept"
        self._tokenize = TOKENIZERS[tokens]
        self._codes: dict[str, int] = {}
        self._holders: dict[tuple[int, int], array[int]] = {}
        self._sequences: list[str | list[int]] = []
        self._lengths = np.zeros(1024, np.float32)
        for text in texts:
            self._add(self._tokenize(text))

    def __len__(self) -> int:
        return len(self._sequences)

    def nearest(self, text: str) -> Verdict:
        """The verdict on `text`, which does not enter."""
        return self._judge(self._tokenize(text))

    def offer(self, text: str) -> Verdict:
        """The verdict on `text`, which enters where it is accepted."""
        tokens = self._tokenize(text)
        verdict = self._judge(tokens)
        if verdict.accepted:
            self._add(tokens)
        return verdict

    def _judge(self, tokens: Sequence[str]) -> Verdict:
        if not tokens:
            return Verdict(accepted=False, reason="no tokens", rouge_l=0.0, nearest=None)
        if not self._sequences:
            return Verdict(accepted=True, reason=None, rouge_l=0.0, nearest=None)
        # A token that the pool lacks is in no common subsequence: it counts in the length alone.
        known = [code for token in tokens if (code := self._codes.get(token)) is not None]
        nearest, subsequence = self._closest(known, len(tokens))
        score = Fraction(2 * subsequence, len(tokens) + int(self._lengths[nearest]))
        accepted = score < self._threshold or (self._tie_accepted and score == self._threshold)
        return Verdict(accepted, None if accepted else "similar", float(score), nearest)

    def _closest(self, known: list[int], length: int) -> tuple[int, int]:
        """The nearest text's index, and its longest common subsequence with `known`."""
        bounds = self._bounds(known, length)
        highest = float(bounds.max())
        if not highest:
            return 0, 0
        sequence = _sequence(known)
        least = FIRST_LOOK * highest
        while True:
            # What a bound lost by rounding must not rule out a text that ties with the best.
            index = np.flatnonzero(bounds >= least * (1 - 1e-6))
            texts = [self._sequences[place] for place in index.tolist()]
            found = process.cdist([sequence], texts, scorer=LCSseq.similarity, dtype=np.int64)[0]
            # A quotient of integers is rounded correctly, so that equal scores stay equal.
            scores = 2 * found / (length + self._lengths[index].astype(np.int64))
            best = int(scores.argmax())
            if scores[best] >= least:
                return int(index[best]), int(found[best])
            least = float(scores[best])

    def _bounds(self, known: list[int], length: int) -> NDArray[np.float32]:
        """No less than the ROUGE-L F1 with each text of the pool, up to rounding; (pool,)."""
        holders = [
            np.frombuffer(texts, np.int64)
            for item in _items(known)
            if (texts := self._holders.get(item)) is not None
        ]
        size = len(self._sequences)
        if not holders:
            return np.zeros(size, np.float32)
        shared = np.bincount(np.concatenate(holders), minlength=size).astype(np.float32)
        bounds: NDArray[np.float32] = 2 * shared / (self._lengths[:size] + np.float32(length))
        return bounds

    def _add(self, tokens: Sequence[str]) -> None:
        codes = [self._codes.setdefault(token, len(self._codes)) for token in tokens]
        size = len(self._sequences)
        for item in _items(codes):
            self._holders.setdefault(item, array("q")).append(size)
        if size == len(self._lengths):
            self._lengths = np.concatenate([self._lengths, np.zeros_like(self._lengths)])
        self._lengths[size] = len(codes)
        self._sequences.append(_sequence(codes))


def _items(codes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Each token with how often it occurred before: (a, 0), (b, 0), (a, 1) for a b a."""
    seen: Counter[int] = Counter()
    for code in codes:
        yield code, seen[code]
        seen[code] += 1


def _sequence(codes: list[int]) -> str | list[int]:
    # rapidfuzz is fastest on strings, and takes a number for the character of that code point.
    return "".join(map(chr, codes)) if max(codes, default=0) <= LARGEST_CHARACTER else codes


def rouge_tokens(text: str) -> list[str]:
    """rouge_score's tokens without stemmer (google-research rouge_score 0.1.2, tokenize.py)."""
    return NOT_WORD.sub(" ", text.lower()).split()


def unicode_tokens(text: str) -> list[str]:
    """Runs of letters, marks and digits, case folded; where words are not spaced, characters."""
    spread = WITHOUT_SPACES.sub(r" \g<0> ", unicodedata.normalize("NFKC", text).casefold())
    return "".join(char if _in_word(char) else " " for char in spread).split()


def _in_word(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char).startswith("M")


TOKENIZERS: dict[str, Callable[[str], list[str]]] = {
    "rouge": rouge_tokens,
    "unicode": unicode_tokens,
}
