"""Checkpoints load or are refused in one message; a text's middle gets no extra space."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import PreTrainedTokenizerFast

from refine_af.errors import InputError
from refine_af.models import encode, load_backbone, load_tokenizer


@pytest.fixture(scope="module")
def sentencepiece() -> PreTrainedTokenizerFast:
    """A tokenizer built as Llama 2's: a space before the first word, spaces as marks."""
    marks = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = marks
    tokenizer.decoder = decoders.Replace("▁", " ")
    trainer = trainers.BpeTrainer(
        vocab_size=80, special_tokens=["<s>", "</s>"], show_progress=False
    )
    tokenizer.train_from_iterator(["Task: Sort the list.\nOutput: Sort the list.\n"] * 9, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


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
    with pytest.raises(InputError, match="cannot be loaded"):
        load_backbone(tiny_llama, quantization="none", adapter=tmp_path)
