"""Generation against transformers' own greedy search, and what must hold of every draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from refine_af.errors import InputError
from refine_af.generation import Completion, generate, next_tokens, rows_that_fit
from refine_af.models import encode, load_backbone, load_tokenizer
from refine_af.settings import Sampling

GREEDY = Sampling(temperature=0.0, top_p=1.0, presence_penalty=0.0, max_new_tokens=12, stop=())
DRAWN = GREEDY.model_copy(update={"temperature": 1.0, "top_p": 0.9})
PREFIX = "Task 1: Sort the list of numbers.\n"
TAILS = ["Task 2:", "Example 1\nInput: 3, 1, 2\n", "Output: Yes", "Output: No, the list."]


@pytest.fixture(scope="module")
def loaded(tiny_llama: Path) -> tuple[Any, Any]:
    return load_backbone(tiny_llama, quantization="none"), load_tokenizer(tiny_llama)


def complete(loaded: tuple[Any, Any], sampling: Sampling, **changes: Any) -> list[Completion]:
    model, tokenizer = loaded
    arguments = {"prefix": PREFIX, "tails": TAILS, "seeds": range(len(TAILS)), **changes}
    return generate(model, tokenizer, sampling=sampling, **arguments)


def test_greedy_equals_transformers_one_unpadded_row_at_a_time(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    for tail, ours in zip(TAILS, complete(loaded, GREEDY), strict=True):
        prompt = encode(tokenizer, PREFIX, start=True) + encode(tokenizer, tail, start=False)
        theirs = model.generate(
            input_ids=torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=12,
            do_sample=False,
            pad_token_id=0,
        )[0, len(prompt) :]
        assert list(ours.tokens) == theirs.tolist()


def test_a_row_draws_the_same_alone_and_in_company(loaded: tuple[Any, Any]) -> None:
    together = complete(loaded, DRAWN)
    alone = [
        complete(loaded, DRAWN, tails=[tail], seeds=[seed])[0] for seed, tail in enumerate(TAILS)
    ]
    assert [row.tokens for row in together] == [row.tokens for row in alone]
    assert complete(loaded, DRAWN, seeds=[9, 9, 9, 9]) != together


def test_text_ends_before_the_stop_string_and_tokens_with_it(loaded: tuple[Any, Any]) -> None:
    free = complete(loaded, GREEDY)[0]
    assert free.finish == "length" and len(free.tokens) == 12
    stop = free.text[4:6]
    stopped = complete(loaded, GREEDY.model_copy(update={"stop": (stop,)}))[0]
    assert stopped.finish == "stop"
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.tokens == free.tokens[: len(stopped.tokens)]


def test_the_end_of_text_token_ends_a_row(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    free = complete(loaded, GREEDY)[0]
    kept = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = [2, free.tokens[3]]
    try:
        ended = complete(loaded, GREEDY)[0]
    finally:
        model.generation_config.eos_token_id = kept
    first = free.tokens.index(free.tokens[3])
    assert (ended.finish, ended.tokens) == ("eos", free.tokens[: first + 1])


def test_a_special_tokens_name_in_a_prompt_is_text(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    ids = encode(tokenizer, "a</s>b<pad>", start=True)
    assert ids[0] == 1 and not {0, 2} & set(ids)
    assert tokenizer.decode(ids[1:]) == "a</s>b<pad>"


def test_next_tokens_by_hand() -> None:
    # Probabilities .5, .3, .2: the nucleus of .7 holds the first two, .8 in all, so that a
    # uniform number of .5 reaches .4 < .5 (the first) and one of .7 reaches .56 (the second).
    logits = torch.tensor([[0.5, 0.3, 0.2]]).log().repeat(3, 1)
    seen = torch.zeros(3, 3, dtype=torch.bool)
    nucleus = DRAWN.model_copy(update={"top_p": 0.7})
    drawn = next_tokens(logits, seen, torch.tensor([0.5, 0.7, 0.999], dtype=torch.double), nucleus)
    assert drawn[:, 0].tolist() == [0, 1, 1]
    # A penalty of ln 2 halves the odds of what was seen: .25, .3, .2, so that the second leads.
    seen[:, 0] = True
    penalised = GREEDY.model_copy(update={"presence_penalty": 0.6931471805599453})
    assert next_tokens(logits, seen, torch.zeros(3).double(), penalised)[:, 0].tolist() == [1] * 3


def test_draws_follow_the_probabilities() -> None:
    # 20,000 evenly spaced numbers give each token its share to within one draw.
    shares = torch.tensor([0.1, 0.6, 0.3])
    count = 20_000
    uniforms = (torch.arange(count).double() + 0.5) / count
    everything = DRAWN.model_copy(update={"top_p": 1.0})
    drawn = next_tokens(
        shares.log().repeat(count, 1), torch.zeros(count, 3, dtype=torch.bool), uniforms, everything
    )
    assert (torch.bincount(drawn[:, 0]) / count - shares).abs().max() < 1e-3


def test_a_prompt_beyond_the_context_is_completed_with_nothing(loaded: tuple[Any, Any]) -> None:
    rows = complete(loaded, GREEDY, tails=[TAILS[0], "a " * 20_000], seeds=[0, 1])
    assert rows == [complete(loaded, GREEDY)[0], Completion("", (), "length")]
    with pytest.raises(InputError, match=r"max_new_tokens 12 exceeds the model's context of 16384"):
        complete(loaded, GREEDY, tails=["a " * 20_000], seeds=[0])


def test_rows_that_fit_shrink_with_length(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    assert rows_that_fit(model, 100) == 256
    assert 1 <= rows_that_fit(model, 10**8) < 256
