"""The section of config.yaml that says what is fetched, from where, with which digests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from refine_af.settings.fields import Count, Digest, FilePath, Positive, Section, Texts

# organisation/name
Repository = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")]

# The name of a folder; publishers' own have capitals and underscores.
Archive = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]

Address = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/\S*[^/\s]$")]


class RemoteFile(Section):
    url: Address = Field(description="Where the file stands, at a pinned commit (SI).")
    sha256: Digest = Field(description="SHA-256 of the file as it must be, in hex digits (ours).")


class GitFile(Section):
    """A file that is known by the id under which git stores it, where no other digest is."""

    url: Address = Field(description="Where the file stands, at a pinned commit (SI).")
    git_blob_sha1: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")] = Field(
        description="The id of the file's blob in git, in hex digits (SI)."
    )


class Fetch(Section):
    mirror: FilePath | None = Field(
        description="A folder that already holds the files, for machines without a network, or "
        "null; nothing is downloaded then (ours)."
    )
    seed_tasks: RemoteFile = Field(description="The 175 seed tasks (paper III-A; SI).")
    user_oriented_instructions: RemoteFile = Field(
        description="The 252 user-oriented instructions (paper IX-E; SI)."
    )
    gpt3_instances: GitFile = Field(
        description="The 82,439 instances of 52,445 instructions that SI made with GPT-3; of the "
        "instructions figure 5 (paper IV-A; SI)."
    )
    instance_prompt: RemoteFile = Field(
        description="A Python module with the prompt of stage 3; the constant is read, the module "
        "never run (paper IX-D; SI)."
    )
    instance_prompt_constant: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_]+$")] = Field(
        description="The name of the constant that holds the prompt (SI)."
    )
    instance_prompt_sha256: Digest = Field(
        description="SHA-256 of the constant's text, in hex digits (ours)."
    )
    output_first_prompt_constant: Annotated[str, StringConstraints(pattern=r"^\w+$")] = Field(
        description="The name of the constant in the same module that holds the prompt of "
        "classification tasks (SI)."
    )
    output_first_prompt_sha256: Digest = Field(
        description="SHA-256 of that constant's text, in hex digits (ours)."
    )
    classification_prompt: RemoteFile = Field(
        description="A Python module with the prompt that asks whether an instruction is a "
        "classification task; the constant is read, the module never run (SI)."
    )
    classification_prompt_constant: Annotated[str, StringConstraints(pattern=r"^\w+$")] = Field(
        description="The name of the constant that holds that prompt (SI)."
    )
    classification_prompt_sha256: Digest = Field(
        description="SHA-256 of that constant's text, in hex digits (ours)."
    )
    superni_task_url: Annotated[str, StringConstraints(pattern=r"^https?://.*\{task\}")] = Field(
        description="Where a task of Super-NI stands, with {task} for its name "
        "(natural-instructions@55a36563)."
    )
    superni_digests: FilePath = Field(
        description="File with ids and digests of references of the 11,810 test instances (ours)."
    )
    superni_tasks: Annotated[Texts, Field(min_length=1)] | None = Field(
        description="Names of the test tasks to fetch; null fetches all 119 (paper III-B)."
    )
    parsers: dict[Archive, RemoteFile] = Field(
        description="By name, archives of parsers: a zip, or a wheel of a spaCy pipeline. Each "
        "comes to stand in results/fetch/parsers/ under its name (paper IV-A; SI)."
    )
    weights_sha256: dict[Repository, Digest] = Field(
        description="By organisation/name, SHA-256 of weights published as one .bin, in hex digits "
        "(the hub's record at that commit)."
    )
    timeout_s: Positive = Field(description="Seconds that one connection or read may take (ours).")
    attempts: Count = Field(
        description="Attempts without a new byte before a download is given up, 0.5, 1, 2, … "
        "seconds apart (ours)."
    )
