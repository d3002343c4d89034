"""Language models and tokenizers, loaded from checkpoint folders without the hub."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError

from refine_af.errors import InputError, shown
from refine_af.models.checkpoints import check_checkpoint, check_weights
from refine_af.models.huge_pages import lay_together
from refine_af.models.lora import load_lora
from refine_af.models.quantization import say_what_stays
from refine_af.models.upstream import forget_renaming, keep_weights_unpacked
from refine_af.models.weight_files import OTHER_SENSES

# What the libraries raise at a file that is not what it should be.
LOAD_FAULTS = (
    *(ValueError, TypeError, AttributeError, LookupError),
    *(OSError, RuntimeError, ArithmeticError),
    UnpicklingError,  # a .bin that holds a program is not run
    StrictDataclassError,  # what a config.json says does not go together
)
# Where a model that reads more than text keeps what reads text.
TEXT_WEIGHTS = {
    r"^language_model\.model\.": "model.",
    r"^model\.language_model\.": "model.",
    r"^language_model\.lm_head": "lm_head",
}


def device() -> torch.device:
    """This process's GPU where there is one, otherwise the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())


def precision() -> torch.dtype:
    """bfloat16 on a GPU, float32 on a CPU."""
    return torch.bfloat16 if torch.cuda.is_available() else torch.float32


def stored_dtype(folder: Path) -> torch.dtype:
    """The precision that a checkpoint's config.json states for its weights.

    float32 where it states none, or null, as transformers loads it. InputError where it states
    something else.
    """
    config = check_checkpoint(folder)
    stated = (config.get("dtype"), config.get("torch_dtype"))
    name = next((name for name in stated if name is not None), "float32")
    found = getattr(torch, name, None) if isinstance(name, str) else None
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise InputError(f"{folder / 'config.json'}: 'dtype' is no precision: {shown(name)}")
    return found


def load_tokenizer(folder: Path) -> Any:
    """The checkpoint's tokenizer; where it has no padding token, its end of text pads.

    InputError where it cannot be read, has no end of text, or has more tokens than the model.
    """
    from transformers import AutoTokenizer

    config = check_checkpoint(folder)
    quiet()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except LOAD_FAULTS as error:
        raise InputError(f"{folder}: no tokenizer can be read: {shown(str(error), 300)}") from None
    if tokenizer.eos_token_id is None:
        raise InputError(f"{folder}: the tokenizer names no end-of-text token (eos_token)")
    _check_tokens(tokenizer, config, folder)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _check_tokens(tokenizer: Any, config: Mapping[str, Any], folder: Path) -> None:
    """InputError where a text's tokens may be none of the model's.

    A special token may be beyond them, as that of images is in Gemma 3 1B: no text is encoded to
    it, unless it begins, ends or pads texts.
    """
    text = config.get("text_config")
    sizes = text if isinstance(text, Mapping) else config
    known = sizes.get("vocab_size", config.get("vocab_size"))
    if not isinstance(known, int) or len(tokenizer) <= known:
        return
    tokenizer.tokens_known = known
    special = set(tokenizer.all_special_ids) | {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    used = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} - {None}
    beyond = {number for number in tokenizer.get_vocab().values() if number >= known}
    if beyond & used or beyond - special:
        raise InputError(
            f"{folder}: the tokenizer has {len(tokenizer)} tokens, the model {known} (vocab_size)"
        )


def load_backbone(
    folder: Path,
    *,
    quantization: str,
    adapter: Path | None = None,
    dtype: torch.dtype | None = None,
    place: torch.device | None = None,
) -> Any:
    """The causal language model in `folder`, for inference, or what tuning has made of it.

    `adapter` is the folder of a LoRA adapter on it, or of a whole model that takes its place.
    `quantization` is "none" or "nf4" (4-bit NormalFloat with double quantisation, QLoRA,
    arXiv 2305.14314); `dtype` is `precision()`, and `place` `device()`, unless they are given.
    InputError where the folder holds no such model.
    """
    if adapter is not None and is_whole_model(adapter):
        folder, adapter = adapter, None
    quiet()
    options: dict[str, Any] = {"dtype": dtype or precision(), "device_map": {"": place or device()}}
    if quantization == "nf4":
        options["quantization_config"] = _nf4()
    model = _loaded(folder, options)
    if quantization == "nf4":
        say_what_stays(model)
        if device().type == "cpu":
            keep_weights_unpacked(model)
    lay_together(model)
    if adapter is not None:
        model = load_lora(model, adapter)
    return model.eval()


def layout_of(folder: Path) -> tuple[Any, dict[str, str]]:
    """A checkpoint's configuration, and new names of its weights, by patterns of the old ones.

    Of a model that reads more than text, such as Gemma 3, it is the text's alone.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    check_checkpoint(folder)
    whole = AutoConfig.from_pretrained(folder, local_files_only=True)
    text = whole.get_text_config(decoder=True)
    classes = AutoModelForCausalLM._model_mapping
    if text is whole or type(text) not in classes:
        return whole, {}
    if type(whole) in classes and classes[type(whole)] is classes[type(text)]:
        return whole, {}  # the class finds its part by itself
    return text, TEXT_WEIGHTS


def _loaded(folder: Path, options: Mapping[str, Any]) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        config, names = layout_of(folder)
        model, report = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            key_mapping=names or None,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except (*LOAD_FAULTS, SafetensorError) as error:
        wrong = shown(str(error), 300)
        raise InputError(f"{folder}: no language model can be loaded: {wrong}") from None
    if names:
        unread = {name for name in report["unexpected_keys"] if OTHER_SENSES.search(name)}
        forget_renaming(model, names)
        report = {**report, "unexpected_keys": set(report["unexpected_keys"]) - unread}
    check_weights(folder, report)
    return model


def is_whole_model(adapter: Path) -> bool:
    """Whether a folder of tuned weights is a model by itself, rather than an adapter."""
    return (adapter / "config.json").is_file() and not (adapter / "adapter_config.json").exists()


def quiet() -> None:
    """Keep the libraries' bars and hints out of the log, where they would bury the job's lines."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")


def _nf4() -> Any:
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=precision(),
    )
