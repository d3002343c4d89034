"""What a run began from, as digests: its data, its prompts and its models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.digests import sha256_of, sha256_of_text
from refine_af.records.origins import Origins


def digested(origins: Origins) -> Iterator[dict[str, str]]:
    """What each is, its name, and the digest of its file or folder.

    A checkpoint of the hub is named with its commit, which stands for every file in it.
    InputError where a path leads nowhere.
    """
    for origin in origins.entries:
        digest = digest_of(Path(origin.path)) if origin.path else ""
        yield {"what": origin.what, "name": origin.name, "sha256": digest}


def digest_of(path: Path) -> str:
    """Of a file its bytes; of a folder, the lines that `sha256sum` prints of its files, by name.

    Hidden files do not count: some are left by whoever made the folder.
    """
    if path.is_file():
        return sha256_of(path)
    names = [file.relative_to(path) for file in path.rglob("*") if file.is_file()]
    shown = sorted(name.as_posix() for name in names if not name.parts[-1].startswith("."))
    if not shown:
        raise InputError(f"{path}: neither a file nor a folder of files")
    return sha256_of_text("".join(f"{sha256_of(path / name)}  {name}\n" for name in shown))
