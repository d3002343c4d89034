"""The next token of each text, from logits: penalty, temperature, min-p, nucleus."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from refine_af.errors import InputError
from refine_af.settings.sampling import Sampling

# Only the likeliest tokens of a row are put in order, which takes a fraction of the time that a
# whole vocabulary of 49,152 takes. They nearly always hold the token that is drawn; where they do
# not, more are taken.
CANDIDATES, MORE = 256, 16
UNSURE, BROKEN = -1, -2  # in the place of a token: not among the candidates; a logit is not finite


def next_tokens(
    logits: torch.Tensor, seen: torch.Tensor, uniforms: torch.Tensor, sampling: Sampling
) -> list[int]:
    """The next token of each row, from logits (rows, vocabulary).

    The presence penalty lowers the logits of the tokens that the row has `seen`, (rows,
    vocabulary), bool; then come temperature, min-p (arXiv 2407.01082), and nucleus sampling of what
    this leaves (arXiv 1904.09751). The row's number in `uniforms`, (rows,), float64 in [0, 1),
    picks by the cumulated probabilities, likeliest first, of equals the lower id. What a row draws
    hangs on nothing else in the batch. InputError where a logit is not finite.
    """
    scores = logits.double()
    finite = scores.sum(-1).isfinite()
    if sampling.presence_penalty:
        scores -= sampling.presence_penalty * seen
    if sampling.temperature == 0:
        return _known(scores.argmax(-1), finite)
    probabilities = scores.div_(sampling.temperature).softmax(-1)
    if sampling.min_p:
        least = sampling.min_p * probabilities.amax(-1, keepdim=True)
        probabilities = probabilities.where(probabilities >= least, 0.0)
        probabilities /= probabilities.sum(-1, keepdim=True)
    tokens = _known(_drawn(probabilities, uniforms, sampling.top_p, CANDIDATES), finite)
    count = CANDIDATES
    while unsure := [row for row, token in enumerate(tokens) if token == UNSURE]:
        count *= MORE
        drawn = _drawn(probabilities[unsure], uniforms[unsure], sampling.top_p, count)
        for row, token in zip(unsure, drawn.tolist(), strict=True):
            tokens[row] = token
    return tokens


def uniforms(seed: int, count: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) that one text's tokens are drawn with, (count,), float64."""
    return np.random.Generator(np.random.Philox(seed)).random(count)


def _known(tokens: torch.Tensor, finite: torch.Tensor) -> list[int]:
    """The tokens on the host: on a GPU all work of a step is waited for here, and only here."""
    known: list[int] = tokens.where(finite, BROKEN).tolist()
    if BROKEN in known:
        raise InputError(
            "the model's logits are not finite: its weights, or its adapter's, are broken"
        )
    return known


def _drawn(
    probabilities: torch.Tensor, uniforms: torch.Tensor, top_p: float, count: int
) -> torch.Tensor:
    """The drawn token of each row, (rows,); UNSURE where the `count` likeliest may not hold it."""
    vocabulary = probabilities.shape[-1]
    ids = probabilities.topk(min(count, vocabulary), dim=-1, sorted=False).indices
    # By ids, then stable: equals stand as in the whole vocabulary's order.
    ids = ids.sort(dim=-1).values
    likeliest, order = probabilities.gather(-1, ids).sort(dim=-1, descending=True, stable=True)
    ids = ids.gather(-1, order)
    if count >= vocabulary:
        return _picked(likeliest, ids, uniforms, top_p)
    # Which of several equals at the edge are among them is left open by torch: so none is.
    likeliest = likeliest.masked_fill(likeliest == likeliest[:, -1:], 0.0)
    held = likeliest.cumsum(-1)[:, -1]
    sure = held > uniforms if top_p >= 1 else held >= top_p
    return _picked(likeliest, ids, uniforms, top_p).where(sure, UNSURE)


def _picked(
    likeliest: torch.Tensor, tokens: torch.Tensor, uniforms: torch.Tensor, top_p: float
) -> torch.Tensor:
    """The drawn token of each row, (rows,), from `tokens` and their probabilities, in order."""
    # The nucleus: a token stays where those before it hold less than top_p, so the first does.
    cumulated = likeliest.cumsum(-1)
    below = torch.nn.functional.pad(cumulated[:, :-1], (1, 0))
    likeliest = likeliest.masked_fill(below >= top_p, 0.0)
    cumulated = likeliest.cumsum(-1)
    whole = cumulated[:, -1:] if top_p < 1 else 1.0
    target = uniforms[:, None] * whole
    picked = torch.searchsorted(cumulated, target, right=True)
    # Rounding may lift the target to the whole sum, which lies behind the last token that stays.
    last = (likeliest > 0).sum(-1, keepdim=True) - 1
    return tokens.gather(-1, torch.minimum(picked, last).clamp(min=0))[:, 0]
