"""How much memory the stages need, by their models' architectures on the meta device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from refine_af.forecast.assumptions import Assumptions
from refine_af.forecast.known import Shape
from refine_af.forecast.passes import Asked, Passes, cut_off
from refine_af.forecast.rates import Rates
from refine_af.forecast.work import NUMBERING, Beside
from refine_af.models.live_bytes import blank_model, packed_peak, training_peak
from refine_af.settings.experiment import Experiment

OPTIMIZER = 8  # bytes of a trained number: Adam's two moments; its gradient is among activations
FEW = (2, 4)  # layers that are traced of a model of more
JUDGE_BYTES = 4  # judges score in 32 bits


@dataclass(frozen=True)
class Needed:
    """Bytes of a stage's parts on a GPU, or in a process: the model's weights, what is trained with
    its optimizer, keys and values of texts that are written, activations, and the judges.
    """

    weights: float = 0.0
    trained: float = 0.0
    texts: float = 0.0
    activations: float = 0.0
    judges: float = 0.0

    @property
    def total(self) -> float:
        """All of it at once."""
        return self.weights + self.trained + self.texts + self.activations + self.judges


def loss_bytes(tokens: int, vocabulary: int, *, gpu: bool) -> float:
    """Bytes of TRL's loss, which takes a tile of tokens and of the vocabulary at a time.

    TRL 1.16.0, kernels/chunked_logprob.py: on a GPU a kernel overwrites the logits by their
    gradient; in torch, as measured on a CPU, eight such tiles live at once.
    """
    tile = 4 * min(tokens, 4096) * min(vocabulary, 32768)
    return tile * (2 if gpu else 8)


class Memory:
    """What the stages of a model need, with replies as long as they are assumed to be.

    `described` is its checkpoint's folder, or what its config.json says.
    """

    def __init__(
        self,
        experiment: Experiment,
        described: Path | Mapping[str, Any],
        shape: Shape,
        beside: Beside,
        rates: Rates,
        assumed: Assumptions,
    ) -> None:
        self._whole, self._described, self._shape = experiment, described, shape
        self._beside, self._rates, self._assumed = beside, rates, assumed
        self._tail = round(assumed.instruction) + NUMBERING
        self._prefix = round(beside.instances_prompt / assumed.characters)

    def of(self, stage: str) -> Needed:
        """What a stage needs."""
        if stage == "ppo":
            return self._ppo()
        if stage == "sft":
            return self._sft()
        return self._writing(stage)

    def least(self, stage: str) -> float:
        """Bytes of a stage that writes, with one text at a time; nothing of a stage that trains."""
        if stage in ("ppo", "sft"):
            return 0.0
        on, asked = self._asked(stage)
        return on.weights + on.row(asked)

    def _writing(self, stage: str) -> Needed:
        on, asked = self._asked(stage)
        return Needed(weights=on.weights, texts=on.texts(asked))

    def _asked(self, stage: str) -> tuple[Passes, Asked]:
        """A stage's model, and the longest texts that it writes."""
        settings = getattr(self._whole, stage)
        most = getattr(settings, "sampling", settings).max_new_tokens
        shown = self._whole.instructions
        examples = shown.human_demonstrations + shown.machine_demonstrations
        tokens = {
            "instructions": (
                self._beside.instructions_prompt / self._assumed.characters,
                examples * self._tail,
            ),
            "instances": (self._prefix, self._tail),
            "ppo": (self._prefix, self._tail),
            "superni": (0, self._assumed.evaluated),
            "users": (0, 3 * self._tail),
        }
        size = settings.rollouts if stage == "ppo" else settings.prompts_per_round
        asked = Asked(size, size, *tokens[stage], reply=most, most=most)
        return Passes(self._rates, self._shape, settings.quantization), asked

    def _peak(self, traced: Callable[[Any], tuple[int, int]]) -> tuple[float, float]:
        """What `traced` says of the model. Each layer adds as much, so of many a few are traced."""
        dtype = torch.bfloat16 if self._rates.gpu else torch.float32
        layers = self._shape.layers
        if layers <= FEW[1]:
            return traced(blank_model(self._described, dtype, layers))
        few, more = (traced(blank_model(self._described, dtype, count)) for count in FEW)
        steps = (layers - FEW[1]) / (FEW[1] - FEW[0])
        peak, trained = (b + (b - a) * steps for a, b in zip(few, more, strict=True))
        return peak, trained

    def _copy(self, quantization: str) -> float:
        """Bytes of the largest layer in full precision, which 4 bits are multiplied by."""
        largest = max(before * after for _, before, after in self._shape.linears.values())
        return (2 if self._rates.gpu else 4) * largest if quantization == "nf4" else 0.0

    def _ppo(self) -> Needed:
        settings = self._whole.ppo
        on, asked = self._asked("ppo")
        reply = round(cut_off(self._assumed.instance, asked.most))
        row, rows = self._tail + reply, settings.batch_size
        together = max(1, min(rows, self._prefix // row))  # in a pack, as ppo/packing.py fills it
        peak, trained = self._peak(
            lambda model: packed_peak(
                model,
                settings.lora,
                before=self._prefix,
                packs=math.ceil(rows / together),
                length=together * row,
                predicted=rows * reply,
                recomputed=self._whole.compute.ppo.gradient_checkpointing,
            )
        )
        judges = self._beside.reward_model + self._beside.evaluator
        return Needed(
            weights=on.weights,
            trained=trained * (4 + OPTIMIZER),
            activations=max(peak, on.texts(asked)) + self._copy(settings.quantization),
            judges=judges * JUDGE_BYTES,
        )

    def _sft(self) -> Needed:
        settings, compute = self._whole.sft, self._whole.compute.sft
        full = settings.tuning == "full"
        on = Passes(self._rates, self._shape, "none" if full else settings.quantization)
        length = min(round(self._tail + self._assumed.instance), settings.max_length)
        update = settings.batch_size * settings.gradient_accumulation_steps
        peak, trained = self._peak(
            lambda model: training_peak(
                model,
                None if full else settings.lora,
                rows=min(compute.micro_batch, update),
                length=length,
                predicted=1,
                recomputed=compute.gradient_checkpointing,
            )
        )
        tokens = min(compute.micro_batch, update) * length
        peak += loss_bytes(tokens, self._shape.vocabulary, gpu=self._rates.gpu)
        return Needed(
            weights=4.0 * trained if full else on.weights,
            trained=trained * (OPTIMIZER + (0 if full else 4)),
            activations=peak + self._copy(settings.quantization),
        )
