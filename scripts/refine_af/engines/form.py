"""The form in which a checkpoint is asked: its tokenizer, its chat template, its room, its ends."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.engines.decoding import ends_of_text
from refine_af.engines.local import context_of
from refine_af.errors import InputError, shown
from refine_af.models.chat import Chat


@dataclass(frozen=True)
class Form:
    """`chat` is the template around a prompt, or None; `room` the most tokens of a prompt with its
    reply, or None; `ends` are the tokens that end a text, none where none is to."""

    tokenizer: Any
    chat: Chat | None
    room: int | None
    ends: frozenset[int]


def form_of(backbone: Path, *, chat: bool, end_of_text: bool) -> Form:
    """The form of a checkpoint's folder. InputError where it cannot be read."""
    from refine_af.models.backbones import load_tokenizer
    from refine_af.models.chat import chat_of

    tokenizer = load_tokenizer(backbone)
    turns = chat_of(tokenizer) if chat else None
    ends = ends_of_text(tokenizer, _generation_config(backbone), {turns.stop} if turns else ())
    return Form(tokenizer, turns, context_of(backbone), ends if end_of_text else frozenset())


def _generation_config(backbone: Path) -> Any:
    """The checkpoint's own; None where it has none."""
    from transformers import GenerationConfig

    from refine_af.models.backbones import LOAD_FAULTS

    if not (backbone / "generation_config.json").is_file():
        return None
    try:
        return GenerationConfig.from_pretrained(backbone, local_files_only=True)
    except LOAD_FAULTS as error:
        wrong = shown(str(error), 300)
        raise InputError(f"{backbone}: no generation_config.json: {wrong}") from None
