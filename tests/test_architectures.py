"""What each kind of architecture can do, and in which words the others are refused."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
import transformers
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from policies import PREFIX, ROWS, moved_policy
from refine_af.engines.generation import generate
from refine_af.engines.self_check import check_batching
from refine_af.engines.shared_prefix import can_share
from refine_af.errors import InputError
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.models.encoding import check_known, encode
from refine_af.models.known_architectures import RECURRENT
from refine_af.models.lora import with_lora
from refine_af.models.quantization import share_in_four_bits
from refine_af.models.readiness import check_fine_tuning, check_generation, check_ppo
from refine_af.models.stored_weights import stored_weights
from refine_af.settings.lora import Lora
from refine_af.settings.sampling import Sampling
from refine_af.sft.attention import keeps_rows_apart
from tiny import ROOT

LORA = Lora(r=2, alpha=4, dropout=0.0, targets="all-linear")
GREEDY = Sampling(
    temperature=0.0, top_p=1.0, min_p=0.0, presence_penalty=0.0, max_new_tokens=8, stop=()
)
pytestmark = pytest.mark.slow
Make = Callable[[str], Path]


@pytest.fixture(scope="module")
def architectures() -> ModuleType:
    """benchmarks/architectures.py, which finds its own models beside it."""
    folder = ROOT / "benchmarks"
    sys.path.insert(0, str(folder))
    try:
        spec = importlib.util.spec_from_file_location("architectures", folder / "architectures.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(folder))
    return module


@pytest.fixture(scope="module")
def made(
    architectures: ModuleType, tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory
) -> Make:
    """A random model of an architecture, made once."""
    root = tmp_path_factory.mktemp("architectures")

    def make(kind: str) -> Path:
        folder = root / re.sub(r"\W+", "_", kind)
        if not folder.exists():
            architectures.make_model(kind, folder, tiny_tokenizer)
        return folder

    return make


WORKS = ["works"] * 5
STATE = "refused: the architecture cannot write texts side by side"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("gpt_neox", WORKS),
        ("gemma3 with text_config", WORKS),
        ("opt, projected (350m)", WORKS),
        ("gpt_oss, mixed windows", WORKS),
        ("mpt", [STATE] * 4 + ["–"]),
        ("mamba", [STATE] * 4 + ["–"]),
        ("lfm2", [STATE] * 4 + ["–"]),
        ("gemma3n_text", [STATE] * 4 + ["–"]),
    ],
)
def test_each_stage_works_or_is_refused_in_one_message(
    architectures: ModuleType, made: Make, tmp_path: Path, kind: str, found: list[str]
) -> None:
    place = architectures.Place(kind, made(kind), tmp_path)
    faults: list[str] = []
    stages = [*architectures.STAGES.values()][: len(found)]
    cells = [architectures.tried(stage, place, faults) for stage in stages]
    assert not faults
    for cell, wanted in zip(cells, found, strict=True):
        assert cell.startswith(wanted) and "\n" not in cell


def test_every_architecture_with_a_state_is_known() -> None:
    """By the sources of transformers, where its classes say so."""
    models = Path(transformers.__file__).parent / "models"
    stateful = {
        path.parent.name
        for path in models.glob("*/modeling_*.py")
        if "_is_stateful = True" in path.read_text(encoding="utf-8")
    }
    writing = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert {"jamba", "mamba", "qwen3_5", "rwkv"} <= stateful & writing <= RECURRENT


def test_a_state_that_config_json_alone_does_not_tell_is_found(
    made: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refine_af.models.checkpoints.refusal_of", lambda config: None)
    for kind, said in (("mamba", "a running state"), ("bloom", "counts columns")):
        for check in (check_generation, lambda folder: check_ppo(folder, LORA)):
            with pytest.raises(InputError, match=f"cannot write texts side by side.*{said}"):
                check(made(kind))
    with pytest.raises(InputError, match="layers of the kind 'chunked_attention' are not known"):
        check_generation(made("llama4_text"))


@pytest.mark.parametrize("kind", ["phimoe", "llama4_text"])
def test_an_adapter_on_a_router_is_refused(made: Make, kind: str) -> None:
    with pytest.raises(InputError, match=r"sft\.lora\.targets 'all-linear': \w+ cannot be adapted"):
        check_fine_tuning(made(kind), LORA)
    named = Lora(r=2, alpha=4, dropout=0.0, targets=("q_proj", "v_proj"))
    check_fine_tuning(made(kind), named)
    check_fine_tuning(made(kind), None)


def test_a_config_that_makes_no_model_is_named(made: Make, tmp_path: Path) -> None:
    folder = made("llama")
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"hidden_size": 33}))
    with pytest.raises(InputError, match="no language model can be built for fine-tuning"):
        check_fine_tuning(tmp_path, None)


def test_experts_that_stay_as_they_are_are_said(
    made: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    model = load_backbone(made("gpt_oss, mixed windows"), quantization="nf4")
    said = capsys.readouterr().out
    assert re.fullmatch(r"nf4: \d% of the weights of GptOssForCausalLM .* stay in float32\n", said)
    with_lora(model, LORA, seed=0, section="sft.lora")
    assert re.search(
        r"the experts of GptOss\w+, \d+% of its weights, get no", capsys.readouterr().out
    )
    with_lora(load_backbone(made("mixtral"), quantization="none"), LORA, seed=0, section="x")
    assert capsys.readouterr().out == "", "PEFT reaches these experts"
    load_backbone(made("llama"), quantization="nf4")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "kind",
    [
        *("llama", "gemma3 with text_config", "gpt_neox", "gpt2", "opt", "mixtral", "deepseek_v3"),
        "gpt_oss, mixed windows",
    ],
)
def test_headers_tell_what_is_held_in_4_bits(made: Make, kind: str) -> None:
    """But for what of a router is linear."""
    share = share_in_four_bits(load_backbone(made(kind), quantization="nf4"))
    assert stored_weights(made(kind)).counts.share == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("kind", ["mpt", "bloom", "gpt_neo", "gemma3n_text"])
def test_the_model_itself_is_tried(made: Make, kind: str) -> None:
    """What config.json does not tell shows in a padded batch beside single rows."""
    folder = made(kind)
    model = load_backbone(folder, quantization="none")
    with pytest.raises(InputError, match=f"^{folder}: \\w+ cannot write texts side by side: "):
        check_batching(model, load_tokenizer(folder))


@pytest.mark.parametrize("kind", ["llama", "gemma3_text, mixed windows", "mixtral"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_whose_batches_are_right_passes(made: Make, kind: str, dtype: torch.dtype) -> None:
    folder = made(kind)
    model, tokenizer = (
        load_backbone(folder, quantization="none", dtype=dtype),
        load_tokenizer(folder),
    )
    drawn = torch.random.get_rng_state()
    check_batching(model, tokenizer)
    assert torch.equal(torch.random.get_rng_state(), drawn)


def test_a_prefix_is_copied_where_the_cache_holds_no_keys(
    made: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """DeepSeek's holds what keys and values are computed from."""
    folder = made("deepseek_v2")
    model, tokenizer = load_backbone(folder, quantization="none"), load_tokenizer(folder)
    assert can_share(model)
    check_batching(model, tokenizer)
    assert "copies a prefix for each text that shares it: Runtime" in capsys.readouterr().out
    assert not can_share(model)
    prefix, tails = "Name the animal. " * 30, ["Cat:", "Dog", "Sort it", "A"]
    assert len(encode(tokenizer, prefix, start=True)) > 256
    together = generate(
        model, tokenizer, prefix=prefix, tails=tails, sampling=GREEDY, seeds=range(4)
    )
    for tail, found in zip(tails, together, strict=True):
        alone = generate(model, tokenizer, prefix=prefix, tails=[tail], sampling=GREEDY, seeds=[0])
        assert alone == [found]


