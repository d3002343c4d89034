"""What a machine raises when its memory, its GPU or its disk fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from refine_af.errors import InputError

# How a plain RuntimeError names it: on a CPU, and of CUDA's libraries' own memory.
OUT_OF_MEMORY = ("DefaultCPUAllocator", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")


def out_of_memory(error: Exception) -> bool:
    """Whether the GPU, or the machine, could not give the memory that was asked for."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return any(name in str(error) for name in OUT_OF_MEMORY)


def free_cached(device: torch.device) -> None:
    """Give back what torch keeps of freed GPU memory: a smaller batch needs other pieces of it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


@contextmanager
def gpu_faults() -> Iterator[None]:
    """Make a GPU that fails in the block an InputError."""
    try:
        yield
    except torch.AcceleratorError as error:
        raise InputError(f"the GPU failed: {first_line(error)}") from None


@contextmanager
def device_faults() -> Iterator[None]:
    """Make a GPU that fails, and memory that nobody can do with less of, InputErrors."""
    try:
        with gpu_faults():
            yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        raise InputError(f"out of memory: {first_line(error)}") from None


@contextmanager
def disk_faults() -> Iterator[None]:
    """Make what safetensors says of a disk in the block an OSError, as of any other file."""
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise OSError(str(error)) from None


def first_line(error: Exception) -> str:
    """A fault's own words, without the advice that torch adds; its kind where it has none."""
    return str(error).partition("\n")[0] or type(error).__name__
