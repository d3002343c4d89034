"""Where a user's own code stands, which config.yaml names by a dotted path."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from refine_af.jobs.sources import digest_of


def homes(root: Path | None = None) -> tuple[Path, Path, Path]:
    """Where a module may stand: the experiment's folder, the project's root, and its scripts/."""
    root = Path(__file__).resolve().parents[3] if root is None else root
    return Path(), root, root / "scripts"


def module_file(dotted: str, folders: Iterable[Path]) -> Path | None:
    """The file in which `dotted`, a dotted path to a name, is found from one of the folders.

    None where it is in none of them: it is then an installed package's, which the lock pins.
    """
    parts = dotted.split(".")[:-1]
    for folder in folders:
        place = folder.joinpath(*parts)
        for file in (place / "__init__.py", place.with_suffix(".py")):
            if file.is_file():
                return file
    return None


def own_code(dotted: str, folders: Iterable[Path] | None = None) -> str:
    """The digest of the code in that file, "" where there is none; None stands for the `homes`."""
    file = module_file(dotted, homes() if folders is None else folders)
    return digest_of(file) if file else ""
