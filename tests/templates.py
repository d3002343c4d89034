"""Tiny tokenizers for tests: built as real models' are, with their chat templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from refine_af.models.backbones import load_tokenizer
from tiny import CHATML

# Trims what it is given, and begins with the begin token, as Gemma's and Llama 3's do.
TRIMMED = (
    "{{ bos_token }}{% for message in messages %}{{ '<|prompter|>' + message['role'] + '\n\n'"
    " + message['content'] | trim + '<|endoftext|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# No special token but the ends, as Mistral's first one.
BRACKETS = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}"
    "{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)
# No special token at all.
WORDS = (
    "{% for message in messages %}{{ '### ' + message['role'] + ':\n' + message['content']"
    " + '\n\n' }}{% endfor %}{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
)
TEMPLATES = {"ChatML": CHATML, "trimmed": TRIMMED, "brackets": BRACKETS, "words": WORDS}


def with_template(folder: Path, template: str | None) -> Path:
    """The checkpoint in a folder, its tokenizer with another chat template, or none."""
    path = folder / "chat_template.jinja"
    path.unlink()
    if template is not None:
        path.write_text(template, encoding="utf-8")
    return folder


def turns(tokenizer: Any, *texts: str) -> list[int]:
    """What transformers makes of a conversation, up to where the model goes on."""
    roles = ["user", "assistant"]
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    text = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=len(texts) % 2 == 1
    )
    return list(tokenizer.encode(text, add_special_tokens=False))


def without_begin(folder: Path) -> Any:
    """The tokenizer of a folder, which begins a text with nothing from now on."""
    tokenizer = load_tokenizer(folder)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel()
    tokenizer.save_pretrained(folder)
    return load_tokenizer(folder)


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer built as Llama 2's: a space before the first word, spaces as marks."""
    marks = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = marks
    tokenizer.decoder = decoders.Replace("▁", " ")
    trainer = trainers.BpeTrainer(
        vocab_size=80, special_tokens=["<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(["Task: Sort the list.\nOutput: Sort the list.\n"] * 9, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )
