"""What is used of other libraries without their promise is there, as docs/upgrading.md lists it."""

from __future__ import annotations

import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from parsers import make_subword_tokenizer
from refine_af.fetch.local_checkpoints import _recorded
from refine_af.models import upstream as upstream_hooks

ROOT = Path(__file__).resolve().parents[1]
DECODERS = ("llama.modeling_llama.Llama", "mistral.modeling_mistral.Mistral")


def upstream(name: str) -> Any:
    """What stands in a library under `module:attribute.attribute`."""
    module, _, path = name.partition(":")
    found = importlib.import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("transformers:Trainer._save_checkpoint", ["self", "model", "trial"]),
        ("transformers:Trainer._load_rng_state", ["self", "checkpoint"]),
        ("transformers:Trainer._load_optimizer_and_scheduler", ["self", "checkpoint"]),
        ("transformers:Trainer._load_from_checkpoint", ["self", "resume_from_checkpoint", "model"]),
        ("transformers:Trainer.log", ["self", "logs", "start_time"]),
        ("transformers:Trainer.get_train_dataloader", ["self"]),
        ("trl:SFTTrainer._send_telemetry", ["self"]),
        ("trl:RLOOTrainer._send_telemetry", ["self"]),
        ("trl:RLOOTrainer._tokenize_prompts", ["self", "prompts"]),
        ("trl:GRPOTrainer._tokenize_prompts", ["self", "prompts"]),
        (
            "trl:RLOOTrainer._generate_single_turn",
            ["self", "prompt_ids", "images", "multimodal_fields"],
        ),
        (
            "trl:GRPOTrainer._generate_single_turn",
            [
                *("self", "prompt_ids", "images", "multimodal_fields"),
                *("num_generations", "has_tool_images"),
            ],
        ),
        ("transformers:CacheLayerMixin.get_mask_sizes", ["self", "query_length"]),
        ("transformers:CacheLayerMixin.get_seq_length", ["self"]),
        ("transformers:CacheLayerMixin.get_max_length", ["self"]),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_methods_that_are_overridden_take_what_ours_take(name: str, parameters: list[str]) -> None:
    assert list(inspect.signature(upstream(name)).parameters) == parameters


@pytest.mark.parametrize(
    ("name", "holds"),
    [
        ("transformers:TrainingArguments.n_gpu.fget", "return self._n_gpu"),
        ("transformers:TrainingArguments", "self._n_gpu = torch.cuda.device_count()"),
        ("transformers:Trainer", "self._save_checkpoint(model, trial)"),
        ("transformers:Trainer", "self._load_rng_state(resume_from_checkpoint)"),
        ("transformers:Trainer", "self._load_optimizer_and_scheduler(resume_from_checkpoint)"),
        ("transformers:Trainer", "self._load_from_checkpoint(resume_from_checkpoint)"),
        ("trl:RLOOTrainer", f'add_adapter("{upstream_hooks.REFERENCE}"'),
        ("trl:GRPOTrainer", f'add_adapter("{upstream_hooks.REFERENCE}"'),
        ("trl:RLOOTrainer", upstream_hooks.NO_SCORE),
        ("trl:GRPOTrainer", upstream_hooks.NO_SCORE),
        ("trl:RLOOTrainer", '"clip_ratio/region_mean"'),
        ("trl:GRPOTrainer", '"clip_ratio/region_mean"'),
        ("trl:RLOOTrainer", "rewards = rewards - self.beta * kl"),
        ("trl:GRPOTrainer", "per_token_loss + self.beta * per_token_kl"),
        ("trl:RLOOTrainer", "self._tokenize_prompts(prompts)"),
        ("trl:GRPOTrainer", "self._tokenize_prompts(prompts)"),
        ("trl:RLOOTrainer", "completion_ids = self._generate_single_turn("),
        ("trl:GRPOTrainer", "completion_ids, logprobs = self._generate_single_turn("),
        (
            "benepar.retokenization:Retokenizer.__init__",
            "self.tokenizer.build_inputs_with_special_tokens([-100])",
        ),
        ("benepar.retokenization:Retokenizer.__init__", '"T5Tokenizer" in str(type('),
        ("benepar.retokenization:Retokenizer.__call__", "raise ValueError("),
        ("benepar.parse_chart:ChartParser.from_trained", '"benepar_model.bin"'),
        ("benepar.decode_chart:ChartDecoder", "torch_struct.TreeCRF("),
        ("bitsandbytes.nn:Linear4bit.forward", "and self.support_avx512bf16_for_cpu"),
        ("bitsandbytes.nn:Linear4bit.forward", "_convert_weight_packed_for_cpu"),
    ],
)
def test_a_library_still_looks_where_the_hook_is(name: str, holds: str) -> None:
    assert holds in inspect.getsource(upstream(name))


