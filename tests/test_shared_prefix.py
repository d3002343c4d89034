"""A prefix that texts share is attended to as if each had it: against PyTorch, and whole texts."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, MistralConfig
from transformers import MistralForCausalLM as Mistral

from refine_af.engines import batch, generation, shared_prefix
from refine_af.engines.generation import Completion, completions
from refine_af.engines.replies import Group
from refine_af.engines.shared_prefix import Beginning, attending, can_share
from refine_af.models.backbones import load_tokenizer
from refine_af.settings.sampling import Sampling

SHAPE: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 4000,
    "max_position_embeddings": 512,
}
SAMPLING = Sampling(
    temperature=1.0, top_p=0.9, min_p=0.0, presence_penalty=0.0, max_new_tokens=16, stop=("e", "1")
)
GROUPS = [
    Group(
        "Task 1: Sort the list of numbers.\n", [f"Input {i}: {'3, ' * (i % 4)}" for i in range(7)]
    ),
    Group("Write one word.\n", ["Word:"]),  # alone, so that nobody shares its prefix
    Group("Task 2: Name the animal with the longest neck.\n", [f"Output {i}" for i in range(5)]),
    Group("", ["Task 3:", "Task 4: Sort"]),
]


class Asks(torch.nn.Module):
    """What asks for attention, as the first layer of a model."""

    layer_idx = 0
    num_key_value_groups = 2


@pytest.fixture(scope="module")
def model() -> Any:
    torch.manual_seed(0)
    return LlamaForCausalLM(LlamaConfig(**SHAPE)).eval()


@pytest.fixture
def sharing(monkeypatch: pytest.MonkeyPatch) -> list[Beginning]:
    """Prefixes of any length are shared from two texts on; what passes attended to is kept."""
    seen: list[Beginning] = []

    def watched(made: Any, beginnings: list[Beginning]) -> Any:
        seen.extend(beginnings)
        return attending(made, beginnings)

    monkeypatch.setattr(generation, "SHARED_TOKENS", 1)
    monkeypatch.setattr(generation, "SHARED_TEXTS", 2)
    monkeypatch.setattr(batch, "attending", watched)
    return seen


def written(model: Any, tokenizer: Any) -> dict[int, Completion]:
    seeds = range(sum(len(group.tails) for group in GROUPS))
    return dict(completions(model, tokenizer, GROUPS, sampling=SAMPLING, seeds=seeds))


@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 3), st.integers(0, 99)
)
def test_scores_are_those_of_one_row_of_keys(
    rows: int, tokens: int, length: int, groups: int, seed: int
) -> None:
    torch.manual_seed(seed)
    query = torch.randn(rows, 2 * groups, tokens, 8).transpose(1, 2).contiguous().transpose(1, 2)
    key, value = torch.randn(2, rows, groups, tokens + 3, 8)
    prefix_key, prefix_value = torch.randn(2, groups, length, 8)
    hidden = torch.rand(rows, 1, tokens, tokens + 3) < 0.4
    mask = torch.where(hidden, torch.finfo(torch.float32).min, 0.0)
    found = shared_prefix._attended(query, key, value, mask, prefix_key, prefix_value, 0.3)
    wanted = scaled_dot_product_attention(
        query,
        torch.cat([prefix_key.expand(rows, -1, -1, -1), key], 2),
        torch.cat([prefix_value.expand(rows, -1, -1, -1), value], 2),
        attn_mask=torch.cat([torch.zeros(rows, 1, tokens, length), mask], -1),
        scale=0.3,
        enable_gqa=True,
    )
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_rows_and_tokens_are_asked_in_parts_where_their_scores_are_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    torch.manual_seed(0)
    query, (key, value) = torch.randn(6, 4, 3, 8), torch.randn(2, 6, 2, 5, 8)
    mask, cache = torch.zeros(6, 1, 3, 5), DynamicCache()
    cache.update(*torch.randn(2, 1, 2, 7, 8), 0)
    order = [Beginning([0, 2, 5], cache), Beginning([1, 3, 4], None)]
    whole, _ = shared_prefix._attend(order, Asks(), query, key, value, mask, 0.5)
    plain = scaled_dot_product_attention(query, key, value, mask, scale=0.5, enable_gqa=True)
    torch.testing.assert_close(whole[[1, 3, 4]], plain.transpose(1, 2)[[1, 3, 4]])
    token = 4 * 4 * (5 + 7)  # bytes: float32, heads, columns
    two = [(0, 2), (2, 3)]  # tokens, of each row by itself
    for scores, sizes in (
        (token * 3 * 2, [([0, 2], 0, 3), ([5], 0, 3)]),
        (token * 2, [([row], *part) for row in (0, 2, 5) for part in two]),
        (1, [([row], first, first + 1) for row in (0, 2, 5) for first in range(3)]),
    ):
        monkeypatch.setattr(shared_prefix, "SCORES_OF_CPU", scores)
        assert parts(order, query, key) == [*sizes, ([1, 3, 4], 0, 3)]
        split, _ = shared_prefix._attend(order, Asks(), query, key, value, mask, 0.5)
        torch.testing.assert_close(split, whole)


def parts(order: list[Beginning], query: Any, key: Any) -> list[tuple[list[int], int, int]]:
    every = torch.arange(len(query))
    return [
        (every[rows].tolist(), tokens.start, min(tokens.stop, query.shape[2]))
        for one in order
        for rows, tokens in shared_prefix._parts(one, query, key)
    ]


@pytest.mark.parametrize("size", [3, 15])
def test_texts_are_what_they_are_with_a_prefix_of_their_own(
    model: Any,
    tiny_llama: Path,
    sharing: list[Beginning],
    monkeypatch: pytest.MonkeyPatch,
    size: int,
) -> None:
    """Drawn, in batches that hold several prefixes, some shared; places are given on."""
    tokenizer = load_tokenizer(tiny_llama)
    monkeypatch.setattr(generation, "rows_that_fit", lambda *_: size)
    monkeypatch.setattr(batch, "MARGIN", 2)
    together = written(model, tokenizer)
    caches = {id(one.cache) for one in sharing if one.cache is not None}
    assert len(caches) == 2, "the first group's and the third's"
    assert any(one.cache is None for one in sharing)
    monkeypatch.setattr(generation, "SHARED_TOKENS", 10**6)
    sharing.clear()
    assert written(model, tokenizer) == together
    assert all(one.cache is None for one in sharing)
    assert len({len(row.tokens) for row in together.values()}) > 2


def test_a_window_that_hides_some_of_a_prefix_keeps_it_with_each_text(
    tiny_llama: Path, sharing: list[Beginning]
) -> None:
    torch.manual_seed(0)
    tokenizer = load_tokenizer(tiny_llama)
    for window, shares in ((24, False), (400, True)):
        narrow = Mistral(MistralConfig(**SHAPE, sliding_window=window)).eval()
        sharing.clear()
        found = written(narrow, tokenizer)
        assert len(found) == 15
        assert any(one.cache is not None for one in sharing) == shares


def test_the_models_own_attention_is_there_again_whatever_happens(model: Any) -> None:
    assert can_share(model)
    with pytest.raises(KeyError), attending(model, [Beginning([0], DynamicCache())]):
        assert model.config._attn_implementation == shared_prefix.NAME
        raise KeyError
    assert model.config._attn_implementation == "sdpa"


def test_a_prefix_lives_no_longer_than_the_passes_that_attend_to_it(model: Any) -> None:
    cache = DynamicCache()
    with attending(model, [Beginning([0], cache)]):
        pass
    alive = weakref.ref(cache)
    del cache
    gc.collect()
    assert alive() is None


def test_attention_of_another_kind_is_left_alone() -> None:
    eager = LlamaForCausalLM(LlamaConfig(**SHAPE, attn_implementation="eager"))
    assert not can_share(eager)
