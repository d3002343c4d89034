"""Shares of files: the numbered ones that one job takes, and each owner's of a list."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
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


def by_folder(flag: str, paths: Sequence[Path], owners: Sequence[str]) -> dict[str, list[Path]]:
    """Each owner's paths, which come owner by owner, and stand in a folder of the owner's own.

    InputError naming the `flag` where there are not as many folders as owners, or paths of one do
    not stand together.
    """
    folders = [(folder, [*own]) for folder, own in groupby(paths, lambda path: path.parent)]
    if len(folders) != len(owners) or len({folder for folder, _ in folders}) != len(folders):
        raise InputError(
            f"{flag}: {len(paths)} paths in {len(folders)} folders, which are not one for each of "
            f"{[*owners]}"
        )
    return {owner: own for owner, (_, own) in zip(owners, folders, strict=True)}


def by_owner(
    flag: str, paths: Sequence[Path], owners: Sequence[str], each: int | None = None
) -> dict[str, list[Path]]:
    """Each owner's share of the paths, which come owner by owner; `each` where that is known.

    InputError naming the `flag` where they cannot be shared out evenly.
    """
    size = each or len(paths) // max(1, len(owners))
    if not size or size * len(owners) != len(paths):
        raise InputError(f"{flag}: {len(paths)} paths cannot be shared out among {[*owners]}")
    return {owner: [*paths[number * size :][:size]] for number, owner in enumerate(owners)}
