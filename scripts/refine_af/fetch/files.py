"""What the method needs from outside: which files those are, and what is made of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.fetch.pinned import (
    Pinned,
    git_blob_of,
    in_mirror,
    mirror_folder,
    mirrored,
    names_in_mirror,
)
from refine_af.fetch.superni_tasks import TaskDigest, references_digest
from refine_af.files.digests import sha256_of_text
from refine_af.settings.fetch import Fetch, GitFile, RemoteFile

FILES = ("seed_tasks", "user_oriented_instructions", "gpt3_instances")


def named_file(name: str, settings: Fetch) -> Pinned:
    """One of the files of tasks and instances that Self-Instruct's repository holds."""
    if name not in FILES:
        raise InputError(f"--name: no file {shown(name)}; known are {', '.join(FILES)}")
    remote: RemoteFile | GitFile = getattr(settings, name)
    names = names_in_mirror(f"{name}.jsonl", remote.url)
    if isinstance(remote, GitFile):
        what = "git blob sha1"
        return Pinned(names, remote.url, remote.git_blob_sha1, measure=git_blob_of, what=what)
    return Pinned(names, remote.url, remote.sha256)


def prompt_module(settings: Fetch) -> Pinned:
    """The Python module that holds the instance prompt."""
    remote = settings.instance_prompt
    name = remote.url.rpartition("/")[2]
    return Pinned(names_in_mirror(name, remote.url), remote.url, remote.sha256)


def prompt_text(settings: Fetch) -> Pinned:
    """The instance prompt by itself, as a mirror may hold it."""
    constant = settings.instance_prompt_constant
    return Pinned(
        (f"prompts/{constant}.txt", f"{constant}.txt"),
        settings.instance_prompt.url,
        settings.instance_prompt_sha256,
    )


def task_file(task: TaskDigest, settings: Fetch) -> Pinned:
    """A Super-NI task's file; its digest is that of its official ids and references."""
    url = settings.superni_task_url.replace("{task}", task.task_id)
    return Pinned(
        names_in_mirror(f"superni/tasks/{task.task_id}.json", url),
        url,
        task.sha256,
        measure=references_digest,
        what="sha256 of its references",
    )


def gathered(files: Sequence[Pinned], settings: Fetch, downloads: Path) -> list[Path]:
    """Where each of `files` stands, digest checked: in the mirror if one is set, or in `downloads`.

    InputError lists every file that is lacking, with its address, digest and name in a mirror.
    """
    if settings.mirror is not None:
        return mirrored(files, settings.mirror)
    from refine_af.fetch.downloads import download

    return download(files, downloads, attempts=settings.attempts, timeout_s=settings.timeout_s)


def prompt_source(settings: Fetch, downloads: Path) -> str:
    """The text of the instance prompt, from a mirror's copy of it or from the upstream module."""
    text = prompt_text(settings)
    if settings.mirror is not None and in_mirror(text, mirror_folder(settings.mirror)):
        return gathered([text], settings, downloads)[0].read_text(encoding="utf-8")
    [module] = gathered([prompt_module(settings)], settings, downloads)
    return constant_of(module.read_bytes(), settings.instance_prompt_constant, str(module))


def constant_of(source: bytes, name: str, where: str) -> str:
    """The text that a Python module assigns to `name` at its top; the module is never executed.

    InputError where it is not Python, or does not assign one plain text once.
    """
    try:
        module = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(f"{where}: not Python: {error}") from None
    values = []
    for node in module.body:
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            values.append(node.value)
    if len(values) != 1:
        raise InputError(f"{where}: assigns {name} {len(values)} times, not once")
    value = values[0]
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        raise InputError(f"{where}: {name} is no plain text")
    return value.value


def prompt_with_slot(text: str, settings: Fetch) -> str:
    """The prompt file of PPO and of instance generation: `text`, then the slot of an instruction.

    Source: self-instruct@0b26ccaa, generate_instances.py, where the instruction follows the
    constant after a space and ends in a newline. InputError where `text` has another digest, or
    braces, which a prompt file reserves for slots.
    """
    name = settings.instance_prompt_constant
    found = sha256_of_text(text)
    if found != settings.instance_prompt_sha256:
        raise InputError(
            f"fetch.instance_prompt_sha256: {settings.instance_prompt_sha256} expected, "
            f"but the text of {name} has {found}"
        )
    brace = next((sign for sign in text if sign in "{}"), None)
    if brace is not None:
        line = text[: text.index(brace)].count("\n") + 1
        raise InputError(f"{name}: line {line} of the text holds {brace!r}, which marks a slot")
    return text + " {instruction}\n"
