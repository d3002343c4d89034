"""Log-probabilities, values and gradients equal those of whole, unpadded rows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from policies import PREFIX, ROWS, full_rows, gradients, moved_policy
from refine_af.errors import InputError
from refine_af.models.backbones import load_backbone
from refine_af.models.recomputation import recompute_layers
from refine_af.ppo.policy import Policy, new_policy
from refine_af.settings.lora import Lora


@pytest.fixture
def policy(tiny_llama: Path) -> Policy:
    return moved_policy(tiny_llama)


@pytest.mark.parametrize("prefix", [PREFIX, []], ids=["prefix", "no prefix"])
def test_log_probs_and_values_equal_unpadded_rows(policy: Policy, prefix: list[int]) -> None:
    with torch.no_grad():
        found = policy(policy.read(prefix), ROWS, temperature=0.7, width=6)
        expected = full_rows(policy, prefix, ROWS, 0.7)
    assert found.mask.sum(1).tolist() == [4, 2, 0, 1]
    for index, (log_probs, values) in enumerate(expected):
        count = len(log_probs)
        assert torch.allclose(found.log_probs[index, :count], log_probs, atol=1e-5, rtol=0)
        assert torch.allclose(found.values[index, :count], values, atol=1e-5, rtol=0)
        assert found.log_probs[index, count:].abs().sum() == 0
        assert found.values[index, count:].abs().sum() == 0
    shares = found.logits.softmax(-1)
    assert torch.allclose(found.entropies(), -(shares * shares.log()).sum(-1), atol=1e-5)


def scaling(kind: str, folder: Path) -> Path:
    """A random model of a family that does more to its logits than its head does."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 300}
    own = {"gemma2": {"head_dim": 8, "final_logit_softcapping": 2.0, "initializer_range": 1.0}}
    own |= {"cohere": {"logit_scale": 4.0}, "granite": {"logits_scaling": 0.25}}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **shape, **own[kind])
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["gemma2", "cohere", "granite"])
def test_log_probs_are_those_of_the_models_own_logits(kind: str, tmp_path: Path) -> None:
    policy = moved_policy(scaling(kind, tmp_path))
    with torch.no_grad():
        found = policy(policy.read(PREFIX), ROWS, temperature=0.7, width=6)
        for index, (log_probs, _) in enumerate(full_rows(policy, PREFIX, ROWS, 0.7)):
            own = found.log_probs[index, : len(log_probs)]
            assert torch.allclose(own, log_probs, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", ["gemma2", "cohere", "granite"])
def test_a_model_whose_logits_are_unknown_is_refused(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = scaling(kind, tmp_path)
    monkeypatch.setattr(Policy, "_logits", lambda policy, hidden: policy._head[0](hidden))
    with pytest.raises(InputError, match=r"PPO cannot train .*: it does more to its logits"):
        moved_policy(folder)


@pytest.fixture(scope="module")
def tiny_mistral(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Mistral whose attention reaches back 16 tokens: less than the prefix."""
    from transformers import MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=300,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=16,
    )
    folder = tmp_path_factory.mktemp("mistral")
    MistralForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("backbone", ["tiny_llama", "tiny_mistral"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_gradient_runs_through_the_shared_prefix(
    backbone: str, quantization: str, request: pytest.FixtureRequest
) -> None:
    policy = moved_policy(request.getfixturevalue(backbone), quantization)
    found = policy(policy.read(PREFIX), ROWS, temperature=0.7, width=4)
    (found.log_probs.sum() + 0.3 * found.values.sum()).backward()
    shared = gradients(policy)
    whole = full_rows(policy, PREFIX, ROWS, 0.7)
    torch.autograd.backward([log_probs.sum() + 0.3 * values.sum() for log_probs, values in whole])
    plain = gradients(policy)
    assert (shared - plain).abs().max() <= 1e-5 * plain.abs().max()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("prefix", [PREFIX, []], ids=["prefix", "no prefix"])
@pytest.mark.parametrize("backbone", ["tiny_llama", "tiny_mistral"])
@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_recomputed_layers_give_the_very_gradient(
    backbone: str,
    quantization: str,
    prefix: list[int],
    precision: torch.dtype,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refine_af.models.backbones.precision", lambda: precision)
    policy = moved_policy(request.getfixturevalue(backbone), quantization)
    assert policy.model.dtype == precision
    kept, found = [], []
    for recomputed in (False, True):
        if recomputed:
            policy.recompute_layers()
        sizes: list[int] = []

        def keep(tensor: torch.Tensor, sizes: list[int] = sizes) -> torch.Tensor:
            sizes.append(tensor.nbytes)
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            predictions = policy(policy.read(prefix), ROWS, temperature=0.7, width=4)
        loss = predictions.log_probs.sum() + 0.3 * predictions.values.sum()
        torch.autograd.backward(loss)
        found.append((predictions.log_probs, predictions.values, gradients(policy)))
        kept.append(sum(sizes))
    assert all(map(torch.equal, *found))
    assert kept[1] < kept[0] / 2


def test_layers_that_cannot_be_recomputed_are_said() -> None:
    with pytest.raises(InputError, match=r"gradient_checkpointing: Linear has no list of layers"):
        recompute_layers(torch.nn.Linear(1, 1))


@pytest.mark.parametrize("quantization", ["none", "nf4"])
def test_reference_is_the_backbone(quantization: str, tiny_llama: Path) -> None:
    policy = moved_policy(tiny_llama, quantization)
    backbone = load_backbone(tiny_llama, quantization=quantization)  # beside it, with no adapter
    with torch.no_grad(), policy.as_reference():
        found = policy(policy.read(PREFIX), ROWS, temperature=1.0, width=4).log_probs
    with torch.no_grad():
        moved = policy(policy.read(PREFIX), ROWS, temperature=1.0, width=4).log_probs
        for index, row in enumerate(ROWS):
            ids = torch.tensor([[*PREFIX, *row.tail, *row.response]])
            log_probs = backbone(ids).logits[0].log_softmax(-1)
            start = len(PREFIX) + len(row.tail) - 1
            for place, token in enumerate(row.response):
                expected = float(log_probs[start + place, token])
                assert float(found[index, place]) == pytest.approx(expected, rel=0, abs=1e-5)
    assert (found - moved).abs().max() > 0.01


def test_new_policy_equals_the_backbone_and_depends_on_its_seed_alone(tiny_llama: Path) -> None:
    lora = Lora(r=4, alpha=8, dropout=0.0, targets="all-linear")
    before = torch.random.get_rng_state()
    one, same, other = (
        new_policy(tiny_llama, lora, quantization="none", seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.no_grad():
        own = one(one.read(PREFIX), ROWS, temperature=1.0, width=4)
        with one.as_reference():
            reference = one(one.read(PREFIX), ROWS, temperature=1.0, width=4)
    assert torch.equal(own.log_probs, reference.log_probs)
    assert own.values.abs().max() == 0
    pairs = list(zip(one.parameters(), same.parameters(), strict=True))
    assert all(torch.equal(left, right) for left, right in pairs)
    pairs = list(zip(one.parameters(), other.parameters(), strict=True))
    assert not all(torch.equal(left, right) for left, right in pairs)
