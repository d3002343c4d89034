"""A checkpoint of the hub: which of its files are needed, and which digest each must have."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from refine_af.errors import InputError, shown
from refine_af.fetch.pinned import Measure, git_blob_of
from refine_af.files.digests import sha256_of
from refine_af.settings.checkpoints import HUB

CONFIGURATION = frozenset({"config.json", "generation_config.json"})
VOCABULARY = frozenset({"tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json"})
TOKENIZER = VOCABULARY | {
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "merges.txt",
}
# In order of preference: a .bin is a pickle, read only where a checkpoint has nothing else.
WEIGHTS = (("model", "safetensors"), ("pytorch_model", "bin"))
SHARD = re.compile(r"\w+-\d{5}-of-(?P<number>\d{5})\.\w+")


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


def needed_files(names: Collection[str], source: str) -> tuple[list[str], list[str]]:
    """The weights among a checkpoint's files, in one format, and the other files needed.

    Both are names in order. InputError where configuration, vocabulary or weights are missing.
    """
    if "config.json" not in names:
        raise InputError(f"{source}: holds no config.json")
    if not VOCABULARY & set(names):
        raise InputError(f"{source}: holds no tokenizer (one of {', '.join(sorted(VOCABULARY))})")
    weights, index = _weights(names, source)
    return weights, sorted((CONFIGURATION | TOKENIZER | {index}) & set(names))


def _weights(names: Collection[str], source: str) -> tuple[list[str], str]:
    """The weights in the first format that is there, and the name that their index has."""
    for stem, suffix in WEIGHTS:
        index = f"{stem}.{suffix}.index.json"
        if f"{stem}.{suffix}" in names:
            return [f"{stem}.{suffix}"], ""
        shards = sorted(
            name
            for name in names
            if name.startswith(f"{stem}-") and SHARD.fullmatch(name) and name.endswith(suffix)
        )
        if shards:
            total = int(shards[0].rpartition("-")[2].partition(".")[0])
            if len(shards) != total or index not in names:
                raise InputError(
                    f"{source}: incomplete weights: {len(shards)} of {total} files"
                    + ("" if index in names else f", and no {index}")
                )
            return shards, index
    raise InputError(f"{source}: holds no weights (model.safetensors or pytorch_model.bin)")


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
