"""Generation against transformers' own greedy search, and what must hold of every draw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from refine_af.engines import batch, generation
from refine_af.engines.decoding import Stops
from refine_af.engines.generation import Completion, generate, rows_that_fit
from refine_af.errors import InputError
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.settings.sampling import Sampling

GREEDY = Sampling(
    temperature=0.0, top_p=1.0, min_p=0.0, presence_penalty=0.0, max_new_tokens=12, stop=()
)
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


def test_a_prompt_beyond_the_context_is_completed_with_nothing(loaded: tuple[Any, Any]) -> None:
    rows = complete(loaded, GREEDY, tails=[TAILS[0], "a " * 20_000], seeds=[0, 1])
    assert rows == [
        complete(loaded, GREEDY)[0],
        Completion("", (), "length", rows[1].prompt_tokens),
    ]
    (alone,) = complete(loaded, GREEDY, tails=["a " * 20_000], seeds=[0])
    assert alone == rows[1], "whatever is asked beside it"
    with pytest.raises(InputError, match=r"max_new_tokens 12, exceed the model's context of 16384"):
        complete(loaded, GREEDY, prefix="a " * 20_000)


def test_rows_that_fit_shrink_with_length(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    assert rows_that_fit(model, 100) == 256
    assert 1 <= rows_that_fit(model, 10**8) < 256


MANY = [f"Task {i}: {'sort the list ' * (i % 5)}number {i}" for i in range(23)]


@pytest.mark.parametrize("size", [1, 2, 3, 8, 23])
def test_places_are_given_on_and_change_nothing(
    loaded: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Stop strings end the texts at different steps; few columns make all move to the left."""
    sampling = DRAWN.model_copy(update={"stop": ("e", "1"), "max_new_tokens": 20})
    alone = [
        complete(loaded, sampling, tails=[tail], seeds=[seed])[0] for seed, tail in enumerate(MANY)
    ]
    assert len({len(row.tokens) for row in alone}) > 4
    monkeypatch.setattr(generation, "rows_that_fit", lambda *_: size)
    monkeypatch.setattr(batch, "MARGIN", 2)
    together = complete(loaded, sampling, tails=MANY, seeds=range(len(MANY)))
    assert together == alone


def test_the_prefix_may_be_empty(loaded: tuple[Any, Any]) -> None:
    _, tokenizer = loaded
    begin = tokenizer.bos_token_id
    tokenizer.bos_token_id = None
    try:
        whole = complete(loaded, GREEDY)
        split = complete(loaded, GREEDY, prefix="", tails=[PREFIX + tail for tail in TAILS])
    finally:
        tokenizer.bos_token_id = begin
    assert split == whole != complete(loaded, GREEDY)


def test_a_prefix_that_is_read_already_changes_nothing(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    head = encode(tokenizer, PREFIX, start=True)
    with torch.inference_mode():
        begun = generation.prefilled(model, head)
    assert complete(loaded, DRAWN, begun=begun) == complete(loaded, DRAWN)
    with pytest.raises(ValueError, match=rf"^begun by {len(head)} tokens, not 0$"):
        complete(loaded, DRAWN, begun=begun, prefix="")


def test_a_sliding_window_equals_transformers(tiny_tokenizer: Path) -> None:
    from transformers import AutoTokenizer, MistralConfig, MistralForCausalLM

    tokenizer = AutoTokenizer.from_pretrained(tiny_tokenizer)
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=7,
        max_position_embeddings=256,
        eos_token_id=2,
    )
    model = MistralForCausalLM(config).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(4)  # sharper attention, so that what is seen matters
    greedy = GREEDY.model_copy(update={"max_new_tokens": 20})
    ours = complete((model, tokenizer), greedy)
    for tail, row in zip(TAILS, ours, strict=True):
        prompt = encode(tokenizer, PREFIX, start=True) + encode(tokenizer, tail, start=False)
        assert len(prompt) > 7
        ids = torch.tensor([prompt])
        for token in row.tokens:
            assert int(model(input_ids=ids, use_cache=False).logits[0, -1].argmax()) == token
            ids = torch.cat([ids, torch.tensor([[token]])], 1)
    config.sliding_window = 1000
    assert complete((model, tokenizer), greedy) != ours, "the window mattered"


