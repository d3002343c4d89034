"""The root verb of a dependency parse and its direct object, as Self-Instruct finds them."""

from __future__ import annotations

from typing import NamedTuple

COLUMNS = 10  # of CoNLL-U


class Word(NamedTuple):
    """A word of a sentence; `head` is the place of the word that it depends on, 0 of the root."""

    lemma: str
    kind: str
    head: int
    relation: str


def verb_noun(words: list[Word]) -> tuple[str | None, str | None]:
    """The lemmas of a sentence's verb and of its object, each None where it has none.

    From the root down the first child of each word, until one is a verb; its object is its first
    child that is a noun and a `dobj`. Source: self-instruct@0b26ccaa, instruction_visualize.ipynb,
    whose search never goes on to a second child.
    """
    place = next((number for number, word in enumerate(words, 1) if not word.head), 0)
    for _ in words:
        if not place:
            break
        if words[place - 1].kind == "VERB":
            return words[place - 1].lemma, _object(words, place)
        children = (number for number, word in enumerate(words, 1) if word.head == place)
        place = next(children, 0)
    return None, None


def _object(words: list[Word], verb: int) -> str | None:
    nouns = (w.lemma for w in words if (w.head, w.relation, w.kind) == (verb, "dobj", "NOUN"))
    return next(nouns, None)


def words_of(conllu: str) -> list[Word]:
    """The words of a sentence in CoNLL-U. ValueError where a line is none of it."""
    words = []
    for line in conllu.split("\n"):
        columns = line.split("\t")
        if len(columns) != COLUMNS:
            raise ValueError(f"{len(columns)} columns, not {COLUMNS}")
        words.append(Word(columns[2], columns[3], int(columns[6]), columns[7]))
    return words
