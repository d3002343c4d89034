"""How many bytes a model's passes hold at once, found out on a device that holds no numbers."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from refine_af.errors import InputError, shown
from refine_af.models.attention import attention_by
from refine_af.models.backbones import LOAD_FAULTS, layout_of, quiet
from refine_af.models.lora import with_lora
from refine_af.models.prefix import read_prefix
from refine_af.models.recomputation import recompute_layers
from refine_af.settings.lora import Lora

STAND_IN = "live_bytes"


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of the tensors that operations make, while they live.

    `peak` is the most at once, without those of `known` modules' weights.
    """

    def __init__(self, known: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live = self.peak = 0
        self._held: dict[int, Any] = {}
        self._weights = {weight.untyped_storage()._cdata for weight in known.parameters()}

    def __torch_dispatch__(
        self, operation: Any, types: Any, given: Any = (), named: Mapping[str, Any] | None = None
    ) -> Any:
        made = operation(*given, **(named or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._hold(tensor.untyped_storage())
        return made

    def _hold(self, storage: Any) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._held or key in self._weights:
            return  # a view

        def gone(_: Any) -> None:
            del self._held[key]
            self.live -= size

        self._held[key] = weakref.ref(storage, gone)
        self.live += size
        self.peak = max(self.peak, self.live)


def blank_model(
    described: Path | Mapping[str, Any], dtype: torch.dtype, layers: int | None = None
) -> Any:
    """A model without numbers, of a checkpoint's folder or of what its config.json says, or its
    first `layers`.

    InputError where no language model can be built of it.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    quiet()
    try:
        if isinstance(described, Path):
            config, _ = layout_of(described)
        else:
            config = AutoConfig.for_model(**described)
        if layers is not None:
            text = config.get_text_config(decoder=True)
            text.num_hidden_layers = layers
            if kinds := getattr(text, "layer_types", None):
                text.layer_types = kinds[:layers]
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config, dtype=dtype)
    except LOAD_FAULTS as error:
        raise InputError(f"no language model can be built: {shown(str(error), 300)}") from None


def training_peak(
    model: Any,
    lora: Lora | None,
    *,
    rows: int,
    length: int,
    predicted: int,
    recomputed: bool,
) -> tuple[int, int]:
    """The most bytes that a pass forward and back holds beside the model, and how many weights it
    trains: an adapter's, or all.

    `model` is what `blank_model` gives. It reads `rows` texts of `length` tokens, of which the last
    `predicted` of each have a loss; its layers are computed again on the way back where
    `recomputed` says so.
    """
    tuned = model if lora is None else with_lora(model, lora, seed=0, section="lora")
    trained = sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad)
    tuned.train()
    if recomputed:
        tuned.gradient_checkpointing_enable({"use_reentrant": False})
        tuned.enable_input_require_grads()
    with _attention_by_name(model), LiveBytes(tuned) as counted:
        ids, mask = _blank_texts(rows, length)
        trunk = tuned.get_base_model() if lora else tuned
        hidden = trunk.base_model(input_ids=ids, attention_mask=mask, use_cache=False)[0]
        logits = trunk.get_output_embeddings()(hidden[:, -predicted:]).float()
        labels = ids[:, -predicted:].flatten()
        torch.autograd.backward(nn.functional.cross_entropy(logits.flatten(0, 1), labels))
    return counted.peak, trained


def packed_peak(
    model: Any,
    lora: Lora,
    *,
    before: int,
    packs: int,
    length: int,
    predicted: int,
    recomputed: bool,
) -> tuple[int, int]:
    """The same of PPO's pass: `packs` of rows, one after the other in each, behind the keys and
    values of a prefix of `before` tokens, which are read once and reach their gradient at the end.

    The packs have `length` tokens each, and `predicted` have logits in all.
    """
    tuned = with_lora(model, lora, seed=0, section="lora").eval()
    trained = sum(weight.numel() for weight in tuned.parameters() if weight.requires_grad)
    causal = tuned.get_base_model()
    trunk, head = causal.base_model, causal.get_output_embeddings()
    if recomputed:
        recompute_layers(trunk)
    with LiveBytes(tuned) as counted, _attention_by_name(model, masked=bool(before)):
        with _attention_by_name(model, masked=False):
            read = read_prefix(trunk, *_blank_texts(1, before))
        cut = read.cut()
        ids = torch.zeros(packs, length, dtype=torch.long, device="meta")
        mask = torch.zeros(
            packs, 1, length, before + length, dtype=head.weight.dtype, device="meta"
        )
        behind = {"past_key_values": cut.cache(packs), "position_ids": ids} if before else {}
        hidden = trunk(input_ids=ids, attention_mask=mask, use_cache=bool(before), **behind)[0]
        # Divided by the temperature, logits are there twice.
        logits = head(hidden.flatten(0, 1)[:predicted]).float() / 1.0
        labels = torch.zeros(predicted, dtype=torch.long, device="meta")
        torch.autograd.backward(nn.functional.cross_entropy(logits, labels))
        with _attention_by_name(model, masked=False):
            read.pull(cut)
    return counted.peak, trained


def _blank_texts(rows: int, length: int) -> tuple[Tensor, Tensor]:
    """Texts without numbers, and their mask, for which transformers would look among numbers."""
    ids = torch.zeros(rows, length, dtype=torch.long, device="meta")
    return ids, torch.ones(rows, 1, length, length, dtype=torch.bool, device="meta").tril()


@contextmanager
def _attention_by_name(model: Any, *, masked: bool = True) -> Iterator[None]:
    """Let attention hold what a fused kernel holds, without a matrix of all pairs of tokens.

    transformers copies keys that heads share where there is a mask (sdpa_attention.py@5.23.0).
    """
    name = f"{STAND_IN}_masked" if masked else STAND_IN
    with attention_by(model, name, _copying if masked else _fused):
        yield


def _copying(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **_: Any
) -> tuple[Tensor, None]:
    """Attention as `scaled_dot_product_attention` with a mask: keys that heads share are copied."""
    times = query.shape[1] // key.shape[1]
    if times > 1:
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    return _fused(module, query, key, value, mask)


def _fused(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **_: Any
) -> tuple[Tensor, None]:
    """The same without one."""
    out: Tensor = _Fused.apply(query, key, value)  # type: ignore[no-untyped-call]
    return out.transpose(1, 2).contiguous(), None


class _Fused(torch.autograd.Function):
    """Holds its inputs, its output and a number for each query, as a fused kernel does."""

    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = query.new_empty((*query.shape[:-1], value.shape[-1]))
        sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        context.save_for_backward(query, key, value, out, sums)
        return out

    @staticmethod
    def backward(context: Any, *_: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, *_ = context.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