def test_layers_of_several_kinds_are_refused_past_their_window(loaded: tuple[Any, Any]) -> None:
    model, _ = loaded
    model.config.sliding_window = 4
    model.config.layer_types = ["full_attention", "sliding_attention"]
    try:
        with pytest.raises(InputError, match="exceed the window of 4 tokens"):
            complete(loaded, GREEDY)
        model.config.layer_types = ["linear_attention", "full_attention"]
        with pytest.raises(InputError, match="'linear_attention' cannot be generated with"):
            complete(loaded, GREEDY)
    finally:
        del model.config.layer_types, model.config.sliding_window


class Scarce:
    """The model on a machine whose memory holds `rows` texts; a batch of more ends in the fault."""

    def __init__(self, model: Any, rows: int, fault: Exception) -> None:
        self._model, self._rows, self._fault = model, rows, fault
        self.largest = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def __call__(self, *, input_ids: torch.Tensor, **rest: Any) -> Any:
        # Later in the text, when some rows have been written half.
        if len(input_ids) > self._rows and input_ids.shape[1] == 1:
            raise self._fault
        self.largest = max(self.largest, len(input_ids))
        return self._model(input_ids=input_ids, **rest)


MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    MemoryError(),
]


@pytest.mark.parametrize("fault", MEMORY, ids=lambda fault: type(fault).__name__)
def test_a_batch_beyond_memory_is_halved(
    loaded: tuple[Any, Any], fault: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    model, tokenizer = loaded
    wanted = complete(loaded, DRAWN, tails=MANY, seeds=range(len(MANY)))
    capsys.readouterr()
    scarce = Scarce(model, 6, fault)
    found = complete((scarce, tokenizer), DRAWN, tails=MANY, seeds=range(len(MANY)))
    assert found == wanted
    assert capsys.readouterr().out.splitlines() == [
        "out of memory with 23 texts at a time: going on with 11",
        "out of memory with 11 texts at a time: going on with 5",
    ]
    with pytest.raises(InputError, match="out of memory with one text at a time"):
        complete((Scarce(model, 0, fault), tokenizer), DRAWN)


@pytest.mark.parametrize("place", ["generation.prefilled", "batch.Slots"])
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory with "),
        (torch.AcceleratorError("CUDA error: gone"), "the GPU failed: CUDA error: gone"),
    ],
    ids=["memory", "gpu"],
)
def test_faults_before_the_first_token(
    loaded: tuple[Any, Any],
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    fault: Exception,
    message: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise fault

    monkeypatch.setattr(f"refine_af.engines.{place}", fail)
    with pytest.raises(InputError, match=message):
        complete(loaded, DRAWN)


def test_a_vanished_gpu_and_other_faults(loaded: tuple[Any, Any]) -> None:
    model, tokenizer = loaded
    gone = torch.AcceleratorError("CUDA error: device lost\nlong advice")
    with pytest.raises(InputError, match=r"the GPU failed: CUDA error: device lost$"):
        complete((Scarce(model, 0, gone), tokenizer), DRAWN)
    with pytest.raises(RuntimeError, match="shape"):
        complete((Scarce(model, 0, RuntimeError("shape")), tokenizer), DRAWN)


@pytest.mark.parametrize(
    ("stop", "text"), [("<|assistant|>", "Sort the"), (" the<|assistant|>", "Sort")]
)
@pytest.mark.parametrize("end_of_text", [True, False])
def test_a_stop_string_may_be_a_special_token(
    stop: str, text: str, end_of_text: bool, loaded: tuple[Any, Any]
) -> None:
    """Decoding drops it, and so it is looked for where it still stands."""
    model, tokenizer = loaded
    stops = Stops(
        model,
        tokenizer,
        GREEDY.model_copy(update={"stop": (stop, "\n\n"), "max_new_tokens": 40}),
        end_of_text=end_of_text,
    )
    words = encode(tokenizer, "Sort the", start=False)
    special = tokenizer.convert_tokens_to_ids("<|assistant|>")
    assert all(stops.ended(words[: count + 1]) is None for count in range(len(words)))
    assert stops.ended([*words, special]) == (text, "stop")
    other = tokenizer.convert_tokens_to_ids("<|prompter|>")
    assert stops.ended([*words, other]) is None
    assert stops.ended([other, *words, special]) == (text, "stop"), "others are still dropped"
    assert stops.ended([*words, *encode(tokenizer, "\n\n", start=False)]) == ("Sort the", "stop")
