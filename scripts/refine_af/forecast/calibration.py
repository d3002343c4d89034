"""What a machine does in a second, measured on layers of random weights in under two minutes.

A GPU's seconds are those that pass. A CPU's are its processor time, as in the forecast's CPU-hours
and the account of what a run cost: what else runs on it matters little then.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

from refine_af.engines.batch import Batch, Prefix, PromptRow, Prompts
from refine_af.engines.greedy import greedy
from refine_af.engines.next_tokens import next_tokens
from refine_af.forecast.rates import Calibration
from refine_af.jobs.record import gpus, processor
from refine_af.models.backbones import device, precision
from refine_af.models.lora import with_lora
from refine_af.settings.lora import Lora

# Layers, width, inner width, heads, vocabulary; and tokens of a pass. Small ones tell what a layer
# takes whatever its size, large ones what the machine does.
SMALL = (4, 128, 344, 4, 1280)
LARGE = {True: (4, 4096, 11008, 32, 32000), False: (4, 768, 2048, 12, 8000)}
TOKENS = {True: 4096, False: 192}
ROWS, STEPS, TIMES = 8, 24, 3
LORA = Lora(r=8, alpha=16, dropout=0.0, targets="all-linear")
LIBRARIES = "import torch, transformers, peft"


def spent() -> float:
    """Seconds so far: with a GPU as they pass, its work done; without, of the processor, children's
    among them.
    """
    if torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    uses = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def calibrated(clock: Callable[[], float] = spent) -> Calibration:
    """The rates of this machine's GPU, or of its CPU with as many threads as this process has."""
    gpu = device().type == "cuda"
    took = _Timing(clock)
    small = random_llama(*SMALL)
    layer_s = took.median(lambda: _write(small), STEPS) / SMALL[0]
    trained = with_lora(small, LORA, seed=0, section="sft.lora")
    trained_layer_s = took.median(lambda: _train(trained, ROWS)) / SMALL[0]
    large = random_llama(*LARGE[gpu])
    layers, tokens = LARGE[gpu][0], TOKENS[gpu]
    passed = sum(weight.numel() for weight in large.model.layers.parameters())
    read_s = took.median(lambda: _read(large, tokens)) - layers * layer_s
    one_s = took.median(lambda: _read(large, 1)) - layers * layer_s
    judged_s = read_s
    if gpu:  # judges score in 32 bits
        judged_s = took.median(lambda: _read(large.float(), tokens // 8)) * 8
        large = large.to(precision())
    tuned = with_lora(large, LORA, seed=0, section="sft.lora")
    trained_s = took.median(lambda: _train(tuned, tokens)) - layers * trained_layer_s
    bytes_read = passed * precision().itemsize
    return Calibration(
        name=(gpus() or [processor()])[0],
        gpu=gpu,
        memory_gb=_memory(gpu) / 1e9,
        training_tflops=4 * passed * tokens / _above_zero(trained_s) / 1e12,
        reading_tflops=2 * passed * tokens / _above_zero(read_s) / 1e12,
        judging_tflops=2 * passed * tokens / _above_zero(judged_s) / 1e12,
        bandwidth_gb_s=bytes_read / _above_zero(one_s) / 1e9,
        layer_ms=1e3 * layer_s,
        trained_layer_ms=1e3 * trained_layer_s,
        start_s=took.once(lambda: subprocess.run([sys.executable, "-c", LIBRARIES], check=True)),
    )


class _Timing:
    """Seconds of calls, by a clock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock

    def once(self, work: Callable[[], object]) -> float:
        began = self._clock()
        work()
        return self._clock() - began

    def median(self, work: Callable[[], object], each: int = 1) -> float:
        """The median of some calls, after one that pays for what comes first, by `each`."""
        self.once(work)
        return median(self.once(work) for _ in range(TIMES)) / each


def random_llama(layers: int, width: int, inner: int, heads: int, vocabulary: int) -> Any:
    """A Llama of random weights on this process's device, in its precision."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=inner,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=vocabulary,
        max_position_embeddings=8192,
    )
    with torch.device(device()):
        return LlamaForCausalLM(config).eval().to(precision())


def _read(model: Any, tokens: int) -> None:
    """A pass over so many tokens, in texts of a quarter of them."""
    rows = 4 if tokens >= 4 else 1
    ids = torch.zeros(rows, tokens // rows, dtype=torch.long, device=model.device)
    with torch.inference_mode():
        model.model(input_ids=ids, use_cache=False)


def _train(model: Any, tokens: int) -> None:
    """The same forward and back, through the adapter alone."""
    rows = 4
    ids = torch.zeros(rows, max(2, tokens // rows), dtype=torch.long, device=model.device)
    model.get_base_model().model(input_ids=ids, use_cache=False).last_hidden_state.sum().backward()
    model.zero_grad()


def _write(model: Any) -> None:
    """Steps of texts side by side, as every stage writes them."""
    sampling = greedy(STEPS, ()).model_copy(update={"temperature": 1.0, "top_p": 0.9})
    batch = Batch(model, Prompts(STEPS + 2, None, 0), sampling, None, ROWS)
    rows = [PromptRow(place, Prefix(None, 0), [1], seed=0) for place in range(ROWS)]
    numbers = torch.full((ROWS,), 0.5, dtype=torch.float64, device=model.device)
    with torch.inference_mode():
        logits = batch.read(rows)
        seen = torch.zeros(ROWS, 0, dtype=torch.bool, device=model.device)
        for _ in range(STEPS - 1):
            for row, token in zip(rows, next_tokens(logits, seen, numbers, sampling), strict=True):
                row.tokens.append(token)
            logits = batch.step()


def _memory(gpu: bool) -> int:
    if gpu:
        memory: int = torch.cuda.get_device_properties(device()).total_memory
        return memory
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _above_zero(seconds: float) -> float:
    """A clock that other processes disturb may tell less than nothing."""
    return max(seconds, 1e-6)
