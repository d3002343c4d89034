"""Checkpoints load or are refused in one message; a text's middle gets no extra space."""

from __future__ import annotations

import errno
import json
import shutil
import warnings
from functools import partial
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from refine_af.engines.generation import generate
from refine_af.errors import InputError
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.models.huge_pages import HUGE, lay_together
from refine_af.models.lora import with_lora
from refine_af.settings.lora import Lora
from refine_af.settings.sampling import Sampling
from templates import sentencepiece_tokenizer


@pytest.fixture(scope="module")
def sentencepiece() -> PreTrainedTokenizerFast:
    return sentencepiece_tokenizer()


@pytest.mark.parametrize(("head", "tail"), [("Task:", " Sort the"), ("Task: Sort.\n", "Output:")])
def test_parts_are_the_whole(sentencepiece: PreTrainedTokenizerFast, head: str, tail: str) -> None:
    parts = encode(sentencepiece, head, start=True) + encode(sentencepiece, tail, start=False)
    assert sentencepiece.decode(parts[1:]) == f" {head}{tail}"
    assert sentencepiece.decode(encode(sentencepiece, "the", start=False)) == "the"


def test_an_empty_text_has_no_tokens(sentencepiece: PreTrainedTokenizerFast) -> None:
    assert encode(sentencepiece, "", start=False) == []


def test_four_bits_on_a_cpu_keep_their_weights(tiny_llama: Path) -> None:
    model = load_backbone(tiny_llama, quantization="nf4")
    layers = [m for m in model.modules() if type(m).__name__ == "Linear4bit"]
    assert len(layers) == 14  # two blocks of seven linear layers
    assert not any(layer.support_avx512bf16_for_cpu for layer in layers)


def broken(folder: Path, source: Path, name: str, content: bytes | None) -> Path:
    shutil.copytree(source, folder)
    (folder / name).unlink()
    if content is not None:
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("config.json", None, r"no config\.json"),
        ("config.json", b"{", "not JSON"),
        ("config.json", b'{"model_type": "no-such"}', "no language model"),
        ("config.json", b"[1]", "not a JSON object"),
        ("config.json", b'{"model_type": "t5"}', "no language model .{,320}$"),
        ("model.safetensors", None, "no language model"),
        ("model.safetensors", b"\x00" * 64, "no language model"),
    ],
)
def test_a_broken_checkpoint_is_named(
    tiny_llama: Path, tmp_path: Path, name: str, content: bytes | None, wanted: str
) -> None:
    folder = broken(tmp_path / "model", tiny_llama, name, content)
    with pytest.raises(InputError, match=wanted) as caught:
        load_backbone(folder, quantization="none")
    assert str(folder) in str(caught.value)


def test_sizes_that_do_not_divide_are_named(tiny_llama: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_llama / "config.json").read_text()) | {"hidden_size": 33}
    folder = broken(tmp_path / "model", tiny_llama, "config.json", json.dumps(config).encode())
    for load in (load_tokenizer, partial(load_backbone, quantization="none")):
        with pytest.raises(InputError, match=rf"^{folder}: no .*hidden size \(33\)"):
            load(folder)


def test_broken_weights_are_named_with_their_checkpoint(tiny_llama: Path) -> None:
    model, tokenizer = load_backbone(tiny_llama, quantization="none"), load_tokenizer(tiny_llama)
    sampling = Sampling(
        temperature=0.0, top_p=1.0, min_p=0.0, presence_penalty=0.0, max_new_tokens=2, stop=()
    )
    with torch.no_grad():
        model.lm_head.weight[0] = torch.nan
    with pytest.raises(InputError, match=f"^{tiny_llama}: the model's logits are not finite"):
        generate(model, tokenizer, prefix="", tails=["Do it."], sampling=sampling, seeds=[1])


@pytest.mark.parametrize("layers", [1, 3])
def test_weights_that_do_not_fit_are_refused(tiny_llama: Path, tmp_path: Path, layers: int) -> None:
    config = json.loads((tiny_llama / "config.json").read_text()) | {"num_hidden_layers": layers}
    text = json.dumps(config).encode()
    folder = broken(tmp_path / "model", tiny_llama, "config.json", text)
    with pytest.raises(InputError, match=r"model\.layers\.[12]") as caught:
        load_backbone(folder, quantization="none")
    assert "do not fit" in str(caught.value)


WRONG_ADAPTER: dict[str, object] = {
    "target_modules": "(",
    "exclude_modules": "(",
    "rank_pattern": 5,
    "megatron_config": {"x": 1},
    "layer_replication": [[0, 9]],
}


