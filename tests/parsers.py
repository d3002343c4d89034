"""Parsers made on the spot: benepar's and spaCy's own architectures, trained on a few sentences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from refine_af.settings.demo import TinyParser

# Instructions bracketed by hand; the parsers know these by heart.
TREES = """\
(TOP (S (VP (VB Write) (NP (PRP me)) (NP (NP (DT a) (NN story)) (PP (IN about) (NP (NN love))))) (. .)))
(TOP (S (VP (VB Create) (NP (NP (DT a) (NN list)) (PP (IN of) (NP (NNS questions))))) (. .)))
(TOP (S (PP (VBN Given) (NP (DT a) (NN sentence))) (, ,) (VP (VB find) (NP (DT the) (NN error))) (. .)))
(TOP (S (VP (VB Classify) (SBAR (IN whether) (S (NP (DT the) (NN text)) (VP (VBZ is) (ADJP (JJ good)))))) (. .)))
(TOP (SBARQ (WHNP (WP What)) (SQ (VBZ is) (NP (NP (DT the) (NN capital)) (PP (IN of) (NP (NNP France))))) (. ?)))
(TOP (S (NP (PRP You)) (VP (VBP are) (VP (VBN given) (NP (DT a) (NN paragraph)))) (. .)))
(TOP (S (VP (VP (VB Extract) (NP (DT all) (NNS names))) (CC and) (VP (VB list) (NP (PRP them)))) (. .)))
(TOP (S (INTJ (UH Please)) (VP (VB summarize) (NP (DT the) (JJ given) (NN article))) (. .)))
(TOP (S (VP (VB Generate) (NP (NP (CD five) (NNS titles)) (PP (IN for) (NP (DT this) (NN poem))))) (. .)))
(TOP (S (VP (VB Explain) (SBAR (WHADVP (WRB how)) (S (VP (TO to) (VP (VB do) (NP (PRP it))))))) (. .)))
(TOP (S (VP (VB Give) (NP (DT the) (NN user)) (NP (DT an) (NN example))) (. .)))
(TOP (S (VP (VB Describe) (NP (NP (NNP Paris)) (PP (IN in) (NP (CD two) (NNS words))))) (. .)))
""".splitlines()  # noqa: E501
SENTENCES = [
    "Write me a story about love.",
    "Create a list of questions.",
    "Given a sentence, find the error.",
    "Classify whether the text is good.",
    "What is the capital of France?",
    "You are given a paragraph.",
    "Extract all names and list them.",
    "Please summarize the given article.",
    "Generate five titles for this poem.",
    "Explain how to do it.",
    "Give the user an example.",
    "Describe Paris in two words.",
]
PAIRS: list[tuple[str | None, str | None]] = [
    ("write", "story"),
    ("create", "list"),
    ("find", "error"),
    ("classify", None),
    (None, None),
    ("give", "paragraph"),
    ("extract", "name"),
    ("summarize", "article"),
    ("generate", "title"),
    ("explain", None),
    ("give", "example"),
    ("describe", None),
]
SHAPE: dict[str, Any] = {"hidden_size": 64, "layers": 1, "heads": 2, "trees": 12}
TINY = TinyParser(**SHAPE, steps=60, batch_size=24, learning_rate=4e-2)


def make_parser(folder: Path) -> None:
    """A parser of benepar that gives the trees of SENTENCES, as a folder of benepar's releases."""
    from refine_af.demo.parser import save_parser, train_parser

    folder.mkdir(exist_ok=True)
    save_parser(train_parser(TINY, TREES, seed=0), folder)


