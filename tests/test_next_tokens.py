"""Drawing: by hand, by shares, and beside the order of a whole vocabulary."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from refine_af.engines import next_tokens as module
from refine_af.engines.next_tokens import next_tokens
from refine_af.errors import InputError
from refine_af.settings.sampling import Sampling

GREEDY = Sampling(
    temperature=0.0, top_p=1.0, min_p=0.0, presence_penalty=0.0, max_new_tokens=12, stop=()
)
DRAWN = GREEDY.model_copy(update={"temperature": 1.0})


def drawn(logits: torch.Tensor, uniforms: torch.Tensor, sampling: Sampling) -> list[int]:
    seen = torch.zeros(logits.shape, dtype=torch.bool)
    return next_tokens(logits, seen, uniforms.double(), sampling)


def test_by_hand() -> None:
    # Probabilities .5, .3, .2: the nucleus of .7 holds the first two, .8 in all, so that a
    # uniform number of .5 reaches .4 < .5 (the first) and one of .7 reaches .56 (the second).
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log().repeat(3, 1)
    nucleus = DRAWN.model_copy(update={"top_p": 0.7})
    assert drawn(logits, torch.tensor([0.5, 0.7, 0.999]), nucleus) == [0, 1, 1]
    # Half of the likeliest one's .5 leaves out the third alone, as that nucleus does; the nucleus
    # of .6 is then one of .625 and .375.
    likely = DRAWN.model_copy(update={"min_p": 0.5})
    assert drawn(logits, torch.tensor([0.5, 0.7, 0.999]), likely) == [0, 1, 1]
    likely = likely.model_copy(update={"top_p": 0.6})
    assert drawn(logits, torch.tensor([0.5, 0.7, 0.999]), likely) == [0, 0, 0]
    assert drawn(logits[:, :2], torch.tensor([0.5, 0.7, 0.999]), DRAWN) == [0, 1, 1]
    # A penalty of ln 2 halves the odds of what was seen: .25, .3, .2, so that the second leads.
    seen = torch.tensor([[True, False, False]] * 3)
    penalised = GREEDY.model_copy(update={"presence_penalty": 0.6931471805599453})
    assert next_tokens(logits, seen, torch.zeros(3).double(), penalised) == [1] * 3


def test_draws_follow_the_probabilities() -> None:
    # 20,000 evenly spaced numbers give each token its share to within one draw.
    shares = torch.tensor([0.1, 0.6, 0.3])
    count = 20_000
    uniforms = (torch.arange(count).double() + 0.5) / count
    tokens = torch.tensor(drawn(shares.log().repeat(count, 1), uniforms, DRAWN))
    assert (torch.bincount(tokens) / count - shares).abs().max() < 1e-3


@given(
    seed=st.integers(0, 2**32),
    vocabulary=st.integers(1, 90),
    spread=st.sampled_from([0.0, 0.3, 2.0, 8.0]),
    rounded=st.booleans(),
    temperature=st.sampled_from([0.3, 0.7, 1.0]),
    top_p=st.sampled_from([1e-9, 0.1, 0.5, 0.9, 0.99, 1.0]),
)
def test_as_in_the_order_of_the_whole_vocabulary(
    seed: int, vocabulary: int, spread: float, rounded: bool, temperature: float, top_p: float
) -> None:
    """Whatever the first candidates hold: peaked or flat, with equals or without."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(6, vocabulary, generator=generator)
    logits = logits.round() if rounded else logits
    uniforms = torch.rand(6, generator=generator, dtype=torch.float64)
    sampling = DRAWN.model_copy(update={"temperature": temperature, "top_p": top_p})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CANDIDATES", 100)
        whole = drawn(logits, uniforms, sampling)
        patch.setattr(module, "CANDIDATES", 3)
        patch.setattr(module, "MORE", 2)
        assert drawn(logits, uniforms, sampling) == whole
    for row, token in enumerate(whole):
        assert token == _plainly(logits[row].tolist(), float(uniforms[row]), temperature, top_p)


def _plainly(logits: list[float], uniform: float, temperature: float, top_p: float) -> int:
    """The token by the definition, in Python's own numbers but for the probabilities."""
    scores = torch.tensor(logits, dtype=torch.float64) / temperature
    probabilities = scores.softmax(-1).tolist()
    order = sorted(range(len(logits)), key=lambda token: (-probabilities[token], token))
    nucleus, held = [], 0.0
    for token in order:
        if held < top_p:
            nucleus.append(token)
            held += probabilities[token]
    target, reached = uniform * (held if top_p < 1 else 1.0), 0.0
    for token in nucleus:
        reached += probabilities[token]
        if reached > target:
            return token
    return nucleus[-1]


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("sampling", [GREEDY, DRAWN])
def test_a_logit_that_is_not_finite(odd: float, sampling: Sampling) -> None:
    logits = torch.zeros(2, 300)
    logits[1, 7] = odd
    with pytest.raises(InputError, match="the model's logits are not finite"):
        drawn(logits, torch.rand(2), sampling)