def test_a_model_with_broken_weights_is_left_to_those_who_say_so(made: Make) -> None:
    model, tokenizer = (
        load_backbone(made("llama"), quantization="none"),
        load_tokenizer(made("llama")),
    )
    with torch.no_grad():
        model.lm_head.weight[0] = torch.nan
    check_batching(model, tokenizer)


@pytest.mark.parametrize("kind", ["phi3, longrope", "llama, dynamic NTK"])
def test_positions_that_hang_on_the_batch_are_refused(made: Make, kind: str) -> None:
    folder = made(kind)
    model, tokenizer = load_backbone(folder, quantization="none"), load_tokenizer(folder)
    model.config.max_position_embeddings = 512
    model.config.rope_parameters["original_max_position_embeddings"] = 128
    check_batching(model, tokenizer)
    tails = ["Task", "Sort " * 20]
    (short, _) = generate(model, tokenizer, prefix="", tails=tails, sampling=GREEDY, seeds=[0, 0])
    ids = torch.tensor([encode(tokenizer, "Task", start=True)])
    for token in short.tokens:
        assert int(model(input_ids=ids, use_cache=False).logits[0, -1].argmax()) == token
        ids = torch.cat([ids, torch.tensor([[token]])], 1)
    tails[1] *= 10
    with pytest.raises(
        InputError, match=r"cannot do generation with texts of \d+ tokens: beyond 128"
    ):
        generate(model, tokenizer, prefix="", tails=tails, sampling=GREEDY, seeds=[0, 0])
    policy = moved_policy(folder)
    policy(policy.read(PREFIX), ROWS, temperature=1.0, width=4)
    with pytest.raises(InputError, match="cannot do PPO with texts of"):
        policy(policy.read(PREFIX * 4), ROWS, temperature=1.0, width=4)


def test_packed_rows_of_experts_are_apart_but_for_rounding(made: Make) -> None:
    for kind in ("qwen3_moe", "olmoe", "mixtral"):
        assert keeps_rows_apart(load_backbone(made(kind), quantization="none"))
    assert not keeps_rows_apart(load_backbone(made("mpt"), quantization="none"))


def with_tokens(folder: Path, source: Path, *, special: bool) -> Path:
    """A checkpoint whose tokenizer has one token more than its model."""
    tokenizer = load_tokenizer(source)
    tokenizer.add_tokens(["<image>"], special_tokens=special)
    tokenizer.save_pretrained(folder)
    config = json.loads((source / "config.json").read_text()) | {"vocab_size": 380}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_special_token_beyond_the_model_is_refused_where_it_is_used(
    made: Make, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(with_tokens(tmp_path / "special", made("llama"), special=True))
    assert len(tokenizer) == 381 and tokenizer.convert_tokens_to_ids("<image>") == 380
    assert 380 not in encode(tokenizer, "Name an <image>.", start=True)
    with pytest.raises(InputError, match=r"the token '<image>' is 380, and the model knows 380"):
        check_known(tokenizer, [1, 380])
    with pytest.raises(InputError, match=r"has 381 tokens, the model 380 \(vocab_size\)"):
        load_tokenizer(with_tokens(tmp_path / "plain", made("llama"), special=False))
    path = tmp_path / "special" / "tokenizer_config.json"
    config = json.loads(path.read_text()) | {"eos_token": "<image>"}
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"has 381 tokens, the model 380"):
        load_tokenizer(tmp_path / "special")
