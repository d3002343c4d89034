"""Whether texts side by side are what each would be alone, tried on the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from refine_af.engines.batch import Batch, Prefix, PromptRow, Prompts
from refine_af.engines.generation import prefilled
from refine_af.engines.greedy import greedy
from refine_af.engines.shared_prefix import can_share, keep_apart
from refine_af.errors import InputError, shown
from refine_af.models.backbones import LOAD_FAULTS
from refine_af.models.device_faults import gpu_faults, out_of_memory
from refine_af.models.encoding import encode
from refine_af.models.shapes import architecture, room_of, text_config, window_of

TEXT = "Name five rivers, sort them by length, and say in one line how you counted the words.\n" * 2
HEAD, SHORT, LONG, STEPS = 6, 2, 18, 2


def check_batching(model: Any, tokenizer: Any) -> None:
    """InputError where a text in a batch, after a copied prefix, is not as it is alone.

    A short text and a long one are read and go on for two tokens beside each other, as all
    generation does; and each is read alone and whole: the logits must agree, but for the rounding
    of the model's precision. Where they do not behind a prefix that is shared, one is copied for
    each text from then on. Nothing is drawn, and nothing is kept.
    """
    room = room_of(text_config(model))
    if room and room < HEAD + LONG + STEPS:
        return  # no text that a stage asks for fits in it either
    ids = encode(tokenizer, TEXT, start=True)
    ids = (ids * (1 + (HEAD + LONG + STEPS) // len(ids)))[: HEAD + LONG + STEPS]
    if wrong := _wrong(model, ids, tokenizer.pad_token_id, shared=False):
        raise InputError(f"{_who(model)} cannot write texts side by side: {wrong}")
    if not can_share(model) or window_of(model, len(ids)) is not None:
        return
    if wrong := _wrong(model, ids, tokenizer.pad_token_id, shared=True):
        print(f"{_who(model)} copies a prefix for each text that shares it: {wrong}", flush=True)
        keep_apart(model)


def _wrong(model: Any, ids: list[int], padding: int, *, shared: bool) -> str | None:
    """What is wrong with the texts side by side, None where nothing is."""
    tails = [ids[HEAD : HEAD + SHORT], ids[HEAD : HEAD + LONG]]
    following = ids[HEAD + LONG :]
    try:
        with torch.inference_mode(), gpu_faults():
            alone = _alone(model, ids[:HEAD], tails, following)
            prefix = Prefix(prefilled(model, ids[:HEAD]), HEAD, shared)
            together = _together(model, prefix, tails, following, padding)
    except LOAD_FAULTS as error:
        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise
        return f"{type(error).__name__}: {shown(str(error), 200)}"
    # A row is off where it is so at each step: in a mixture of experts one near-tie may turn.
    far = _distance(together, alone).amin(0).max()
    if far > torch.finfo(model.dtype).eps ** 0.5:
        return (
            f"beside a longer text, a text's logits differ by {float(far):.1%} from those that it "
            f"has alone, which is no rounding of {str(model.dtype).removeprefix('torch.')}"
        )
    return None


def _together(
    model: Any,
    prefix: Prefix,
    tails: Sequence[list[int]],
    following: Sequence[int],
    padding: int,
) -> torch.Tensor:
    """Logits after the tails and after each token that follows, (steps, rows, vocabulary)."""
    sampling = greedy(len(following) + 1, ())
    longest = prefix.length + max(map(len, tails)) + len(following)
    batch = Batch(
        model, Prompts(longest, window_of(model, longest), padding), sampling, None, len(tails)
    )
    rows = [PromptRow(place, prefix, tail, seed=0) for place, tail in enumerate(tails)]
    found = [batch.read(rows)]
    for token in following:
        for row in rows:
            row.tokens.append(token)
        found.append(batch.step())
    return torch.stack(found)


def _alone(
    model: Any, head: list[int], tails: Sequence[list[int]], following: Sequence[int]
) -> torch.Tensor:
    """The same, of each text whole and by itself."""
    steps = range(len(following) + 1)
    columns = []
    for tail in tails:
        ids = torch.tensor([[*head, *tail, *following]], device=model.device)
        logits = model(input_ids=ids, use_cache=False).logits[0]
        start = len(head) + len(tail) - 1
        columns.append(torch.stack([logits[start + step] for step in steps]))
    return torch.stack(columns, 1)


def _distance(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """How far logits are from others, (steps, rows), as a share of how these vary."""
    varying = wanted.float() - wanted.float().mean(-1, keepdim=True)
    difference = found.float() - found.float().mean(-1, keepdim=True) - varying
    share: torch.Tensor = difference.norm(dim=-1) / varying.norm(dim=-1)
    return share


def _who(model: Any) -> str:
    return f"{model.name_or_path}: {architecture(model)}"
