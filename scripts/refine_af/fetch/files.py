"""What the method needs from outside: which files those are, and what is made of them."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
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


def parser_archive(name: str, settings: Fetch) -> Pinned:
    """The archive of a parser, whose publisher states no digest of it."""
    if name not in settings.parsers:
        known = ", ".join(settings.parsers) or "none"
        raise InputError(f"--name: no parser {shown(name)} in fetch.parsers; known are {known}")
    remote = settings.parsers[name]
    return Pinned(
        names_in_mirror(remote.url.rpartition("/")[2], remote.url),
        remote.url,
        remote.sha256,
        advice=". If you trust that file, its publisher having replaced it, state what was found "
        f"as fetch.parsers.{name}.sha256",
    )


@dataclass(frozen=True)
class PublishedPrompt:
    """A prompt that Self-Instruct keeps as a constant of a Python module.

    `sha256` is that of its text, which a mirror may hold by itself under one of the names
    `copies`; `ending` has the slot of an instruction, and follows the text in a prompt file.
    """

    key: str
    module: Pinned
    constant: str
    sha256: str
    copies: tuple[str, ...]
    ending: str

    @property
    def text(self) -> Pinned:
        """The text by itself, as a mirror may hold it."""
        return Pinned(self.copies, self.module.url, self.sha256)


def instance_prompt(settings: Fetch) -> PublishedPrompt:
    """The prompt of PPO and of stage 3 (self-instruct@0b26ccaa, generate_instances.py)."""
    constant = settings.instance_prompt_constant
    return PublishedPrompt(
        "instance_prompt",
        _module(settings.instance_prompt),
        constant,
        settings.instance_prompt_sha256,
        _copies(constant),
        " {instruction}\n",
    )


def output_first_prompt(settings: Fetch) -> PublishedPrompt:
    """The prompt of stage 3 for classification tasks (the same file)."""
    constant = settings.output_first_prompt_constant
    return PublishedPrompt(
        "output_first_prompt",
        _module(settings.instance_prompt),
        constant,
        settings.output_first_prompt_sha256,
        _copies(constant),
        " {instruction}\n",
    )


def classification_prompt(settings: Fetch) -> PublishedPrompt:
    """The prompt that asks whether an instruction is a classification task.

    Source: self-instruct@0b26ccaa, identify_clf_or_not.py.
    """
    constant = settings.classification_prompt_constant
    return PublishedPrompt(
        "classification_prompt",
        _module(settings.classification_prompt),
        constant,
        settings.classification_prompt_sha256,
        _copies(f"clf_task_{constant}"),
        " {instruction}\nIs it classification?",
    )


def _copies(name: str) -> tuple[str, ...]:
    """Under which names a mirror may hold the text of a prompt by itself."""
    return f"prompts/{name}.txt", f"{name}.txt"


def _module(remote: RemoteFile) -> Pinned:
    name = remote.url.rpartition("/")[2]
    return Pinned(names_in_mirror(name, remote.url), remote.url, remote.sha256)


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


def prompt_source(prompt: PublishedPrompt, settings: Fetch, downloads: Path) -> str:
    """A prompt's text, from a mirror's copy of it or from the upstream module."""
    if settings.mirror is not None and in_mirror(prompt.text, mirror_folder(settings.mirror)):
        return gathered([prompt.text], settings, downloads)[0].read_text(encoding="utf-8")
    [module] = gathered([prompt.module], settings, downloads)
    return constant_of(module.read_bytes(), prompt.constant, str(module))


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


def prompt_with_slot(text: str, prompt: PublishedPrompt) -> str:
    """The prompt file: `text`, then what follows it upstream, with the slot of an instruction.

    InputError where `text` has another digest, or braces, which a prompt file reserves for slots.
    """
    found = sha256_of_text(text)
    if found != prompt.sha256:
        raise InputError(
            f"fetch.{prompt.key}_sha256: {prompt.sha256} expected, "
            f"but the text of {prompt.constant} has {found}"
        )
    brace = next((sign for sign in text if sign in "{}"), None)
    if brace is not None:
        line = text[: text.index(brace)].count("\n") + 1
        raise InputError(
            f"{prompt.constant}: line {line} of the text holds {brace!r}, which marks a slot"
        )
    return text + prompt.ending
