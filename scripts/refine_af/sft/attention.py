"""Whether rows may stand one after the other in one sequence, without padding between them."""

from __future__ import annotations

from typing import Any

import torch

from refine_af.errors import InputError
from refine_af.models.upstream import rows_in_one_sequence


def without_padding(model: Any, *, packing: bool) -> bool:
    """Whether batches are one sequence of rows, rather than rows padded to one length.

    They are where rows are packed, and on a GPU where attention keeps rows apart. On a CPU short
    padded rows are faster. InputError where packed rows would see each other.
    """
    if packing:
        if not keeps_rows_apart(model):
            raise InputError(
                "sft.packing: the attention of this model lets packed rows see each other; "
                "say false"
            )
        return True
    return model.device.type == "cuda" and keeps_rows_apart(model)


@torch.no_grad()
def keeps_rows_apart(model: Any) -> bool:
    """Whether the model's logits for a row are the same whatever stands before it.

    But for rounding: which tokens an expert meets together decides the last bits of a sum.
    """
    training = model.training
    model.eval()
    try:
        found = [_of_second_row(model, first) for first in ([1, 2, 1, 2], [2, 2, 2, 1])]
    finally:
        model.train(training)
    difference, size = (found[0] - found[1]).abs().max(), found[1].abs().max()
    return bool(difference <= min(100 * torch.finfo(found[1].dtype).eps, 0.02) * size)


def _of_second_row(model: Any, first: list[int]) -> torch.Tensor:
    inputs = {
        name: value.to(model.device) if isinstance(value, torch.Tensor) else value
        for name, value in rows_in_one_sequence([first, [1, 2, 2]]).items()
    }
    logits: torch.Tensor = model(**inputs, use_cache=False).logits[0, len(first) :]
    return logits
