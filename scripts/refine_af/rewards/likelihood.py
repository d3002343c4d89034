"""A reward without a further checkpoint: what a language model itself says of a triplet.

`pmi` is how much instruction and input raise the output's mean log-probability, log p(output |
task) - log p(output), in nats a token: pointwise mutual information, and the logarithm of the
inverse of IFD (Li et al. 2024, arXiv 2308.12032). `fluency` is log p(output), in nats a token.
By itself `pmi` is highest for outputs that nobody would write and that stand in the input; with
weights 1 and w the two make the objective MMI-antiLM of Li et al. 2016 (arXiv 1510.03055),
log p(output | task) - (1 - w) log p(output), which is why `fluency` is the output's alone.
`pmi` has no upper bound, so that a weight for `fluency` does not end the search for such outputs;
`reward.likelihood.pmi_ceiling` does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from refine_af.errors import InputError
from refine_af.models.backbones import device, load_backbone, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.models.shapes import text_config
from refine_af.rewards.batches import by_length, padded
from refine_af.rewards.lengths import check_room, fitted, say_cut
from refine_af.rewards.scorer import Triplet
from refine_af.settings.reward import Reward

LABEL = "Output:"  # before the output with and without its task, so that both begin alike
LOGITS_A_BATCH = 2**27  # half a GB in float32


class Row(NamedTuple):
    """Token ids of a text, whose part `output` has its log-probability taken."""

    context: list[int]
    output: list[int]


class Rows(NamedTuple):
    """A triplet's output after its task and by itself; `cut` says that it was too long."""

    given: Row
    alone: Row
    cut: bool


def rows_of(tokenizer: Any, triplet: Triplet, max_length: int) -> Rows:
    """A triplet's two texts, each `fitted` to `max_length` tokens; what a model wrote is no markup.

    A blank output is one of no tokens.
    """
    asked = f"Task: {triplet.instruction}"
    asked += f"\nInput: {triplet.input}" if triplet.input else ""
    task, label = encode(tokenizer, asked, start=True), encode(tokenizer, f"\n{LABEL}", start=False)
    output = encode(tokenizer, f" {triplet.output}", start=False) if triplet.output.strip() else []
    task, output, cut = fitted(task, output, max_length - len(label))
    alone = Row(encode(tokenizer, LABEL, start=True), output)
    return Rows(Row([*task, *label], output), alone, cut)


class Scorer:
    """A language model that scores by likelihoods, loaded once, in the backbones' precision.

    In float32 what shares a batch moves a score by less than 1e-4, in bfloat16 by rounding of that
    kind. A blank output has `pmi` 0 and the `fluency` of tokens drawn blindly, -log(vocabulary).
    """

    def __init__(self, settings: Reward, model: Path | None, evaluator: Path | None) -> None:
        if model is None or settings.likelihood is None:
            raise InputError("likelihood: needs its section, and a model or the backbone")
        self._length = settings.max_length
        self._tokenizer = load_tokenizer(model)
        self._model = load_backbone(model, quantization=settings.likelihood.quantization)
        check_room(self._model, model, self._length)
        self._vocabulary = int(text_config(self._model).vocab_size)
        ceiling = settings.likelihood.pmi_ceiling
        self._ceiling = math.inf if ceiling is None else ceiling

    def __call__(self, triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        """Each triplet's components, in order."""
        pairs = [rows_of(self._tokenizer, entry, self._length) for entry in triplets]
        say_cut("likelihood", sum(pair.cut for pair in pairs), len(pairs), self._length)
        said = [pair for pair in pairs if pair.given.output]
        rows = [row for pair in said for row in (pair.given, pair.alone)]
        found = iter(mean_log_probs(self._model, rows, LOGITS_A_BATCH // self._vocabulary))
        blank = -math.log(self._vocabulary)
        means = [
            (next(found), next(found)) if pair.given.output else (blank, blank) for pair in pairs
        ]
        return [self._components(given, alone) for given, alone in means]

    def _components(self, given: float, alone: float) -> dict[str, float]:
        return {"fluency": alone, "pmi": min(given - alone, self._ceiling)}


def mean_log_probs(model: Any, rows: Sequence[Row], most: int) -> list[float]:
    """The mean log-probability of each row's output after its context, in nats a token.

    `most` is how many tokens a batch may have. No mask is needed: padding stands on the right,
    where a causal model's earlier tokens cannot see it.
    """
    texts = [[*row.context, *row.output] for row in rows]
    means = [0.0] * len(rows)
    for batch in by_length(texts, most):
        with torch.inference_mode():
            ids, _ = padded([texts[place] for place in batch])
            logits = model(input_ids=ids, use_cache=False).logits
            for line, place in enumerate(batch):
                first, last = len(rows[place].context), len(texts[place])
                told = logits[line, first - 1 : last - 1].float().log_softmax(-1)
                output = torch.tensor(rows[place].output, device=device())[:, None]
                means[place] = told.gather(-1, output).double().mean().item()
    return means
