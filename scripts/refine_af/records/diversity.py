"""What an instruction's parse is, and the verb and noun that it holds, as rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class ParserUsed:
    """Which parser made some parses: `digest` is of all its files, `versions` of the libraries."""

    backend: Literal["benepar", "spacy"]
    name: str
    digest: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Parse:
    """The parse of the first sentence of the instruction `id`.

    By benepar a bracketed tree with Penn labels, by spaCy the lines of CoNLL-U. Where there is
    none, `parse` is None and `reason` says why: one of UNPARSED.
    """

    id: str
    parse: str | None
    reason: str | None


@dataclass(frozen=True)
class VerbNoun:
    """The verb and noun of the instruction `id`, as lemmas; both None where it has no verb.

    `reason` says why there is no pair: one of UNPARSED, VERBLESS or OBJECTLESS; None where there
    is one.
    """

    id: str
    verb: str | None
    noun: str | None
    reason: str | None


@dataclass(frozen=True)
class PairCounts:
    """How many instructions there are, how many were parsed, and how many have a pair.

    `unparsed` counts by reason; those parsed are `verbless`, `objectless` or `with_pair`.
    """

    instructions: int
    parsed: int
    unparsed: dict[str, int]
    verbless: int
    objectless: int
    with_pair: int
    unique_pairs: int


EMPTY, TOO_LONG, UNREADABLE = "empty", "too long", "unreadable"
UNPARSED = (EMPTY, TOO_LONG, UNREADABLE)
VERBLESS, OBJECTLESS = "verbless", "objectless"
