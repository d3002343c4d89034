"""Architectures that no stage can use, known by what config.json alone says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The classes that transformers 5.23.0 marks as holding a state, and LFM2, whose convolutions do.
RECURRENT = frozenset(
    {
        *("bailing_hybrid", "bamba", "deepseek_v4", "falcon_h1", "falcon_mamba", "glm5_next"),
        *("granitemoehybrid", "jamba", "kimi_linear", "lfm2", "lfm2_moe", "lfm3", "mamba"),
        *("mamba2", "minimax", "nemotron_h", "olmo_hybrid", "qwen3_5", "qwen3_5_text"),
        *("qwen3_5_moe", "qwen3_5_moe_text", "qwen3_next", "qwen4_exp", "qwen4_exp_text"),
        *("recurrent_gemma", "rwkv", "xlstm", "zamba", "zamba2", "zaya"),
    }
)
BY_COLUMN = frozenset({"bloom", "gpt_neo", "mpt"})
SHARED_LAYERS = frozenset({"gemma3n", "gemma3n_text"})
STATE = "its layers carry a running state, which texts written side by side cannot share"
COLUMNS = "its attention counts columns, not positions, so that a text's neighbours would change it"
SHARING = "its later layers read the keys of earlier ones, which the cache here does not hold"
ENCODER = "it is an encoder with a decoder, and a backbone is a decoder alone"


def refusal_of(config: Mapping[str, Any]) -> str | None:
    """Why no stage can use the architecture that a config.json describes; None where it may."""
    kind = config.get("model_type")
    text = config.get("text_config")
    reason = _reason(kind, config)
    if reason is None and isinstance(text, Mapping):
        reason = _reason(text.get("model_type"), text)
    if reason is None:
        return None
    return (
        f"the architecture {kind!r} cannot write texts side by side, in generation and in PPO: "
        f"{reason}"
    )


def _reason(kind: object, config: Mapping[str, Any]) -> str | None:
    if kind in RECURRENT:
        return STATE
    if kind in BY_COLUMN or (kind == "falcon" and config.get("alibi")):
        return COLUMNS
    if kind in SHARED_LAYERS or config.get("num_kv_shared_layers"):
        return SHARING
    if config.get("is_encoder_decoder") is True:
        return ENCODER
    return None
