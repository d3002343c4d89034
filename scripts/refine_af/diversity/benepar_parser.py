"""Constituency trees by a parser of benepar (Kitaev et al. 2019), the Berkeley Neural Parser."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from benepar import InputSentence
from benepar.nkutil import HParams
from benepar.parse_chart import ChartParser

from refine_af.diversity.sentences import Sentence, first_sentence
from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.models.backbones import device
from refine_af.models.parsers import check_parser
from refine_af.models.upstream import say_scores_have_no_bounds, special_tokens_built
from refine_af.records.diversity import EMPTY, TOO_LONG, UNREADABLE

MOST_SUBWORDS = 512  # of a sentence: what benepar's published models read
DEEPEST = 200  # phrases within phrases; sentences have some 10, and nltk reads 500
BRACKETS = {"(": "-LRB-", ")": "-RRB-", "[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-"}


class BeneparParser:
    """A parser of benepar in memory, on this process's GPU where it sees one."""

    def __init__(self, folder: Path, batch_subwords: int) -> None:
        self._parser = load(folder).to(device())
        self._batch_subwords = batch_subwords

    def parses(self, texts: Sequence[str]) -> list[tuple[str | None, str | None]]:
        """A bracketed tree of each text's first sentence and None, or None and why there is none.

        Sentences of a like length are parsed together, `batch_subwords` at most.
        """
        sentences = [first_sentence(text) for text in texts]
        reasons = [self._refusal(sentence) for sentence in sentences]
        inputs = [
            _input(sentence) for sentence, why in zip(sentences, reasons, strict=True) if not why
        ]
        trees = iter(
            self._parser.parse(inputs, subbatch_max_tokens=self._batch_subwords) if inputs else ()
        )
        return [(None, why) if why else _written(next(trees)) for why in reasons]

    def _refusal(self, sentence: Sentence) -> str | None:
        """Why a sentence cannot be parsed, if so."""
        if not sentence.words:
            return EMPTY
        if sentence.cut or len(sentence.words) + 2 > self._most_words:
            return TOO_LONG
        try:
            encoded = self._parser.encode(_input(sentence))
        except ValueError:  # what benepar says of more subwords than its tokenizer may give
            return TOO_LONG
        except (StopIteration, AssertionError):  # a word of which that tokenizer keeps nothing
            return UNREADABLE
        return TOO_LONG if len(encoded.get("input_ids", ())) > MOST_SUBWORDS else None

    @property
    def _most_words(self) -> int:
        """Words of a sentence, its beginning and end among them, that the parser has room for."""
        if self._parser.encoder is None:
            return MOST_SUBWORDS
        return min(MOST_SUBWORDS, len(self._parser.add_timing.timing_table))


def load(folder: Path) -> Any:
    """The parser in a folder of benepar's release format, on the CPU, to parse with.

    InputError where the folder is none, or its files do not fit each other. Weights are read as
    tensors alone: a pickle of anything else is refused, and never run.
    """
    check_parser(folder, "benepar")
    say_scores_have_no_bounds()
    stated = dict(read_document(folder / "config.json")["benepar"])
    path = folder / "benepar_model.bin"
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise InputError(f"{path}: no weights alone: {_first_line(error)}") from None
    try:
        hparams = HParams(**{"force_root_constituent": True} | stated.pop("hparams"))
        stated["pretrained_model_path"] = str(folder) if hparams.use_pretrained else None
        with special_tokens_built():
            parser = ChartParser(**stated, hparams=hparams)
        parser.load_state_dict(weights)
    except (KeyError, TypeError, AttributeError, ValueError, OSError, RuntimeError) as error:
        reason = _first_line(error)
        raise InputError(
            f"{folder}: config.json and the weights make no parser: {reason}"
        ) from None
    return parser.eval()


def _written(tree: Any) -> tuple[str | None, str | None]:
    """A tree in brackets, on one line, unless it is too deep for whoever is to read it."""
    if tree.height() > DEEPEST:
        return None, UNREADABLE
    return " ".join(tree.pformat(margin=2**31).split()), None


def _input(sentence: Sentence) -> InputSentence:
    words, spaces = sentence.words, sentence.space_after
    return InputSentence(words=words, space_after=spaces, escaped_words=[*map(_escaped, words)])


def _escaped(word: str) -> str:
    """A word as the leaf of a bracketed tree."""
    return "".join(BRACKETS.get(character, character) for character in word)


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
