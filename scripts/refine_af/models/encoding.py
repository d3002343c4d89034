"""From text to token ids: the operator's special tokens are tokens, everyone else's are letters."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.prompts.marked import Marked

# A word or a run of spaces that a tokenizer has added is none.
MARKUP = re.compile(r"[^\w\s].+[^\w\s]", re.DOTALL)

Piecewise = Callable[[Any, str], list[int]]


def encode(tokenizer: Any, text: str, *, start: bool) -> list[int]:
    """Token ids of `text`: from a text's start, with its begin token, or from its middle.

    A special token's name is that token where the operator wrote it (`Marked`), and else text:
    what a model or a user wrote cannot end or begin anything. In the middle of a text no space is
    put before the first word, as SentencePiece's tokenizers do at its start. No begin token is put
    before a text that has one, or that a chat template began.
    """
    if not start:
        return _ids(tokenizer, text, _middle)
    ids, begin = _ids(tokenizer, text, _plain), beginning(tokenizer)
    begun = isinstance(text, Marked) and text.begun
    return ids if begun or ids[: len(begin)] == begin else begin + ids


def encode_after(tokenizer: Any, before: str, text: str) -> list[int]:
    """Token ids of a text that goes on from `before`, which is encoded apart, or is empty."""
    if not before:
        return encode(tokenizer, text, start=True)
    special = isinstance(before, Marked) and through_last_special(tokenizer, before) == len(before)
    return _ids(tokenizer, text, _after_special if special else _middle)


def beginning(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before a text by itself: its begin token, or nothing."""
    if tokenizer.bos_token_id is None:
        return []
    return list(_beginning(tokenizer))


def through_last_special(tokenizer: Any, text: Marked) -> int:
    """Where the operator's last special token ends, with the spaces that it takes; 0 for none."""
    marks = _marks(tokenizer, text)
    if not marks:
        return 0
    after = str(text)[marks[-1].end :]
    return len(text) - len(after.lstrip() if marks[-1].takes_after else after)


def special_names(tokenizer: Any) -> dict[str, int]:
    """The special tokens' ids by name."""
    return {token.content: number for number, token in _special(tokenizer).items()}


def check_known(tokenizer: Any, ids: Sequence[int]) -> None:
    """InputError where the model has no embedding for one of a text's tokens."""
    if max(ids, default=0) >= getattr(tokenizer, "tokens_known", math.inf):
        token = tokenizer.convert_ids_to_tokens(max(ids))
        raise InputError(
            f"{tokenizer.name_or_path}: the token {shown(token)} is {max(ids)}, and the model "
            f"knows {tokenizer.tokens_known} (vocab_size): no prompt can hold it"
        )


@dataclass(frozen=True)
class _Mark:
    """A special token in the operator's part of a text, and whether it takes spaces beside it."""

    start: int
    end: int
    number: int
    takes_before: bool
    takes_after: bool


def _ids(tokenizer: Any, text: str, first: Piecewise) -> list[int]:
    """The ids without a begin token: the operator's special tokens, and the pieces that they part.

    `first` encodes the first piece.
    """
    marks = _marks(tokenizer, text) if isinstance(text, Marked) else []
    whole, place, bare, ids = str(text), 0, False, list[int]()
    read = first
    for mark in marks:
        piece = whole[place : mark.start]
        piece = piece.lstrip() if bare else piece
        ids += read(tokenizer, piece.rstrip() if mark.takes_before else piece)
        ids.append(mark.number)
        place, bare, read = mark.end, mark.takes_after, _after_special
    piece = whole[place:]
    ids += read(tokenizer, piece.lstrip() if bare else piece)
    check_known(tokenizer, ids)
    return ids


def _plain(tokenizer: Any, piece: str) -> list[int]:
    whole = piece.encode("utf-8", "replace").decode("utf-8")  # a lone surrogate becomes "?"
    found = _unsplit(tokenizer).search(whole)
    if found is None:
        return list(tokenizer.encode(whole, add_special_tokens=False, split_special_tokens=True))
    cut = found.start() + 1  # in two pieces a name is none
    return _plain(tokenizer, whole[:cut]) + _middle(tokenizer, whole[cut:])


def _middle(tokenizer: Any, piece: str) -> list[int]:
    # After a line break nothing is put before a word; where both make a token together, the
    # tokenizer is byte-level and puts nothing before a word anyway.
    before, both = _plain(tokenizer, "\n"), _plain(tokenizer, "\n" + piece)
    return both[len(before) :] if both[: len(before)] == before else _plain(tokenizer, piece)


def _after_special(tokenizer: Any, piece: str) -> list[int]:
    """As the tokenizer itself goes on after a special token: some put a space there."""
    if not piece:
        return []
    probe = tokenizer.encode(tokenizer.eos_token + "a", add_special_tokens=False)[1:]
    if list(probe) == _plain(tokenizer, "a"):
        return _plain(tokenizer, piece)
    return _middle(tokenizer, piece)


def _marks(tokenizer: Any, text: Marked) -> list[_Mark]:
    """The special tokens whose names the operator wrote, as they stand in the text."""
    if not text.own:
        return []
    return list(_found(tokenizer, text))


def _found(tokenizer: Any, text: Marked) -> Iterator[_Mark]:
    known, named = _special(tokenizer), _name(tokenizer)
    whole = str(text)
    for start, end in text.own:
        for found in named.finditer(whole[start:end]):
            number = special_names(tokenizer)[found[0]]
            token = known[number]
            places = start + found.start(), start + found.end()
            yield _Mark(*places, number, token.lstrip, token.rstrip)


@lru_cache(maxsize=8)
def _special(tokenizer: Any) -> dict[int, Any]:
    """The tokens that are markup, by number: special ones, and others that a template writes."""
    added: dict[int, Any] = tokenizer.added_tokens_decoder
    template = str(getattr(tokenizer, "chat_template", None) or "")
    return {
        number: token
        for number, token in added.items()
        if token.content
        and (token.special or (MARKUP.fullmatch(token.content) and token.content in template))
    }


@lru_cache(maxsize=8)
def _unsplit(tokenizer: Any) -> re.Pattern[str]:
    """The names of markup that the tokenizer reads as a token wherever it stands."""
    names = [token.content for token in _special(tokenizer).values() if not token.special]
    return re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))) or r"(?!)")


@lru_cache(maxsize=8)
def _name(tokenizer: Any) -> re.Pattern[str]:
    names = sorted((token.content for token in _special(tokenizer).values()), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, names)) or r"(?!)")


@lru_cache(maxsize=8)
def _beginning(tokenizer: Any) -> tuple[int, ...]:
    plain = _plain(tokenizer, "a")
    whole = list(tokenizer.encode("a", add_special_tokens=True))
    first = next(
        (place for place in range(len(whole)) if whole[place : place + len(plain)] == plain), 0
    )
    return tuple(whole[:first])