@pytest.mark.parametrize("decoder", DECODERS)
def test_layers_take_the_cache_by_name(decoder: str) -> None:
    """What models/recomputation.py finds it by."""
    package, _, prefix = decoder.rpartition(".")
    module = f"transformers.models.{package}"
    layer = upstream(f"{module}:{prefix}DecoderLayer")
    names = list(inspect.signature(layer.forward).parameters)
    assert names[:2] == ["self", "hidden_states"] and "past_key_values" in names
    assert "past_key_values=past_key_values" in inspect.getsource(
        upstream(f"{module}:{prefix}Model")
    )


def test_a_cache_layer_holds_its_whole_state_as_attributes() -> None:
    """What models/recomputation.py puts back, since `update` replaces the tensors."""
    from transformers import DynamicCache

    cache = DynamicCache()
    cache.update(torch.ones(1, 1, 2, 4), torch.ones(1, 1, 2, 4), 0)
    before = dict(vars(cache.layers[0]))
    keys = before["keys"].clone()
    cache.update(torch.zeros(1, 1, 1, 4), torch.zeros(1, 1, 1, 4), 0)
    assert cache.get_seq_length() == 3 and torch.equal(before["keys"], keys)
    vars(cache.layers[0]).clear()
    vars(cache.layers[0]).update(before)
    assert cache.get_seq_length() == 2


def test_rows_stand_in_one_sequence_with_positions_of_their_own() -> None:
    inputs = upstream_hooks.rows_in_one_sequence([[5, 6], [7, 8, 9]])
    assert "labels" not in inputs
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9]]
    assert inputs["position_ids"].tolist() == [[0, 1, 0, 1, 2]]


def test_a_layer_with_an_adapter_is_told_from_one_without() -> None:
    from peft import LoraConfig, get_peft_model

    tuned = get_peft_model(
        torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)),
        LoraConfig(target_modules=["0"]),
    )
    first, second = tuned.get_base_model()
    assert upstream_hooks.has_adapter(first) and not upstream_hooks.has_adapter(second)


def test_the_hubs_client_notes_commit_and_digest_where_we_look(tmp_path: Path) -> None:
    """What fetch/local_checkpoints.py reads."""
    from huggingface_hub._local_folder import write_download_metadata

    commit, digest = "c" * 40, "d" * 64
    (tmp_path / "config.json").write_text("{}")
    write_download_metadata(tmp_path, "config.json", commit_hash=commit, etag=digest)
    assert _recorded(tmp_path, "config.json") == (commit, digest)


def test_the_versions_that_were_looked_at_are_the_locks() -> None:
    """So that whoever renews the lock looks at each hook again, and says so there."""
    said = (ROOT / "scripts/refine_af/models/upstream.py").read_text()
    said += (ROOT / "docs/upgrading.md").read_text()
    for name, library in (("TRL", "trl"), *((name, name.lower()) for name in ("PEFT",))):
        assert set(re.findall(rf"{name} (\d[\d.]*\d)", said)) == {version(library)}
    for library in ("transformers", "bitsandbytes", "huggingface_hub", "torch", "benepar"):
        named = set(re.findall(rf"{library} (\d[\d.]*\d)", said))
        assert named == {version(library).partition("+")[0]}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "wanted"), [("t5", [7, -100, 1]), ("bert", [2, 7, -100, 3])])
def test_tokenizers_build_inputs_as_they_encode_texts(kind: str, wanted: list[int]) -> None:
    """What benepar asks of them: T5 ends a text with 1, BERT puts it between 2 and 3."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = make_subword_tokenizer(kind)
    with upstream_hooks.special_tokens_built():
        assert tokenizer.build_inputs_with_special_tokens([7, -100]) == wanted
        text = "Write a story."
        bare = tokenizer(text, add_special_tokens=False)["input_ids"]
        whole = tokenizer.build_inputs_with_special_tokens(bare)
    assert whole == tokenizer(text)["input_ids"] != bare
    name = "build_inputs_with_special_tokens"
    assert not hasattr(PreTrainedTokenizerFast, name), "only while a parser is loaded"


def test_a_method_that_is_there_again_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import PreTrainedTokenizerFast

    name = "build_inputs_with_special_tokens"
    monkeypatch.setattr(PreTrainedTokenizerFast, name, "its own", raising=False)
    with upstream_hooks.special_tokens_built():
        assert getattr(PreTrainedTokenizerFast, name) == "its own"
    assert getattr(PreTrainedTokenizerFast, name) == "its own"
