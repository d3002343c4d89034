"""Files from outside that are known by their digest, and the mirrors that may hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from refine_af.errors import InputError, shown
from refine_af.files.digests import sha256_of

Measure = Callable[[Path], str]


def git_blob_of(path: Path) -> str:
    """The id under which git stores a file's bytes: a SHA-1, in hex."""
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass(frozen=True)
class Pinned:
    """A file from outside: its names in a mirror, its address, and the digest that it must have.

    `measure` takes the digest of a file, and `what` says in words what kind of digest that is;
    `size` is in bytes, where it is known; `advice` follows where a file has another digest.
    """

    names: tuple[str, ...]
    url: str
    digest: str
    measure: Measure = sha256_of
    what: str = "sha256"
    size: int | None = None
    advice: str = ""

    @property
    def name(self) -> str:
        """The first of its names, under which it is downloaded."""
        return self.names[0]

    def __str__(self) -> str:
        return f"{self.name}: {self.url}, {self.what} {self.digest}"


def names_in_mirror(name: str, url: str) -> tuple[str, ...]:
    """`name`, then each ending of an address, shortest first, down to `host/whole/path`.

    The endings are what copies of an upstream repository and `wget -x` leave behind.
    """
    address = url.partition("://")[2].partition("?")[0]
    parts = unquote(address).split("/")
    endings = ["/".join(parts[start:]) for start in reversed(range(len(parts)))]
    return tuple(dict.fromkeys([name, *([] if ".." in parts else endings)]))


def mirror_folder(mirror: str) -> Path:
    """The folder that `fetch.mirror` names. InputError where it is none."""
    folder = Path(mirror).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"fetch.mirror: no folder {shown(mirror)} (looked for {folder.absolute()})"
        )
    return folder


def in_mirror(file: Pinned, folder: Path) -> Path | None:
    """Where the mirror holds `file`, or None."""
    places = (folder / name for name in file.names)
    return next((place for place in places if place.is_file()), None)


def mirrored(files: Sequence[Pinned], mirror: str) -> list[Path]:
    """Where the mirror holds each of `files`, digests checked.

    InputError where the folder is missing, where it lacks files (all of them are listed), or
    where a file there is another one.
    """
    folder = mirror_folder(mirror)
    found = {file: in_mirror(file, folder) for file in files}
    lacking = [file for file, place in found.items() if place is None]
    if lacking:
        raise InputError(
            f"fetch.mirror {shown(mirror)} lacks {len(lacking)} of {len(files)} files; place "
            "there, under the name that begins the line:\n" + listed(dict.fromkeys(lacking, ""))
        )
    places = {file: place for file, place in found.items() if place is not None}
    for file, place in places.items():
        check_digest(place, file.digest, measure=file.measure, what=file.what, advice=file.advice)
    return list(places.values())


def check_digest(path: Path, digest: str, *, measure: Measure, what: str, advice: str = "") -> None:
    """InputError naming the file and both digests unless `path` has the digest."""
    found = measure(path)
    if found != digest:
        raise InputError(f"{path}: wrong {what}: expected {digest}, found {found}{advice}")


def listed(faults: Mapping[Pinned, str]) -> str:
    """A line a file: its name in a mirror, its address, its digest, and what went wrong."""
    return "\n".join(f"  {file}" + (f": {why}" if why else "") for file, why in faults.items())
