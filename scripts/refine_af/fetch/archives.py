"""Parsers in the zip archives that their publishers offer."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from zipfile import BadZipFile, ZipFile

from refine_af.errors import InputError, shown
from refine_af.models.parsers import FILES, KINDS


def unpack_parser(archive: Path, folder: Path) -> None:
    """Write the one parser that an archive holds, in whatever folder there, to `folder`.

    InputError where the archive is no zip, holds no parser or two, or a path that leads out of it.
    """
    try:
        with ZipFile(archive) as zipped:
            names = [name for name in zipped.namelist() if not name.endswith("/")]
            place = _parser_among([PurePosixPath(name) for name in names], archive)
            for name in names:
                if PurePosixPath(name).is_relative_to(place):
                    target = folder / PurePosixPath(name).relative_to(place)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    with zipped.open(name) as content, open(target, "wb") as file:
                        shutil.copyfileobj(content, file)
    except BadZipFile as error:
        raise InputError(f"{archive}: no zip archive that can be read: {error}") from None


def _parser_among(files: Sequence[PurePosixPath], archive: Path) -> PurePosixPath:
    """The folder of an archive that holds a parser."""
    for file in files:
        if file.is_absolute() or ".." in file.parts:
            raise InputError(f"{archive}: {shown(str(file))} leads out of the archive")
    known = {*files}
    found = [
        place
        for place in dict.fromkeys(file.parent for file in files)
        if any({place / name for name in names} <= known for names in FILES.values())
    ]
    if len(found) != 1:
        kinds = " nor ".join(KINDS.values())
        said = ", ".join(map(str, found)) or f"neither {kinds}"
        raise InputError(f"{archive}: not one parser, but {said}")
    return found[0]
