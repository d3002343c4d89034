"""Verbs and nouns of the parses, and what they come to: unique pairs, and what has none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nltk import Tree

from refine_af.diversity import constituency, dependencies
from refine_af.records.diversity import (
    OBJECTLESS,
    UNPARSED,
    VERBLESS,
    PairCounts,
    Parse,
    VerbNoun,
)

COLUMNS = ("verb", "noun", "instructions")


def verb_noun_of(row: Parse, backend: str) -> VerbNoun:
    """The verb and noun of a parse. ValueError where it is not in the backend's form."""
    if row.parse is None:
        return VerbNoun(row.id, None, None, row.reason)
    if backend == "benepar":
        verb, noun = constituency.verb_noun(Tree.fromstring(row.parse))
    else:
        verb, noun = dependencies.verb_noun(dependencies.words_of(row.parse))
    reason = VERBLESS if verb is None else OBJECTLESS if noun is None else None
    return VerbNoun(row.id, verb, noun, reason)


def unique_pairs(rows: Sequence[VerbNoun]) -> list[dict[str, str | int]]:
    """Each pair with the number of its instructions, the commonest first, then by the alphabet."""
    counts = Counter((row.verb, row.noun) for row in rows if row.verb and row.noun)
    return [
        dict(zip(COLUMNS, (str(verb), str(noun), count), strict=True))
        for (verb, noun), count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    ]


def counts_of(rows: Sequence[VerbNoun]) -> PairCounts:
    """How many instructions have a pair, and why others have none."""
    reasons = Counter(row.reason for row in rows)
    unparsed = {reason: reasons[reason] for reason in UNPARSED}
    return PairCounts(
        instructions=len(rows),
        parsed=len(rows) - sum(unparsed.values()),
        unparsed=unparsed,
        verbless=reasons[VERBLESS],
        objectless=reasons[OBJECTLESS],
        with_pair=reasons[None],
        unique_pairs=len(unique_pairs(rows)),
    )
