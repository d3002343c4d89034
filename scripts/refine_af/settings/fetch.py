"""The section of config.yaml that says what is fetched, from where, with which digests."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from refine_af.settings.fields import Count, Digest, Positive, Section, Text, Texts


class RemoteFile(Section):
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/\S*[^/\s]$")]
    sha256: Digest


class Fetch(Section):
    mirror: Text | None
    seed_tasks: RemoteFile
    user_oriented_instructions: RemoteFile
    instance_prompt: RemoteFile
    instance_prompt_constant: Annotated[str, StringConstraints(pattern=r"^\w+$")]
    instance_prompt_sha256: Digest
    superni_task_url: Annotated[str, StringConstraints(pattern=r"^https?://.*\{task\}")]
    superni_digests: Text
    superni_tasks: Annotated[Texts, Field(min_length=1)] | None
    weights_sha256: dict[Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")], Digest]
    timeout_s: Positive
    attempts: Count