def make_pretrained_parser(folder: Path, kind: str) -> None:
    """A random parser on top of a random T5 or BERT, in the form of benepar's releases.

    That is the form of benepar_en3: config.json with a section `benepar`, the tokenizer, weights.
    """
    import torch
    from benepar.decode_chart import ChartDecoder
    from benepar.nkutil import HParams
    from benepar.parse_chart import ChartParser
    from nltk import Tree
    from transformers import AutoModel

    from refine_af.models.upstream import special_tokens_built

    folder.mkdir(exist_ok=True)
    save_as_released(make_subword_tokenizer(kind), folder)
    torch.manual_seed(0)
    config = small_config(kind)
    AutoModel.from_config(config).save_pretrained(folder)
    trees = [Tree.fromstring(tree) for tree in TREES]
    tags = sorted({tag for tree in trees for _, tag in tree.pos()})
    shape = HParams(
        use_chars_lstm=False,
        use_pretrained=True,
        pretrained_model=str(folder),
        use_encoder=kind == "bert",
        encoder_max_len=512,
        d_model=32,
        num_layers=1,
        num_heads=2,
        d_kv=16,
        d_ff=32,
        d_label_hidden=16,
        d_tag_hidden=16,
        predict_tags=True,
        tag_loss_scale=5.0,
        force_root_constituent=True,
        **{f"{part}_dropout": 0.0 for part in ("morpho_emb", "attention", "relu", "residual")},
    )
    with special_tokens_built():
        parser = ChartParser(
            tag_vocab={tag: number for number, tag in enumerate(["UNK", *tags])},
            label_vocab=ChartDecoder.build_vocab(trees),
            char_vocab=None,
            hparams=shape,
        )
    config.benepar = parser.config
    config.save_pretrained(folder)
    (folder / "model.safetensors").unlink()
    torch.save(parser.state_dict(), folder / "benepar_model.bin")


def small_config(kind: str) -> Any:
    """The settings of a T5 or BERT of one layer."""
    from transformers import BertConfig, T5Config

    if kind == "t5":
        return T5Config(
            vocab_size=200, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0,
            eos_token_id=1, decoder_start_token_id=0,
        )  # fmt: skip
    return BertConfig(
        vocab_size=200, hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=512,
    )  # fmt: skip


def make_subword_tokenizer(kind: str) -> Any:
    """A fast tokenizer of 200 subwords with the special tokens of T5 (… 1) or of BERT (2 … 3)."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<pad>", "</s>", "<unk>"] if kind == "t5" else ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.Unigram() if kind == "t5" else models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFKC()
    if kind == "t5":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        trainer: Any = trainers.UnigramTrainer(
            vocab_size=200, special_tokens=special, unk_token="<unk>", show_progress=False
        )
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        trainer = trainers.WordPieceTrainer(
            vocab_size=200, special_tokens=special, show_progress=False
        )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    single, tokens = ("$A </s>", [("</s>", 1)]) if kind == "t5" else (
        "[CLS] $A [SEP]", [("[CLS]", 2), ("[SEP]", 3)]
    )  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(single=single, special_tokens=tokens)
    known = (
        {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        if kind == "t5"
        else {
            "pad_token": "[PAD]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "unk_token": "[UNK]",
        }
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=512, **known)


def save_as_released(tokenizer: Any, folder: Path) -> None:
    """Save a tokenizer as transformers 4 did, which made the releases: without its class."""
    tokenizer.save_pretrained(folder)
    stated = folder / "tokenizer_config.json"
    settings = json.loads(stated.read_text())
    kept = {key: value for key, value in settings.items() if key.endswith(("_token", "_length"))}
    stated.write_text(json.dumps(kept))


def make_spacy(folder: Path) -> None:
    """A pipeline of spaCy that parses, tags and lemmatizes, as its first random weights do."""
    import numpy as np
    import spacy
    from spacy.tokens import Doc
    from spacy.training import Example

    pipeline = spacy.blank("en")
    for part in ("morphologizer", "parser"):
        pipeline.add_pipe(part)
    pipeline.add_pipe("trainable_lemmatizer", config={"min_tree_freq": 1})
    words, kinds = ["Tell", "tales", "."], ["VERB", "NOUN", "PUNCT"]
    told = {"heads": [0, 0, 0], "deps": ["ROOT", "dobj", "punct"], "pos": kinds}
    document = Doc(pipeline.vocab, words=words, lemmas=["tell", "tale", "."], **told)
    example = Example(Doc(pipeline.vocab, words=words), document)
    np.random.seed(0)
    pipeline.initialize(lambda: [example])
    pipeline.to_disk(folder)
