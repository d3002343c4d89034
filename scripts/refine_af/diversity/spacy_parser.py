"""Dependency parses by a pipeline of spaCy, as the lines of CoNLL-U."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from refine_af.diversity.sentences import plain_text
from refine_af.errors import InputError
from refine_af.models.parsers import check_parser
from refine_af.records.diversity import EMPTY

NEEDED = ("parser", "lemmatizer")  # the lemmatizer may be a trainable one


class SpacyParser:
    """A pipeline of spaCy in memory, on the CPU."""

    def __init__(self, folder: Path) -> None:
        check_parser(folder, "spacy")
        self._pipeline = load(folder)

    def parses(self, texts: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """The first sentence of each text as CoNLL-U and None, or None and why there is none."""
        documents = self._pipeline.pipe([plain_text(text) for text in texts])
        found = [next(document.sents, None) for document in documents]
        return [(conllu(sentence), None) if sentence else (None, EMPTY) for sentence in found]


def load(folder: Path) -> Any:
    """The pipeline in a folder. InputError where it cannot be read, or lacks what is needed.

    What a pipeline of spaCy consists of are settings, tables and arrays, and no pickles.
    """
    import spacy

    said = version("spacy")
    try:
        pipeline = spacy.load(folder)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise InputError(f"{folder}: no pipeline that spaCy {said} reads: {reason}") from None
    for part in NEEDED:
        if not any(name.endswith(part) for name in pipeline.pipe_names):
            raise InputError(f"{folder}: this pipeline has no {part}: {pipeline.pipe_names}")
    return pipeline


def conllu(sentence: Any) -> str:
    """A sentence in ten columns, of which number, form, lemma, kind, head and relation are said."""
    places = {token.i: place for place, token in enumerate(sentence, 1)}
    lines = []
    for token in sentence:
        head = 0 if token.head.i == token.i else places[token.head.i]
        columns = (places[token.i], token.text, token.lemma_ or "_", token.pos_ or "_", "_", "_")
        lines.append("\t".join(map(str, (*columns, head, token.dep_ or "_", "_", "_"))))
    return "\n".join(lines)
