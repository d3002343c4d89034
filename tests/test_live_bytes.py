"""The memory that PPO is foretold to take is what its own passes hold, tensor by tensor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from refine_af.models.live_bytes import LiveBytes, blank_model, packed_peak
from refine_af.models.lora import with_lora
from refine_af.ppo.packing import Tokens, laid_out
from refine_af.ppo.policy import Policy
from refine_af.settings.lora import Lora

LORA = Lora(r=4, alpha=8, dropout=0.0, targets="all-linear")
CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "num_hidden_layers": 3,
    "hidden_size": 64,
    "intermediate_size": 160,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 500,
}
TAIL, RESPONSE = 12, 29


def held(rows: int, before: int, *, recomputed: bool) -> int:
    """The most bytes that live while the policy takes a micro-batch's gradient, on the CPU."""
    config = {key: value for key, value in CONFIG.items() if key != "model_type"}
    model = with_lora(LlamaForCausalLM(LlamaConfig(**config)), LORA, seed=0, section="lora")
    policy = Policy(model)
    if recomputed:
        policy.recompute_layers()
    with LiveBytes(policy) as counted:
        prefix = policy.read([5] * before)
        cut = prefix.cut()
        asked = [Tokens((7,) * TAIL, (9,) * RESPONSE)] * rows
        found = policy(cut, asked, temperature=1.0, width=RESPONSE)
        torch.autograd.backward(((found.log_probs + found.values) * found.mask).sum())
        prefix.pull(cut)
    peak: int = counted.peak
    return peak


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize(("rows", "before"), [(3, 90), (2, 200), (2, 0)])
def test_what_ppo_holds_is_foretold(rows: int, before: int, recomputed: bool) -> None:
    layout = laid_out([Tokens((7,) * TAIL, (9,) * RESPONSE)] * rows, before, torch.device("cpu"))
    packs, length = layout.ids.shape
    said, trained = packed_peak(
        blank_model(CONFIG, torch.float32),
        LORA,
        before=before,
        packs=packs,
        length=length,
        predicted=rows * RESPONSE,
        recomputed=recomputed,
    )
    # Within 15 %, but for a prefix that outweighs its packs and is recomputed: too high is safe.
    found = held(rows, before, recomputed=recomputed)
    assert 0.85 * found < said < (1.3 if recomputed else 1.15) * found
    # Of three layers, each of q, o 64 × 64, k, v 64 × 32, three of 64 × 160.
    assert trained == 3 * 4 * (2 * 128 + 2 * 96 + 3 * 224)
