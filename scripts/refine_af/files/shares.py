"""The numbered shares of a stage's work that one job takes, each with a file of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from refine_af.errors import InputError, doubled


def files_of(
    numbers: Sequence[int], files: Sequence[Path], known: int, *, flags: tuple[str, str]
) -> dict[int, Path]:
    """The file of each number, which a command line names by the two `flags`.

    InputError where they do not pair off, or a number is none of 0 to `known` - 1.
    """
    counted, named = flags
    if len(numbers) != len(files) or len(set(numbers)) != len(numbers):
        raise InputError(
            f"--{counted} {numbers}: a file each is needed, got {len(files)} --{named}"
        )
    if twice := doubled(files):
        raise InputError(f"--{named} {twice[0]}: named for two {counted}")
    if odd := [number for number in numbers if not 0 <= number < known]:
        raise InputError(f"--{counted} {odd[0]}: the {counted} are 0 to {known - 1}")
    return dict(zip(numbers, files, strict=True))
