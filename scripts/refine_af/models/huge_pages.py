"""Weights on a CPU, which each token reads from end to end: side by side, in huge pages."""

from __future__ import annotations

import mmap
from typing import Any

import torch
from torch import nn

HUGE = 1 << 21  # bytes: a huge page of x86-64, and of ARM with pages of 4 KiB
LINE = 64  # bytes: where a tensor starts, as where torch itself allocates it


def lay_together(model: Any) -> None:
    """Move a model's plain weights on the CPU, numbers unchanged, into one piece of memory.

    In small pages, of a mapped file or scattered over the heap, a virtual machine may read them at
    half the speed (benchmarks/README.md). Nothing moves where a kernel knows no huge pages, or has
    no memory for a copy.
    """
    # What bitsandbytes holds in 4 bits is of a class of its own, and finds its numbers by itself.
    weights = [w for w in model.parameters() if type(w) is nn.Parameter and w.device.type == "cpu"]
    if not weights or not hasattr(mmap, "MADV_HUGEPAGE"):
        return
    sizes = [-(-weight.nbytes // LINE) * LINE for weight in weights]
    try:
        memory = mmap.mmap(-1, sum(sizes) + HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_HUGEPAGE)
    except OSError:  # no memory for a copy, as by `ulimit -v`, or a kernel built without them
        return
    start = -torch.frombuffer(memory, dtype=torch.uint8).data_ptr() % HUGE
    for weight, size in zip(weights, sizes, strict=True):
        if weight.numel():
            place = torch.frombuffer(
                memory, dtype=weight.dtype, count=weight.numel(), offset=start
            ).view(weight.shape)
            weight.data = place.copy_(weight.data)
        start += size
