"""The verb of a constituency tree that is closest to its root, and the noun that is its object."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refine_af.diversity.lemmas import noun_lemma, verb_lemma

# Labels and tags of the Penn Treebank, without what follows a dash.
VERBS = frozenset({"VB", "VBZ", "VBP", "VBD", "VBG", "VBN"})
NOUNS = frozenset({"NN", "NNS"})  # a proper noun names one thing, and no kind of task
NOMINAL = frozenset({"NP", "NML", "NX"})
CLAUSES = frozenset({"S", "SBAR", "VP"})
# Where a clause has its verb, in order of preference.
INSIDE = (frozenset({"VP"}), frozenset({"S", "SQ", "SINV"}), frozenset({"SBARQ"}))
BE = frozenset({"be", "am", "is", "are", "was", "were", "been", "being", "'s", "'re", "'m"})
AUXILIARIES = BE | {"have", "has", "had", "having", "'ve", "'d", "do", "does", "did"}
TIMES = frozenset(
    {
        *("today", "tomorrow", "yesterday", "morning", "night", "time"),
        *("day", "week", "month", "year"),
    }
)

Tree = Any  # nltk's: a label, and as a list its children; one of a word holds that text alone


def verb_noun(tree: Tree) -> tuple[str | None, str | None]:
    """The lemmas of a sentence's verb and of its noun, each None where it has none.

    The verb is that of the topmost clause's verb phrase, its first conjunct, past modals, `to` and
    auxiliaries; a form of `be` is none. The noun is the head of the first noun phrase after the
    verb, or of the next, where a second follows at once: what is given, not to whom (section IV-A
    of the paper: "the verb along with its immediate noun object").
    """
    phrase = _verb_phrase(tree)
    verb = next(
        (child for child in phrase or () if _is_word(child) and _label(child) in VERBS), None
    )
    if phrase is None or verb is None or verb[0].lower() in BE:
        return None, None
    nouns = [(word, tag) for word, tag in _objects(phrase, verb) if tag in NOUNS]
    if len(nouns) > 1 and nouns[-1][0].lower() in TIMES:  # "do the laundry today"
        del nouns[-1]
    lemma = verb_lemma(verb[0], _label(verb))
    return lemma, noun_lemma(*nouns[-1]) if nouns else None


def _label(tree: Tree) -> str:
    return str(tree.label().split("-")[0])


def _is_word(tree: Tree) -> bool:
    return len(tree) == 1 and isinstance(tree[0], str)


def _phrases(tree: Tree, labels: frozenset[str]) -> list[Tree]:
    return [child for child in tree if not _is_word(child) and _label(child) in labels]


def _verb_phrase(tree: Tree) -> Tree | None:
    """The phrase whose verb is the sentence's; None where there is none."""
    if _is_word(tree):
        return None
    if _label(tree) == "VP":
        return _past_auxiliaries(tree)
    if len(tree) == 1:
        return _verb_phrase(tree[0])
    for labels in INSIDE:
        for child in _phrases(tree, labels):
            found = _verb_phrase(child)
            if found is not None:
                return found
    # An inverted copula has no verb phrase: "What is the capital?"
    inverted = _label(tree) == "SQ" and any(
        _is_word(child) and _label(child) in VERBS for child in tree
    )
    return tree if inverted else None


def _past_auxiliaries(phrase: Tree) -> Tree | None:
    """The verb phrase itself, or, where that only helps or joins others, the first within it."""
    within = _phrases(phrase, INSIDE[0])
    words = [child for child in phrase if _is_word(child) and _label(child) in VERBS | {"MD", "TO"}]
    if not words:
        return _verb_phrase(within[0]) if within else None
    helps = _label(words[0]) in ("MD", "TO") or words[0][0].lower() in AUXILIARIES
    return _verb_phrase(within[0]) if within and helps else phrase


def _objects(phrase: Tree, verb: Tree) -> Iterator[tuple[str, str]]:
    """Word and tag of the heads of the noun phrases that follow the verb, with nothing between."""
    after = iter(phrase)
    for child in after:
        if child is verb:
            break
    begun = False
    for child in after:
        if _label(child) == "NP" and not _is_word(child):
            yield _head(child)
            begun = True
        elif begun or (_label(child) in CLAUSES and not _is_word(child)):
            return
        elif _is_word(child) and _label(child) in NOUNS:
            yield child[0], _label(child)
            begun = True


def _head(phrase: Tree) -> tuple[str, str]:
    """Word and tag of a noun phrase's head: the last noun of its first part or conjunct."""
    if _is_word(phrase):
        return phrase[0], _label(phrase)
    parts = list(phrase)
    nouns = [child for child in parts if _is_word(child) and _label(child).startswith("NN")]
    if _label(parts[0]) == "NP" and not _is_word(parts[0]) and not nouns and not _owns(parts[0]):
        return _head(parts[0])
    joints = [
        place for place, child in enumerate(parts) if _is_word(child) and _label(child) == "CC"
    ]
    if joints and any(child in nouns for child in parts[: joints[0]]):
        parts = parts[: joints[0]]
    for child in reversed(parts):
        if _is_word(child) and _label(child).startswith("NN"):
            return child[0], _label(child)
        if not _is_word(child) and _label(child) in NOMINAL:
            return _head(child)
    words = [child for child in reversed(parts) if _is_word(child)]
    return (words[0][0], _label(words[0])) if words else ("", "")


def _owns(phrase: Tree) -> bool:
    """Whether a noun phrase ends in 's, and so is not the head of what it belongs to."""
    return any(_is_word(child) and _label(child) == "POS" for child in phrase)