def test_an_adapter_that_does_not_fit_is_refused(tiny_llama: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    lora = Lora(r=2, alpha=4, dropout=0.0, targets="all-linear")
    model = load_backbone(tiny_llama, quantization="none")
    with_lora(model, lora, seed=0, section="sft.lora").save_pretrained(tmp_path)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text()) | {"base_model_name_or_path": "llama"}
    path.write_text(json.dumps(config))  # as tidied: no folder, and no model of the hub
    with warnings.catch_warnings(action="error", category=UserWarning):
        loaded = load_backbone(tiny_llama, quantization="none", adapter=tmp_path)
    assert loaded.peft_config
    for name, value in WRONG_ADAPTER.items():
        path.write_text(json.dumps(config | {name: value}))
        with pytest.raises(InputError, match=r"the adapter cannot be loaded: "):
            load_backbone(tiny_llama, quantization="none", adapter=tmp_path)
    path.write_text(json.dumps(config))
    path = tmp_path / "adapter_model.safetensors"
    save_file({f"x.{name}": value for name, value in load_file(path).items()}, path)
    with pytest.raises(InputError, match=r"do not fit adapter_config\.json: .* lack base_model"):
        load_backbone(tiny_llama, quantization="none", adapter=tmp_path)


@pytest.mark.parametrize("targets", [["nope"], "(", ["lm_head"], ".*"])
def test_targets_that_cannot_be_adapted(tiny_llama: Path, targets: str | list[str]) -> None:
    lora = Lora.model_validate({"r": 2, "alpha": 4, "dropout": 0.0, "targets": targets})
    with pytest.raises(InputError, match=r"(?s)^ppo\.lora\.targets.{,400}$"):
        with_lora(load_backbone(tiny_llama, quantization="none"), lora, seed=0, section="ppo.lora")


def test_more_tokens_than_the_model_knows(tiny_llama: Path, tmp_path: Path) -> None:
    config = json.loads((tiny_llama / "config.json").read_text()) | {"vocab_size": 20}
    folder = broken(tmp_path / "model", tiny_llama, "config.json", json.dumps(config).encode())
    with pytest.raises(InputError, match=r"the model 20 \(vocab_size\)"):
        load_tokenizer(folder)


def test_pickled_weights_are_not_loaded(tiny_llama: Path, tmp_path: Path) -> None:
    folder = broken(tmp_path / "model", tiny_llama, "model.safetensors", None)
    (folder / "pytorch_model.bin").write_bytes(b"never read")
    with pytest.raises(InputError, match="no language model"):
        load_backbone(folder, quantization="none")


@pytest.mark.parametrize("content", [None, b"{", json.dumps({"version": "1.0"}).encode()])
def test_a_broken_tokenizer_is_named(
    tiny_llama: Path, tmp_path: Path, content: bytes | None
) -> None:
    folder = broken(tmp_path / "model", tiny_llama, "tokenizer.json", content)
    with pytest.raises(InputError) as caught:
        load_tokenizer(folder)
    assert str(folder) in str(caught.value)


def test_a_broken_adapter_is_named(tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no adapter_config\.json"):
        load_backbone(tiny_llama, quantization="none", adapter=tmp_path)
    (tmp_path / "adapter_config.json").write_text("{")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="not JSON"):
        load_backbone(tiny_llama, quantization="none", adapter=tmp_path)


def test_weights_are_laid_together_and_stay_what_they_are(tiny_llama: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    plain = AutoModelForCausalLM.from_pretrained(tiny_llama, dtype=torch.float32)
    plain.lm_head.weight = plain.model.embed_tokens.weight  # a model's tied weights stay one
    before = {name: weight.clone() for name, weight in plain.named_parameters()}
    plain.save_pretrained(tmp_path / "before")
    lay_together(plain)
    after = dict(plain.named_parameters())
    assert list(after) == list(before)
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    assert plain.lm_head.weight is plain.model.embed_tokens.weight
    starts = [weight.data_ptr() for weight in after.values()]
    assert starts == sorted(starts) and starts[0] % HUGE == 0
    for start, following, weight in zip(starts, starts[1:], after.values(), strict=False):
        assert following == start + -(-weight.nbytes // 64) * 64
    plain.save_pretrained(tmp_path / "after")
    files = (load_file(tmp_path / when / "model.safetensors") for when in ("before", "after"))
    saved, again = files
    assert saved.keys() == again.keys()
    assert all(torch.equal(saved[name], again[name]) for name in saved)


def test_weights_stay_where_memory_for_a_copy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = torch.nn.Linear(3, 2)
    starts = [weight.data_ptr() for weight in model.parameters()]

    def refused(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("refine_af.models.huge_pages.mmap.mmap", refused)
    lay_together(model)
    assert starts == [weight.data_ptr() for weight in model.parameters()]


def test_weights_in_four_bits_are_left_where_they_are(tiny_llama: Path) -> None:
    from bitsandbytes.nn import Params4bit

    model = load_backbone(tiny_llama, quantization="nf4")
    packed = [weight for weight in model.parameters() if isinstance(weight, Params4bit)]
    starts = [weight.data_ptr() for weight in packed]
    lay_together(model)
    assert packed and starts == [weight.data_ptr() for weight in packed]
