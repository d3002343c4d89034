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
from refine_af.models.shapes import architecture, check_length, text_config
from refine_af.ppo.recomputation import recompute_layers
from refine_af.settings.lora import Lora


@dataclass(frozen=True)
class Tokens:
    """A rollout's tokens: what follows the shared prefix in its prompt, and the response."""

    tail: tuple[int, ...]
    response: tuple[int, ...]


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

    def forward(
        self,
        prefix: Sequence[int],
        rows: Sequence[Tokens],
        *,
        temperature: float,
        width: int,
    ) -> Predictions:
        """The responses' log-probabilities and values, (rows, width).

        The prefix is computed once and shared by the rows, with its gradient: values and gradients
        are exact. A token's value is that of the text before it.
        """
        ids, predicting, mask = _layout(rows, width, self.model.device)
        check_length(self.model, len(prefix) + ids.shape[1], "PPO")
        hidden = self._trunk[0](
            input_ids=ids, past_key_values=self._prefix_cache(prefix, len(rows)), use_cache=True
        ).last_hidden_state[predicting]
        logits = self._logits(hidden).float() / temperature
        targets = torch.tensor([token for row in rows for token in row.response], device=ids.device)
        log_probs = -nn.functional.cross_entropy(logits, targets.long(), reduction="none")
        values = self.value_head(hidden.float()).squeeze(-1)
        blank = torch.zeros(mask.shape, device=ids.device)
        return Predictions(
            log_probs=blank.masked_scatter(mask, log_probs),
            values=blank.masked_scatter(mask, values),
            mask=mask.float(),
            logits=logits,
        )

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

    def _prefix_cache(self, prefix: Sequence[int], rows: int) -> Any:
        from transformers import DynamicCache

        cache = DynamicCache(config=self.model.config)
        if prefix:
            ids = torch.tensor([list(prefix)], device=self.model.device)
            self._trunk[0](input_ids=ids, past_key_values=cache, use_cache=True)
            if cache.get_seq_length() != len(prefix):
                raise InputError(f"{architecture(self.model)} keeps no keys and values of a prefix")
            cache.batch_repeat_interleave(rows)
        return cache


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


def _layout(
    rows: Sequence[Tokens], width: int, device: torch.device
) -> tuple[Tensor, Tensor, Tensor]:
    """Token ids, where a response token is predicted, (rows, length), and the mask, (rows, width).

    Padding stands on the right, where a causal model's earlier tokens cannot see it. The last token
    of a response predicts none of its tokens, so it is left out.
    """
    inputs = [[*row.tail, *row.response[:-1]] for row in rows]
    length = max(map(len, inputs))
    ids = torch.tensor([[*entry, *[0] * (length - len(entry))] for entry in inputs])
    place = torch.arange(length)
    first = torch.tensor([len(row.tail) - 1 for row in rows])[:, None]
    size = torch.tensor([len(row.response) for row in rows])[:, None]
    predicting = (place >= first) & (place < first + size)
    mask = torch.arange(width) < size
    return ids.to(device), predicting.to(device), mask.to(device)
