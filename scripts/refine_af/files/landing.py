"""Files and folders that appear whole, and on disk, or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from refine_af.errors import InputError


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, renamed to `path` and on disk once the block ends well.

    The latest process wins: an earlier one, which a killed Snakemake may have left at work, lands
    nothing and ends in an InputError. So does a full disk.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.partial")
    own = None
    try:
        aside.unlink(missing_ok=True)
        aside.touch(exist_ok=False)
        own = aside.stat()
        yield aside
        if not _is(aside, own):
            raise InputError(f"{path}: another process has begun to write it")
        to_disk(aside)
        os.replace(aside, path)
        to_disk(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        if own and _is(aside, own):
            aside.unlink(missing_ok=True)


def _is(path: Path, known: os.stat_result) -> bool:
    """Whether the file at `path` is the one that was `known` there."""
    try:
        return os.path.samestat(path.stat(), known)
    except FileNotFoundError:
        return False


def check_free(path: Path) -> None:
    """InputError unless a folder can land at `path`: to know before hours are spent on it."""
    _refuse_taken(path)
    probe = path.with_name(f".{path.name}.probe")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):  # another process may be checking too
            probe.mkdir()
        with suppress(FileNotFoundError):
            probe.rmdir()
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from None


def _refuse_taken(path: Path) -> None:
    if path.is_symlink():
        raise InputError(f"{path}: is a link, which nothing can land at; name what it points to")
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path}: exists already; delete it, or name another")


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, renamed to `path` and on disk once the block ends well."""
    _refuse_taken(path)
    aside = path.with_name(f".{path.name}.partial")
    try:
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        yield aside
        for found in [*aside.rglob("*"), aside]:
            to_disk(found)
        if path.is_dir():
            path.rmdir()  # an empty one, which Snakemake may have made for a declared output
        os.replace(aside, path)
        to_disk(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def to_disk(path: Path) -> None:
    """Return once a file, or a folder's list of entries, is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def write_faults(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into an InputError that names `path`."""
    try:
        yield
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}") from None
