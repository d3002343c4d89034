"""A reward model published as a sequence classifier: one score for a conversation of two turns.

The user asks the instruction, with the input below it, and the assistant answers the output, in the
markup of the tokenizer's chat template. `reward_model` is the classifier's logit as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from refine_af.errors import InputError, shown
from refine_af.models.backbones import LOAD_FAULTS, device, load_tokenizer, precision, quiet
from refine_af.models.chat import Conversation, conversation_of
from refine_af.models.checkpoints import check_classifier, check_weights
from refine_af.models.encoding import encode
from refine_af.models.huge_pages import lay_together
from refine_af.rewards.batches import in_batches
from refine_af.rewards.lengths import check_room, fitted, say_cut
from refine_af.rewards.scorer import Triplet, task_of
from refine_af.settings.reward import Reward

COMPONENT = "reward_model"


class Scorer:
    """The classifier, loaded once, in the backbones' precision.

    In float32 what shares a batch moves a score by less than 1e-4 of its size or 1e-4, in bfloat16
    by rounding of that kind: padding is never where the score is read, nor is it attended to.
    """

    def __init__(self, settings: Reward, model: Path | None, evaluator: Path | None) -> None:
        if model is None:
            raise InputError("sequence_classifier: needs a model")
        self._length = settings.max_length
        self._tokenizer = load_tokenizer(model)
        self._conversation = conversation_of(self._tokenizer)
        self._model = load_classifier(model)
        check_room(self._model, model, self._length)
        markup = conversation_ids(self._tokenizer, self._conversation, Triplet("", "", ""), None)[0]
        if len(markup) > self._length // 2:
            raise InputError(
                f"reward.max_length {self._length}: the chat template of {model} alone has "
                f"{len(markup)} tokens; at least twice as many"
            )

    def __call__(self, triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        """Each triplet's score, in order."""
        texts = [
            conversation_ids(self._tokenizer, self._conversation, triplet, self._length)
            for triplet in triplets
        ]
        say_cut("sequence_classifier", sum(cut for _, cut in texts), len(texts), self._length)
        rows = [_read_to_the_end(self._model, ids) for ids, _ in texts]
        return [{COMPONENT: score} for score in in_batches(self._scores, rows)]

    def _scores(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        config = self._model.config.get_text_config()
        stated, filler = config.pad_token_id, _filler(config.pad_token_id, ids, mask)
        config.pad_token_id = filler
        try:
            logits = self._model(
                input_ids=ids.masked_fill(mask == 0, filler), attention_mask=mask
            ).logits
        finally:
            config.pad_token_id = stated
        scores: torch.Tensor = logits[:, 0]
        return scores


def conversation_ids(
    tokenizer: Any, conversation: Conversation, triplet: Triplet, max_length: int | None
) -> tuple[list[int], bool]:
    """A triplet's conversation as token ids, `fitted` to `max_length` of them; whether it was cut.

    The template's own words are never cut, and what a model wrote is no markup.
    """
    parts = conversation.parts(task_of(triplet), triplet.output)
    head, asked, middle, answered, foot = parts
    whole = encode(tokenizer, head + asked + middle + answered + foot, start=True)
    if max_length is None or len(whole) <= max_length:
        return whole, False
    before = encode(tokenizer, head, start=True)
    after = [encode(tokenizer, part, start=False) for part in (middle, foot)]
    room = max_length - len(before) - sum(map(len, after))
    task, output = (encode(tokenizer, part, start=False) for part in (asked, answered))
    task, output, _ = fitted(task, output, room)
    return [*before, *task, *after[0], *output, *after[1]], True


def load_classifier(folder: Path) -> Any:
    """The classifier in `folder`, on `device()`. InputError where it gives no single score."""
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    check_classifier(folder)
    quiet()
    try:
        model, report = AutoModelForSequenceClassification.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            dtype=precision(),
            device_map={"": device()},
        )
    except (*LOAD_FAULTS, SafetensorError) as error:
        wrong = shown(str(error), 300)
        raise InputError(f"{folder}: no sequence classifier can be loaded: {wrong}") from None
    check_weights(folder, report)
    lay_together(model)
    return model.eval()


def _read_to_the_end(model: Any, ids: list[int]) -> list[int]:
    """The row without what transformers passes over where it looks for a decoder's last token."""
    padding = model.config.get_text_config().pad_token_id
    end = len(ids)
    while hasattr(model, "score") and end > 1 and ids[end - 1] == padding:
        end -= 1
    return ids[:end]


def _filler(stated: int | None, ids: torch.Tensor, mask: torch.Tensor) -> int:
    """A token to pad with, by which transformers finds where rows end: the model's own, if any.

    Without one it reads the last token of a row alone, and no two rows: here no row ends in it.
    """
    if stated is not None:
        return int(stated)
    last = ids.gather(1, mask.sum(1, keepdim=True) - 1).flatten().tolist()
    return min(set(range(len(last) + 1)) - set(last))
