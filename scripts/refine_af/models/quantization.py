"""Weights in 4 bits: how many of a model's are, and which are not."""

from __future__ import annotations

from typing import Any

import torch

from refine_af.models.shapes import architecture


def share_in_four_bits(model: Any) -> float:
    """The share of the model's weights that are held in 4 bits, 0 to 1."""
    from bitsandbytes.nn import Params4bit

    weights = list(model.parameters())
    four = sum(
        weight.quant_state.shape.numel() for weight in weights if isinstance(weight, Params4bit)
    )
    other = sum(weight.numel() for weight in weights if not isinstance(weight, Params4bit))
    return float(four / (four + other))


def say_what_stays(model: Any) -> None:
    """Print the share of the weights in 4 bits where, beside embeddings, more than a tenth is not.

    bitsandbytes rounds linear layers alone, and experts stand side by side in one tensor.
    """
    from bitsandbytes.nn import Params4bit

    apart = [part for part in model.modules() if isinstance(part, torch.nn.Embedding)]
    apart.append(model.get_output_embeddings())
    tables = {id(part.weight) for part in apart if part is not None}
    left = sum(
        weight.numel()
        for weight in model.parameters()
        if not isinstance(weight, Params4bit) and id(weight) not in tables
    )
    share = left / model.num_parameters()
    if share > 0.1:
        print(
            f"nf4: {share_in_four_bits(model):.0%} of the weights of {architecture(model)} are in "
            f"4 bits; {share:.0%}, its experts or what else is no plain linear layer, stay in "
            f"{str(model.dtype).removeprefix('torch.')}",
            flush=True,
        )
