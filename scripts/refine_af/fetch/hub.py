"""Checkpoints of the Hugging Face hub at a pinned commit, in downloads that resume."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_url
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import build_hf_headers

from refine_af.errors import InputError, shown
from refine_af.fetch.checkpoint_files import (
    HubCheckpoint,
    expected_digests,
    measure_of,
    needed_files,
)
from refine_af.fetch.downloads import TRANSIENT, client, download
from refine_af.fetch.local_checkpoints import how_to_mirror
from refine_af.fetch.pinned import Pinned
from refine_af.jobs.attempts import wait_after
from refine_af.settings.fetch import Fetch

Response = TypeVar("Response")


@dataclass(frozen=True)
class _Commit:
    """The files of a checkpoint's commit, as the hub lists them, and the name of the commit."""

    checkpoint: HubCheckpoint
    sha: str
    siblings: Mapping[str, Any]

    def digest(self, name: str) -> str:
        """What the hub records of a file: a sha256, or the id of a git blob."""
        entry = self.siblings[name]
        found = entry.lfs.sha256 if entry.lfs else entry.blob_id or ""
        if not found:
            raise InputError(f"{self.checkpoint}: {constants.ENDPOINT} records no digest of {name}")
        return str(found)

    def pinned(self, name: str, digest: str) -> Pinned:
        measure, what = measure_of(digest)
        url = hf_hub_url(self.checkpoint.repository, name, revision=self.sha)
        size = self.siblings[name].size
        return Pinned((name,), url, digest, measure=measure, what=what, size=size)


def download_checkpoint(
    checkpoint: HubCheckpoint, settings: Fetch, downloads: Path, folder: Path, *, pickles: bool
) -> None:
    """Download what is needed of a checkpoint and land it in `folder`, complete or not at all.

    The hub's client finds the files and speaks for the user (HF_TOKEN, `hf auth login`); the
    download is our own, since the client's begins anew after an interruption. Each file must have
    the digest that the hub records for it at the commit, and the weights that of
    fetch.weights_sha256 where the repository is named there. Without `pickles`, weights that are
    some are refused by the list of the commit's files.
    """
    aside = downloads / checkpoint.folder_name
    files = _files(checkpoint, settings, aside, pickles=pickles)
    print(f"{checkpoint}: {', '.join(file.name for file in files)}", flush=True)
    _download(files, settings, aside)
    names = {file.name for file in files}
    for found in aside.iterdir():
        if found.name not in names:
            found.unlink()
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.replace(aside, folder)


def _download(files: Sequence[Pinned], settings: Fetch, aside: Path) -> None:
    token = str(build_hf_headers().get("authorization", ""))
    download(
        files,
        aside,
        attempts=settings.attempts,
        timeout_s=settings.timeout_s,
        headers={"Authorization": token} if token else {},
    )


def _files(
    checkpoint: HubCheckpoint, settings: Fetch, aside: Path, *, pickles: bool
) -> list[Pinned]:
    """The files needed, with address and digest; known to be readable by this user.

    An index of weights, which names others, is downloaded to `aside` first.
    """
    client(settings.timeout_s, {}).close()  # says so where the proxy cannot be used
    repository, source = checkpoint.repository, f"{constants.ENDPOINT}/{checkpoint.repository}"
    info = _ask(lambda: _info(checkpoint, settings), checkpoint, settings)
    if not str(info.sha).startswith(checkpoint.revision):
        raise InputError(f"{checkpoint}: {constants.ENDPOINT} answered with commit {info.sha}")
    siblings = {sibling.rfilename: sibling for sibling in info.siblings or []}
    commit = _Commit(checkpoint, info.sha, siblings)

    def index(name: str) -> bytes:
        _ask(lambda: _readable(repository, commit.sha, settings), checkpoint, settings)
        _download([commit.pinned(name, commit.digest(name))], settings, aside)
        return (aside / name).read_bytes()

    weights, others = needed_files(siblings.keys(), index, str(checkpoint), pickles=pickles)
    recorded = {name: commit.digest(name) for name in [*weights, *others]}
    pinned = settings.weights_sha256
    expected = expected_digests(repository, weights, recorded, pinned, source)
    _ask(lambda: _readable(repository, commit.sha, settings), checkpoint, settings)
    return [commit.pinned(name, expected[name]) for name in [*others, *weights]]


def _info(checkpoint: HubCheckpoint, settings: Fetch) -> Any:
    return HfApi().model_info(
        checkpoint.repository,
        revision=checkpoint.revision,
        timeout=settings.timeout_s,
        files_metadata=True,
    )


def _readable(repository: str, commit: str, settings: Fetch) -> None:
    # A gated repository lists its files to everyone, and refuses only the files themselves.
    address = hf_hub_url(repository, "config.json", revision=commit)
    get_hf_file_metadata(address, timeout=settings.timeout_s)


def _ask(call: Callable[[], Response], checkpoint: HubCheckpoint, settings: Fetch) -> Response:
    """The hub's response to a call, which is tried again after a transient failure.

    InputError where the hub refuses, with what a person can do about it.
    """
    hub, fault = constants.ENDPOINT, ""
    for failures in range(settings.attempts):
        time.sleep(wait_after(failures))
        try:
            return call()
        except HfHubHTTPError as error:
            if error.response.status_code not in TRANSIENT:
                raise InputError(f"{checkpoint}: {_refusal(error, checkpoint)}") from None
            fault = f"HTTP {error.response.status_code}"
        except httpx2.RequestError as error:
            fault = f"{type(error).__name__} {error}".strip()
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{checkpoint}: {hub} does not answer as a hub: {shown(str(error))}"
            ) from None
    raise InputError(
        f"{checkpoint}: {hub} cannot be reached: {fault} ({settings.attempts} attempts). Machines "
        "that compute often have no network: this runs where Snakemake runs. "
        + how_to_mirror(checkpoint, settings)
    )


def _refusal(error: Any, checkpoint: HubCheckpoint) -> str:
    """What the hub's final word means, and what a person can do about it."""
    page = f"{constants.ENDPOINT}/{checkpoint.repository}"
    if isinstance(error, GatedRepoError):
        return (
            f"the repository is gated: accept its licence at {page}, then run `hf auth login` or "
            "set HF_TOKEN to a token of that account, and run this again"
        )
    if isinstance(error, RevisionNotFoundError):
        return f"{page} has no such revision"
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"{page} does not exist, or is private: then run `hf auth login` or set HF_TOKEN to a "
            "token that may read it"
        )
    status = error.response.status_code
    advice = "; is HF_TOKEN a valid token?" if status in (401, 403) else ""
    said = f", {shown(error.server_message)}" if error.server_message else ""
    return f"{page}: HTTP {status}{said}{advice}"
