"""What a machine raises when its memory, its GPU or its disk fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from refine_af.errors import InputError

# What a plain RuntimeError says of it: on a CPU, and in CUDA's libraries.
OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def out_of_memory(error: Exception) -> bool:
    """Whether the GPU, or the machine, could not give the memory that was asked for."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(name in str(error) for name in OUT_OF_MEMORY)


def free_cached(device: torch.device) -> None:
    """Give back the freed GPU memory that torch keeps: a smaller batch needs other pieces of it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def gpu_faults() -> Iterator[None]:
    """Turn a GPU's failure in the block into an InputError."""
    try:
        yield
    except torch.AcceleratorError as error:
        raise InputError(f"the GPU failed: {first_line(error)}") from None


@contextmanager
def device_faults() -> Iterator[None]:
    """Turn a GPU's failure in the block, and a lack of memory that ends it, into InputErrors."""
    try:
        with gpu_faults():
            yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"out of memory: {first_line(error)}") from None


@contextmanager
def disk_faults() -> Iterator[None]:
    """Turn safetensors' own error in the block into an OSError, as other writers raise it."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from None


def first_line(error: Exception) -> str:
    """A fault's first line, without the advice that torch adds; its class where it says nothing."""
    return str(error).partition("\n")[0] or type(error).__name__
