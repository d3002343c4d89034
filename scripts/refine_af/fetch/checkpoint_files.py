"""A checkpoint of the hub: which of its files are needed, and which digest each must have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from refine_af.errors import InputError, shown
from refine_af.fetch.pinned import Measure, git_blob_of
from refine_af.files.digests import sha256_of
from refine_af.models.weight_files import VOCABULARY, Read, index_of, weight_files
from refine_af.settings.checkpoints import HUB

CONFIGURATION = frozenset({"config.json", "generation_config.json"})
TOKENIZER = VOCABULARY | {
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
}


@dataclass(frozen=True)
class HubCheckpoint:
    """A repository of the hub at a commit, of which `revision` holds the first 7 to 40 digits."""

    repository: str
    revision: str

    @property
    def folder_name(self) -> str:
        """What its folder is called in results/checkpoints/ and in a mirror."""
        return f"{self.repository.replace('/', '--')}--{self.revision}"

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"


def hub_checkpoint(text: str) -> HubCheckpoint:
    """The checkpoint that organisation/name@revision names; InputError for any other text."""
    found = HUB.fullmatch(text)
    if found is None:
        raise InputError(f"--checkpoint: not organisation/name@revision: {shown(text)}")
    return HubCheckpoint(found["repository"], found["revision"])


def needed_files(
    names: Collection[str], read: Read, source: str, *, pickles: bool
) -> tuple[list[str], list[str]]:
    """The weights among a checkpoint's files, in one format, and the other files needed.

    Both are names in order; `read` gives the bytes of an index. InputError where configuration,
    vocabulary or weights are missing, or, without `pickles`, are no safetensors.
    """
    if "config.json" not in names:
        raise InputError(f"{source}: holds no config.json")
    if not VOCABULARY & set(names):
        raise InputError(f"{source}: holds no tokenizer (one of {', '.join(sorted(VOCABULARY))})")
    weights = weight_files(names, read, source, pickles=pickles)
    return weights, sorted((CONFIGURATION | TOKENIZER | index_of(names)) & set(names))


def expected_digests(
    repository: str,
    weights: Sequence[str],
    recorded: Mapping[str, str],
    pinned: Mapping[str, str],
    source: str,
) -> dict[str, str]:
    """The digest of each file for which one is known: `recorded`, and the weights' own `pinned`.

    InputError where the two differ, where a pin stands for several files, or where no SHA-256 of a
    pickle is known: it can run code when it is read.
    """
    expected = dict(recorded)
    if repository in pinned:
        key, digest = f"fetch.weights_sha256: {repository}", pinned[repository]
        if len(weights) > 1:
            raise InputError(f"{key}: one digest, but {source} holds {len(weights)} weight files")
        [name] = weights
        if recorded.get(name, digest) != digest:
            raise InputError(f"{key}: {digest}, but {source} records {recorded[name]} for {name}")
        expected[name] = digest
    for name in weights:
        if name.endswith(".bin") and len(expected.get(name, "")) != 64:
            raise InputError(
                f"{source}: {shown(name)} is a pickle of which no sha256 is known; state it in "
                f"fetch.weights_sha256, under {repository}"
            )
    return expected


def measure_of(digest: str) -> tuple[Measure, str]:
    """How to take a digest of the kind that `digest` is, and its name: sha256 or git blob id."""
    return (sha256_of, "sha256") if len(digest) == 64 else (git_blob_of, "git blob id")
