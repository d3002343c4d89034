"""The policy that PPO trains: a LoRA adapter and a value head on one trunk.

The reference model is the same trunk with the adapter switched off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from refine_af.errors import InputError
from refine_af.models.backbones import load_backbone
from refine_af.models.device_faults import disk_faults
from refine_af.models.lora import save_lora, with_lora
from refine_af.models.prefix import Prefix, read_prefix
from refine_af.models.recomputation import recompute_layers
from refine_af.models.shapes import (
    architecture,
    by_kind_of_attention,
    check_length,
    text_config,
    window_of,
)
from refine_af.ppo.packing import Layout, Tokens, laid_out
from refine_af.settings.lora import Lora


@dataclass(frozen=True)
class Predictions:
    """What a policy says of responses, in float32; (rows, tokens) tensors, 0 outside the mask."""

    log_probs: Tensor
    values: Tensor
    mask: Tensor
    logits: Tensor  # (tokens of all rows, vocabulary), divided by the temperature

    def entropies(self) -> Tensor:
        """Of the distribution that each response token comes from, in nats, (tokens,)."""
        log_probs = self.logits.detach().log_softmax(-1)
        return -(log_probs.exp() * log_probs).sum(-1)


class Policy(nn.Module):
    """A language model with a LoRA adapter, and a value head on its last hidden states."""

    def __init__(self, model: Any) -> None:
        """`model` is a PeftModel of a causal language model; it is kept in eval mode."""
        super().__init__()
        self.model = model.eval()
        causal = model.get_base_model()
        # In lists, so that torch does not register parts of `model` a second time.
        self._trunk = [causal.base_model]
        self._head = [causal.get_output_embeddings()]
        # What the head reads, which in OPT is not as wide as the layers.
        hidden = self._head[0].in_features
        self.value_head = nn.Linear(hidden, 1, device=model.device, dtype=torch.float32)
        nn.init.zeros_(self.value_head.weight)
        nn.init.zeros_(self.value_head.bias)

    def adapter_parameters(self) -> list[nn.Parameter]:
        """The adapter's weights, which are all of the model that trains."""
        return [entry for entry in self.model.parameters() if entry.requires_grad]

    def recompute_layers(self) -> None:
        """Use less memory and more time from now on, for the same values and gradients."""
        recompute_layers(self._trunk[0])

    @contextmanager
    def as_reference(self) -> Iterator[None]:
        """Inside the block the model is the one that training started from."""
        with self.model.disable_adapter():
            yield

    def read(self, prefix: Sequence[int]) -> Prefix:
        """The tokens that begin every prompt, read by the weights as they are now."""
        check_length(self.model, len(prefix), "PPO")
        ids = torch.tensor([list(prefix)], device=self.model.device).long()
        found = read_prefix(self._trunk[0], ids)
        if found.length != len(prefix):
            raise InputError(f"{architecture(self.model)} keeps no keys and values of a prefix")
        return found

    def forward(
        self, prefix: Prefix, rows: Sequence[Tokens], *, temperature: float, width: int
    ) -> Predictions:
        """The responses' log-probabilities and values, (rows, width).

        `prefix` is what `read` gives of these weights: values are those of whole texts, and so are
        gradients where it has a graph. A token's value is that of the text before it.
        """
        layout = laid_out(rows, prefix.length, self.model.device)
        hidden = self._trunk[0](
            input_ids=layout.ids, **self._behind(prefix, layout)
        ).last_hidden_state[layout.predicting]
        logits = self._logits(hidden).float() / temperature
        targets = [token for row in rows for token in row.response]
        log_probs = -nn.functional.cross_entropy(
            logits, torch.tensor(targets, device=hidden.device).long(), reduction="none"
        )
        values = self.value_head(hidden.float()).squeeze(-1)
        sizes = torch.tensor([[len(row.response)] for row in rows], device=hidden.device)
        mask = torch.arange(width, device=hidden.device) < sizes
        blank = torch.zeros(mask.shape, device=hidden.device)
        return Predictions(
            log_probs=blank.masked_scatter(mask, log_probs),
            values=blank.masked_scatter(mask, values),
            mask=mask.float(),
            logits=logits,
        )

    def _behind(self, prefix: Prefix, layout: Layout) -> dict[str, Any]:
        """What lets the tokens of a layout stand behind the prefix, each in its own row alone."""
        longest = prefix.length + int(layout.places.max()) + 1
        check_length(self.model, longest, "PPO")
        if not prefix.length:  # each row is by itself then, which is what a model expects
            return {"use_cache": False}

        def mask(window: int | None) -> Tensor:
            return layout.mask(prefix.length, self.model.dtype, window)

        return {
            "attention_mask": by_kind_of_attention(
                self.model, window_of(self.model, longest), mask
            ),
            "position_ids": prefix.length + layout.places,
            "past_key_values": prefix.cache(len(layout.ids)),
            "use_cache": True,
        }

    def check(self) -> None:
        """InputError where the model does more with its last hidden states than is done here.

        All that PPO computes would then be of another distribution than the one drawn from.
        """
        ids = torch.arange(3, 7, device=self.model.device)[None]
        with torch.no_grad():
            whole = self.model(input_ids=ids).logits.float()
            ours = self._logits(self._trunk[0](input_ids=ids).last_hidden_state).float()
        if (whole - ours).norm() > 0.01 * whole.norm():
            kind = architecture(self.model)
            raise InputError(f"PPO cannot train {kind}: it does more to its logits than is known")

    def _logits(self, hidden: Tensor) -> Tensor:
        """Of hidden states, (…, width), as the model's own forward makes them: (…, vocabulary)."""
        config = text_config(self.model)
        logits: Tensor = self._head[0](hidden)
        if scale := getattr(config, "logit_scale", None):  # Cohere
            logits = logits * scale
        if scale := getattr(config, "logits_scaling", None):  # Granite
            logits = logits / scale
        if cap := getattr(config, "final_logit_softcapping", None):  # Gemma 2
            logits = cap * torch.tanh(logits / cap)
        return logits

    def save(self, folder: Path) -> None:
        """Write adapter and value head into an existing folder. OSError where the disk is full."""
        from safetensors.torch import save_file

        self.save_adapter(folder)
        weights = {name: entry.cpu() for name, entry in self.value_head.state_dict().items()}
        with disk_faults():
            save_file(weights, folder / "value_head.safetensors")

    def save_adapter(self, folder: Path) -> None:
        """Write the adapter in PEFT's format. OSError where the disk is full."""
        save_lora(self.model, folder / "adapter")


def new_policy(backbone: Path, lora: Lora, *, quantization: str, seed: int) -> Policy:
    """A policy that still equals the backbone: LoRA's B and the value head are zero.

    InputError where the backbone's logits cannot be computed as here.
    """
    model = load_backbone(backbone, quantization=quantization)
    adapted = with_lora(model, lora, seed=seed, section="ppo.lora")
    with torch.random.fork_rng():  # the value head's first values are drawn, then set to zero
        policy = Policy(adapted)
    policy.check()
    return policy
