"""Whether texts side by side are what each would be alone, tried on the model itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from refine_af.engines.batch import Batch, Prefix, PromptRow, Prompts
from refine_af.engines.generation import prefilled
from refine_af.engines.greedy import greedy
from refine_af.engines.shared_prefix import can_share
from refine_af.errors import InputError, shown
from refine_af.models.backbones import LOAD_FAULTS
from refine_af.models.device_faults import gpu_faults, out_of_memory
from refine_af.models.encoding import encode
from refine_af.models.shapes import architecture, room_of, text_config, window_of

TEXT = "Name five rivers, sort them by length, and say in one line how you counted the words.\n" * 2
HEAD, SHORT, LONG, STEPS = 6, 2, 18, 2


def check_batching(model: Any, tokenizer: Any) -> None:
    """InputError where a text in a batch, after a shared prefix, is not as it is alone.

    A short text and a long one are read and go on for two tokens beside each other, as all
    generation does, the prefix copied and, where the model allows it, shared; and each is read
    alone and whole: the logits must agree, but for the rounding of the model's precision. Nothing
    is drawn, and nothing is kept.
    """
    room = room_of(text_config(model))
    if room and room < HEAD + LONG + STEPS:
        return  # no text that a stage asks for fits in it either
    ids = encode(tokenizer, TEXT, start=True)
    ids = (ids * (1 + (HEAD + LONG + STEPS) // len(ids)))[: HEAD + LONG + STEPS]
    tails = [ids[HEAD : HEAD + SHORT], ids[HEAD : HEAD + LONG]]
    following = ids[HEAD + LONG :]
    try:
        with torch.inference_mode(), gpu_faults():
            alone = _alone(model, ids[:HEAD], tails, following)
            shareable = can_share(model) and window_of(model, len(ids)) is None
            begun = prefilled(model, ids[:HEAD])
            for shared in [False, True] if shareable else [False]:
                prefix = Prefix(begun, HEAD, shared)
                together = _together(model, prefix, tails, following, tokenizer.pad_token_id)
                _check_near(model, together, alone)
    except LOAD_FAULTS as error:
        if isinstance(error, RuntimeError) and out_of_memory(error):
            raise
        wrong = f"{type(error).__name__}: {shown(str(error), 200)}"
        raise InputError(f"{_who(model)} cannot write texts side by side: {wrong}") from None


def _check_near(model: Any, together: torch.Tensor, alone: torch.Tensor) -> None:
    # A row is off where it is so at each step: in a mixture of experts one near-tie may turn.
    far = _distance(together, alone).amin(0).max()
    if far > torch.finfo(model.dtype).eps ** 0.5:
        raise InputError(
            f"{_who(model)} cannot write texts side by side: beside a longer text, a text's logits "
            f"differ by {float(far):.1%} from those that it has alone, which is no rounding of "
            f"{str(model.dtype).removeprefix('torch.')}"
        )


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
