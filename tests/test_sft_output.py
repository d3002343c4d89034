"""What fine-tuning hands on: checked before the first update, and as it was trained."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from transformers import AutoModelForCausalLM, AutoTokenizer

import sft as stage
from fine_tuning import asked
from refine_af.errors import InputError
from refine_af.models.backbones import load_tokenizer
from refine_af.models.encoding import encode
from refine_af.sft.card import card_of
from refine_af.sft.output import ended_by
from templates import without_begin
from test_sft_tuning import FAST, rows


def without_pad(backbone: Path, changes: dict[str, object], generation: object) -> Path:
    """A checkpoint with no token for padding, and another config and generation_config.json."""
    config = json.loads((backbone / "config.json").read_text())
    (backbone / "config.json").write_text(json.dumps(config | {"pad_token_id": None} | changes))
    (backbone / "generation_config.json").write_text(json.dumps(generation))
    words = json.loads((backbone / "tokenizer_config.json").read_text())
    words.pop("pad_token")
    (backbone / "tokenizer_config.json").write_text(json.dumps(words))
    return backbone


SAMPLED = {"temperature": 0.6, "top_p": 0.9, "bos_token_id": 1, "eos_token_id": 2}


@pytest.mark.parametrize("how", [{"tuning": "full"}, {"merge": True}])
@pytest.mark.slow
def test_a_generation_config_that_transformers_will_not_write_is_handed_on_as_it_is(
    how: dict[str, object], tmp_path: Path, tiny_llama: Path
) -> None:
    """A temperature without do_sample, no pad token, and weights whose precision is not said."""
    backbone = shutil.copytree(tiny_llama, tmp_path / "odd")
    without_pad(backbone, {"dtype": None}, SAMPLED)
    made = asked(tmp_path, backbone, rows(), **how, **FAST)
    stage.main(**made)
    folder = made["adapter"] if how == {"tuning": "full"} else made["adapter"] / "merged"
    assert json.loads((folder / "generation_config.json").read_text()) == SAMPLED
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.float32
    assert model.generation_config.eos_token_id == 2


@pytest.mark.slow
def test_what_an_old_config_says_of_generation_is_no_reason_not_to_save(
    tmp_path: Path, tiny_llama: Path
) -> None:
    backbone = shutil.copytree(tiny_llama, tmp_path / "old")
    without_pad(backbone, {"temperature": 0.6}, {})
    (backbone / "generation_config.json").unlink()
    made = asked(tmp_path, backbone, rows(), tuning="full", **FAST)
    stage.main(**made)
    assert AutoModelForCausalLM.from_pretrained(made["adapter"]).dtype == torch.float32


@pytest.mark.parametrize("how", [{"tuning": "full"}, {"merge": True}])
def test_what_could_not_be_saved_ends_the_job_before_the_first_update(
    how: dict[str, object], tmp_path: Path, tiny_llama: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = shutil.copytree(tiny_llama, tmp_path / "odd")
    made = asked(tmp_path, backbone, rows(), **how, **FAST)
    (backbone / "generation_config.json").write_text("{")
    with pytest.raises(InputError, match=r"generation_config\.json: not JSON"):
        stage.main(**made)
    (backbone / "generation_config.json").unlink()
    without_pad(backbone, {"dtype": "int8"}, SAMPLED)
    with pytest.raises(InputError, match=r"config\.json: 'dtype' is no precision: 'int8'"):
        stage.main(**made)
    assert not list((tmp_path / "kept").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("stated", "wanted"),
    [
        ({}, 2),
        ({"eos_token_id": 2}, 2),
        ({"eos_token_id": 7}, [7, 2]),
        ({"eos_token_id": [2, 7]}, [2, 7]),
    ],
)
def test_what_is_handed_on_ends_where_it_was_taught_to(
    stated: dict[str, object], wanted: object
) -> None:
    assert ended_by({"temperature": 0.5, **stated}, 2) == {
        "temperature": 0.5,
        "eos_token_id": wanted,
    }


@pytest.mark.slow
def test_a_model_tuned_in_a_chat_is_handed_on_with_the_chats_end(
    tmp_path: Path, tiny_llama: Path
) -> None:
    made = asked(tmp_path, tiny_llama, rows(), merge=True, **FAST) | {"chat": True}
    stage.main(**made)
    merged = made["adapter"] / "merged"
    stated = json.loads((merged / "generation_config.json").read_text())
    tokenizer = AutoTokenizer.from_pretrained(merged)
    end = tokenizer.convert_tokens_to_ids("<|endoftext|>")
    assert stated["eos_token_id"] == [2, end] and tokenizer.chat_template
    summary = json.loads((made["adapter"] / "summary.json").read_text())
    told = {key: summary[key] for key in ("chat", "begin_token", "end_token")}
    assert told == {"chat": True, "begin_token": "<|prompter|>", "end_token": "<|endoftext|>"}
    for folder, library in ((made["adapter"], "peft"), (merged, "transformers")):
        card = ModelCard.load(folder / "README.md")
        assert card.data.library_name == library
        assert "Turns of the model's chat template." in card.text
        assert "Every output ended with `<|endoftext|>`." in card.text


@pytest.mark.slow
def test_a_tokenizer_without_a_begin_token_trains_and_is_handed_on_without(
    tmp_path: Path, tiny_llama: Path
) -> None:
    backbone = shutil.copytree(tiny_llama, tmp_path / "bare")
    without_begin(backbone)
    made = asked(tmp_path, backbone, rows(), merge=True, **FAST)
    stage.main(**made)
    handed_on = AutoTokenizer.from_pretrained(made["adapter"] / "merged")
    assert handed_on.encode("Sort") == encode(load_tokenizer(backbone), "Sort", start=True)
    assert handed_on.encode("Sort")[0] != handed_on.bos_token_id
    summary = json.loads((made["adapter"] / "summary.json").read_text())
    assert (summary["begin_token"], summary["end_token"]) == (None, "</s>")
    card = (made["adapter"] / "merged" / "README.md").read_text()
    assert "No special token stood before a text" in card and "`bare`" in card


def test_no_name_ends_the_code_in_which_a_card_shows_it(tmp_path: Path) -> None:
    settings = asked(tmp_path, tmp_path, rows(), **FAST)["settings"]
    summary = {
        "instances": 2,
        "size": 1,
        "counts": "instructions",
        "subset": "The first.",
        "updates": 1,
    }
    summary |= {"tokens": 9, "completion_tokens": 4, "chat": False}
    summary |= {"begin_token": "<`>", "end_token": "``"}
    card = card_of("adapter", "a`b", summary, settings)
    assert "`` a`b ``, trained on 2 instances of 1 instructions. The first." in card
    rows_counted = card_of("adapter", "a`b", summary | {"size": 3, "counts": "instances"}, settings)
    assert "trained on 2 of 3 instances. The first." in rows_counted
    assert "`` <`> ``" in card and card.count("``` `` ```") == 1
