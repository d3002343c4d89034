"""The demo's tokenizer: byte-level BPE that the backbones and both judges share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from refine_af.demo.corpus import (
    copying_document,
    draw_example,
    draw_task,
    examples_document,
    list_document,
)
from refine_af.errors import InputError
from refine_af.randomness import derived_seed
from refine_af.rewards.scorer import MARKERS, Triplet, evaluator_questions

PAD, START, END = "<pad>", "<s>", "</s>"
DOCUMENTS = 3000

# A prompt's shared beginning is tokenised apart from what fills its first slot, so that no token
# may reach across a line's end. A space goes with the word after it, in prompts too.
LINES = pre_tokenizers.Split("\n", "isolated")


def train_tokenizer(seed: int, vocabulary: int) -> Any:
    """A tokenizer of `vocabulary` tokens, trained on the corpus; it begins a text with <s>."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [LINES, pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, START, END, *MARKERS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(seed), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{START} $A",
        pair=f"{START} $A $B",
        special_tokens=[(START, tokenizer.token_to_id(START))],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        padding_side="left",
        extra_special_tokens=list(MARKERS),
    )


def read_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder. InputError where there is none."""
    if not (folder / "tokenizer.json").is_file():
        raise InputError(f"{folder}: no tokenizer.json, so this is no tokenizer's folder")
    return PreTrainedTokenizerFast.from_pretrained(folder)


def _texts(seed: int) -> Iterator[str]:
    """Every format that a model of the demo reads or writes."""
    random = Random(derived_seed(seed, "tokenizer"))
    for number in range(DOCUMENTS):
        if number % 3 == 0:
            yield list_document(random, 4)
        elif number % 3 == 1:
            yield examples_document(random, 3, 0.0)
        else:
            example = draw_example(random, draw_task(random))
            triplet = Triplet(example.task.instruction, example.input, example.output)
            yield copying_document(random)
            yield f"Instruction: {triplet.instruction}\nInput: {triplet.input}\nAnswer: Yes No\n"
            yield "\n".join(evaluator_questions(triplet).values()).replace(END, "")
