"""Tiny random models of every architecture that is tried, as checkpoint folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

SHAPE = {
    "vocab_size": 400,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXPERTS = {"num_local_experts": 4, "num_experts": 4, "num_experts_per_tok": 2}
EXPERTS |= {"moe_intermediate_size": 32, "shared_expert_intermediate_size": 32}
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8}
LATENT |= {"v_head_dim": 8, "n_routed_experts": 4, "n_shared_experts": 1, "n_group": 1}
LATENT |= {"topk_group": 1, "moe_intermediate_size": 32, "first_k_dense_replace": 1}
LATENT |= {"num_experts_per_tok": 2, "num_key_value_heads": 4, "head_dim": 8}
ALTERNATE = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 9}
LONG = {"max_position_embeddings": 512, "original_max_position_embeddings": 128}
HALF = {
    "rope_parameters": {"rope_theta": 1e4, "rope_type": "default", "partial_rotary_factor": 0.5}
}
TEXT = {key: value for key, value in SHAPE.items() if not key.endswith("_token_id")}
VISION = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "image_size": 28}
VISION |= {"num_attention_heads": 2, "patch_size": 14}

# By name: the model_type, and what its configuration has beside SHAPE.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "mistral, a window": ("mistral", {"sliding_window": 9}),
    "ministral, mixed windows": ("ministral", ALTERNATE),
    "qwen2": ("qwen2", {}),
    "qwen2, mixed windows": ("qwen2", ALTERNATE | {"use_sliding_window": True}),
    "qwen3": ("qwen3", {}),
    "gemma": ("gemma", {}),
    "gemma2, mixed windows": ("gemma2", ALTERNATE | {"query_pre_attn_scalar": 8}),
    "gemma3_text, mixed windows": ("gemma3_text", ALTERNATE | {"query_pre_attn_scalar": 8}),
    "gemma3 with text_config": (
        "gemma3",
        {
            "text_config": TEXT | ALTERNATE | {"query_pre_attn_scalar": 8},
            "vision_config": VISION,
            "mm_tokens_per_image": 4,
            "image_token_index": 5,
        },
    ),
    "phi": ("phi", HALF),
    "phi3": ("phi3", {}),
    "phi3, longrope": (
        "phi3",
        LONG
        | {
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 1e4,
                "short_factor": [1.0] * 4,
                "long_factor": [4.0] * 4,
                "original_max_position_embeddings": 128,
            }
        },
    ),
    "llama, dynamic NTK": (
        "llama",
        {
            "max_position_embeddings": 128,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
        },
    ),
    "llama, YaRN": (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "yarn",
                "rope_theta": 1e4,
                "factor": 4.0,
                "original_max_position_embeddings": 128,
            },
        },
    ),
    "olmo": ("olmo", {}),
    "olmo2": ("olmo2", {}),
    "olmo3, mixed windows": ("olmo3", ALTERNATE),
    "stablelm": ("stablelm", HALF),
    "starcoder2": ("starcoder2", {}),
    "cohere": ("cohere", {}),
    "cohere2, mixed windows": ("cohere2", ALTERNATE),
    "granite": ("granite", {}),
    "glm": ("glm", {}),
    "glm4": ("glm4", {}),
    "smollm3": ("smollm3", {}),
    "exaone4, mixed windows": ("exaone4", ALTERNATE),
    "apertus": ("apertus", {}),
    "arcee": ("arcee", {}),
    "nemotron": ("nemotron", HALF),
    "helium": ("helium", {}),
    "ernie4_5": ("ernie4_5", {}),
    "seed_oss": ("seed_oss", {}),
    "hunyuan_v1_dense": ("hunyuan_v1_dense", {}),
    "persimmon": ("persimmon", HALF),
    "gpt_neox": ("gpt_neox", {}),
    "gpt2": ("gpt2", {}),
    "gptj": ("gptj", {"rotary_dim": 4}),
    "codegen": ("codegen", {"rotary_dim": 4, "num_attention_heads": 8}),
    "gpt_bigcode": ("gpt_bigcode", {}),
    "opt": ("opt", {"ffn_dim": 64, "word_embed_proj_dim": 32}),
    "opt, projected (350m)": (
        "opt",
        {"ffn_dim": 64, "word_embed_proj_dim": 16, "do_layer_norm_before": False},
    ),
    "falcon": ("falcon", {"new_decoder_architecture": False, "multi_query": True}),
    "mixtral": ("mixtral", EXPERTS),
    "qwen2_moe": ("qwen2_moe", EXPERTS),
    "qwen3_moe": ("qwen3_moe", EXPERTS),
    "olmoe": ("olmoe", EXPERTS),
    "phimoe": ("phimoe", EXPERTS),
    "granitemoe": ("granitemoe", EXPERTS),
    "gpt_oss, mixed windows": ("gpt_oss", EXPERTS | ALTERNATE),
    "deepseek_v2": ("deepseek_v2", LATENT),
    "deepseek_v3": ("deepseek_v3", LATENT),
    "llama4_text": (
        "llama4_text",
        EXPERTS | {"attention_chunk_size": 16, "intermediate_size_mlp": 64},
    ),
    "mpt": ("mpt", {}),
    "bloom": ("bloom", {}),
    "falcon, ALiBi": ("falcon", {"alibi": True, "new_decoder_architecture": False}),
    "gpt_neo": (
        "gpt_neo",
        {"attention_types": [[["global", "local"], 1]], "window_size": 9},
    ),
    "gemma3n_text": ("gemma3n_text", {"hidden_size_per_layer_input": 8, "num_kv_shared_layers": 1}),
    "mamba": ("mamba", {"state_size": 4}),
    "mamba2": ("mamba2", {"state_size": 4, "num_heads": 8, "head_dim": 8, "n_groups": 1}),
    "rwkv": ("rwkv", {"attention_hidden_size": 32, "context_length": 512}),
    "jamba": ("jamba", EXPERTS | {"mamba_d_state": 4, "mamba_dt_rank": 4}),
    "falcon_h1": ("falcon_h1", {"mamba_d_ssm": 32, "mamba_n_heads": 4, "mamba_d_state": 4}),
    "lfm2": ("lfm2", {"layer_types": ["conv", "full_attention"]}),
    "bamba": ("bamba", {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 4}),
    "recurrent_gemma": ("recurrent_gemma", {"lru_width": 32, "num_hidden_layers": 3}),
    "qwen3_next": ("qwen3_next", EXPERTS),
    "qwen3_5_text": ("qwen3_5_text", {}),
}


def make_model(name: str, folder: Path, tokenizer: Path) -> None:
    """A random model of an architecture with sharp attention, so that what is seen matters."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    kind, own = MODELS[name]
    shape = {} if "text_config" in own else SHAPE
    if kind == "falcon":
        shape = {key: value for key, value in shape.items() if key != "head_dim"}
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(shape | own))
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer).save_pretrained(folder)
