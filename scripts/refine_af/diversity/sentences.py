"""The first sentence of an instruction, in words as parsers of English were trained on."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from refine_af.files.documents import SURROGATE

LONGEST = 10_000  # characters that are looked at: no parser reads a sentence of as many


class Sentence(NamedTuple):
    """The words of a sentence, and whether a space follows each; `cut` where its end is unknown."""

    words: list[str]
    space_after: list[bool]
    cut: bool


def plain_text(text: str) -> str:
    """A text with one space for each run of white space, cut after LONGEST characters."""
    return " ".join(SURROGATE.sub("\ufffd", text).split())[:LONGEST]


def first_sentence(text: str) -> Sentence:
    """The first sentence of a text, without words where it has none (spaCy's rules for English)."""
    plain = plain_text(text)
    document = _pipeline()(plain)
    sentence = next(document.sents, document[:0])
    spaces = [bool(token.whitespace_) for token in sentence]
    spaces[-1:] = [False] * bool(spaces)
    cut = len(plain) == LONGEST and sentence.end == len(document)
    return Sentence([token.text for token in sentence], spaces, cut)


@cache
def _pipeline() -> Any:
    """spaCy's tokenizer and sentence splitter, which need no trained model."""
    import spacy

    pipeline = spacy.blank("en")
    pipeline.add_pipe("sentencizer")
    return pipeline
