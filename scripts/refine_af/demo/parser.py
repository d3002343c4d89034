"""A tiny parser of benepar's own architecture, trained from scratch on a treebank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from benepar.char_lstm import RetokenizerForCharLSTM
from benepar.decode_chart import ChartDecoder
from benepar.nkutil import HParams
from benepar.parse_base import BaseInputExample
from benepar.parse_chart import ChartParser
from nltk import Tree

from refine_af.demo.training import train
from refine_af.files.documents import write_json
from refine_af.models.upstream import say_scores_have_no_bounds
from refine_af.randomness import derived_seed
from refine_af.settings.demo import TinyParser

SUBBATCH = 4000  # words that are encoded at once
LONGEST = 256  # words of a sentence, its beginning and its end among them


@dataclass
class Example(BaseInputExample):  # type: ignore[misc]
    """A sentence of a treebank, as benepar asks for it."""

    words: list[str]
    space_after: list[bool]
    tree: Any

    def leaves(self) -> list[str]:
        return self.words

    def pos(self) -> list[tuple[str, str]]:
        return list(self.tree.pos())


def examples_of(trees: Sequence[str]) -> list[Example]:
    """Bracketed trees as sentences to train on."""
    read = [Tree.fromstring(tree) for tree in trees]
    return [Example(tree.leaves(), [True] * len(tree.leaves()), tree) for tree in read]


def train_parser(settings: TinyParser, trees: Sequence[str], *, seed: int) -> Any:
    """A parser trained on bracketed trees; it reads words letter by letter, and knows no others."""
    say_scores_have_no_bounds()
    torch.set_num_threads(1)  # sums in one order: the same weights on every run
    torch.manual_seed(derived_seed(seed, "parser"))
    examples = examples_of(trees)
    parser = new_parser(settings, examples)
    random = Random(derived_seed(seed, "batches"))
    chosen = [random.choices(examples, k=settings.batch_size) for _ in range(settings.steps)]

    def loss_of(step: int) -> torch.Tensor:
        parts = parser.encode_and_collate_subbatches(chosen[step], SUBBATCH)
        total: torch.Tensor = sum(parser.compute_loss(part) for _, part in parts)
        return total

    train(parser, loss_of, steps=settings.steps, learning_rate=settings.learning_rate)
    return parser


def new_parser(settings: TinyParser, examples: Sequence[Example]) -> Any:
    """An untrained parser that knows the labels, tags and letters of the examples."""
    trees = [example.tree for example in examples]
    tags = ["UNK", *sorted({tag for tree in trees for _, tag in tree.pos()})]
    size = settings.hidden_size
    dropouts = ("char_lstm_input", "morpho_emb", "attention", "relu", "residual")
    shape = HParams(
        use_chars_lstm=True,
        use_pretrained=False,
        pretrained_model="",
        use_encoder=True,
        encoder_max_len=LONGEST,
        d_char_emb=32,
        d_model=size,
        num_layers=settings.layers,
        num_heads=settings.heads,
        d_kv=size // settings.heads,
        d_ff=2 * size,
        d_label_hidden=size,
        d_tag_hidden=size,
        predict_tags=True,
        tag_loss_scale=5.0,  # benepar's own
        force_root_constituent=True,
        **{f"{part}_dropout": 0.0 for part in dropouts},
    )
    return ChartParser(
        tag_vocab={tag: number for number, tag in enumerate(tags)},
        label_vocab=ChartDecoder.build_vocab(trees),
        char_vocab=RetokenizerForCharLSTM.build_vocab([example.words for example in examples]),
        hparams=shape,
    )


def save_parser(parser: Any, folder: Path) -> None:
    """Write a parser in the form of benepar's releases: its settings, and its weights."""
    write_json(folder / "config.json", {"benepar": parser.config})
    torch.save(parser.state_dict(), folder / "benepar_model.bin")


def exact_share(parser: Any, trees: Sequence[str]) -> float:
    """The share of trees that the parser gives exactly."""
    examples = examples_of(trees)
    found = parser.parse(examples, subbatch_max_tokens=SUBBATCH)
    right: list[bool] = [
        tree == example.tree for tree, example in zip(found, examples, strict=True)
    ]
    return sum(right) / len(right)
