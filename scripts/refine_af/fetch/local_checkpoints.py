"""Checkpoints that are on this machine already: in a mirror, or in the hub's own cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.fetch.checkpoint_files import (
    HubCheckpoint,
    expected_digests,
    measure_of,
    needed_files,
)
from refine_af.fetch.pinned import check_digest, mirror_folder
from refine_af.files.landing import whole_folder
from refine_af.jobs.progress import Progress
from refine_af.settings.fetch import Fetch


def mirrored_checkpoint(checkpoint: HubCheckpoint, settings: Fetch, mirror: str) -> Path:
    """The mirror's folder for a checkpoint. InputError saying how to make one where it is missing.

    It is checkpoints/{organisation}--{name}--{revision}, or {organisation}/{name}.
    """
    folder = mirror_folder(mirror)
    places = [folder / "checkpoints" / checkpoint.folder_name, folder / checkpoint.repository]
    found = next((place for place in places if place.is_dir()), None)
    if found is None:
        raise InputError(
            f"fetch.mirror {shown(mirror)} lacks {checkpoint}: "
            f"no folder {places[0]} or {places[1]}.\n{how_to_mirror(checkpoint, settings)}"
        )
    return found


def how_to_mirror(checkpoint: HubCheckpoint, settings: Fetch) -> str:
    """What a person does for a machine without a network."""
    digest = settings.weights_sha256.get(checkpoint.repository)
    return (
        f"Where there is a network: hf download {checkpoint.repository} "
        f"--revision {checkpoint.revision} "
        f"--local-dir MIRROR/checkpoints/{checkpoint.folder_name}, "
        "MIRROR being the folder that fetch.mirror is to name"
        + (f"; its weights have the sha256 {digest}." if digest else ".")
    )


def cached_checkpoint(checkpoint: HubCheckpoint, cache: Path) -> Path | None:
    """The hub cache's snapshot of a checkpoint, or None."""
    repository = cache / f"models--{checkpoint.repository.replace('/', '--')}"
    found = sorted(repository.glob(f"snapshots/{checkpoint.revision}*"))
    return found[0] if len(found) == 1 else None


def copy_checkpoint(
    source: Path, checkpoint: HubCheckpoint, settings: Fetch, folder: Path, *, pickles: bool
) -> None:
    """Copy what is needed of a checkpoint to `folder`, every known digest checked.

    `pickles` says whether its weights may be some. Known are those of fetch.weights_sha256 and
    those that the hub's client noted when it downloaded `source`; InputError where a file differs,
    or a pickle has none.
    """
    names = {entry.name for entry in source.iterdir() if entry.is_file()}
    weights, others = needed_files(
        names, lambda name: (source / name).read_bytes(), str(source), pickles=pickles
    )
    recorded = {}
    for name in [*weights, *others]:
        commit, digest = _recorded(source, name)
        if not commit.startswith(checkpoint.revision) and commit:
            raise InputError(f"{source / name}: is of commit {commit}, not {checkpoint.revision}")
        if digest:
            recorded[name] = digest
    pinned = settings.weights_sha256
    expected = expected_digests(checkpoint.repository, weights, recorded, pinned, str(source))
    progress = Progress(len(weights) + len(others), "files")
    with whole_folder(folder) as aside:
        for name in [*others, *weights]:
            shutil.copyfile(source / name, aside / name)
            if name in expected:
                measure, what = measure_of(expected[name])
                check_digest(source / name, expected[name], measure=measure, what=what)
            progress.advance()


def _recorded(source: Path, name: str) -> tuple[str, str]:
    """The commit and the digest that the hub's client noted for a file; empty where it did not.

    Source: huggingface_hub 2.4.0, _local_folder.py; in a cache, a snapshot links to a file that is
    named by its digest.
    """
    note = source / ".cache" / "huggingface" / "download" / f"{name}.metadata"
    if note.is_file():
        commit, digest = [*note.read_text(encoding="utf-8", errors="replace").split(), "", ""][:2]
        return commit, digest if len(digest) in (40, 64) else ""
    blob = (source / name).resolve()
    return ("", blob.name) if blob.parent.name == "blobs" else ("", "")
