"""Fetch what the method needs from outside: checked by digest, complete or not at all.

Each file comes from the folder that `fetch.mirror` names, or, where that is null, from its pinned
address. Partial downloads are kept and continued.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.fetch import files
from refine_af.fetch.archives import unpack_parser
from refine_af.fetch.checkpoint_files import hub_checkpoint
from refine_af.fetch.local_checkpoints import (
    cached_checkpoint,
    copy_checkpoint,
    how_to_mirror,
    mirrored_checkpoint,
)
from refine_af.fetch.pinned import Pinned
from refine_af.fetch.superni_tasks import read_task_digests, select_tasks
from refine_af.files.landing import whole_file, whole_folder
from refine_af.jobs.command_line import run
from refine_af.settings.fetch import Fetch


def file(*, settings: Fetch, name: str, downloads: Path, file: Path) -> None:
    """One file: seed_tasks, user_oriented_instructions or gpt3_instances."""
    wanted = [files.named_file(name, settings)]
    [found] = files.gathered(wanted, settings, downloads)
    with whole_file(file) as aside:
        shutil.copyfile(found, aside)
    remove_downloads(wanted, downloads)


def instance_prompt(*, settings: Fetch, downloads: Path, prompt: Path) -> None:
    """The instance prompt of Self-Instruct, with the slot of an instruction at its end."""
    land_prompt(files.instance_prompt(settings), settings, downloads, prompt)


def classification_prompts(
    *, settings: Fetch, downloads: Path, output_first: Path, classification: Path
) -> None:
    """Self-Instruct's two prompts for classification tasks, with the slot of an instruction."""
    land_prompt(files.output_first_prompt(settings), settings, downloads, output_first)
    land_prompt(files.classification_prompt(settings), settings, downloads, classification)


def land_prompt(
    wanted: files.PublishedPrompt, settings: Fetch, downloads: Path, prompt: Path
) -> None:
    """Write one prompt file, read out of the module that holds it."""
    text = files.prompt_with_slot(files.prompt_source(wanted, settings, downloads), wanted)
    with whole_file(prompt) as aside:
        aside.write_text(text, encoding="utf-8")
    remove_downloads([wanted.module], downloads)


def superni(*, settings: Fetch, digests: Path, downloads: Path, tasks: Path) -> None:
    """The Super-NI test tasks: a file each as published, and tasks.txt with their names."""
    chosen = select_tasks(read_task_digests(digests), settings.superni_tasks, digests)
    wanted = [files.task_file(task, settings) for task in chosen]
    found = files.gathered(wanted, settings, downloads)
    with whole_folder(tasks) as aside:
        names = "".join(f"{task.task_id}\n" for task in chosen)
        (aside / "tasks.txt").write_text(names, encoding="utf-8")
        for task, path in zip(chosen, found, strict=True):
            shutil.copyfile(path, aside / f"{task.task_id}.json")
    remove_downloads(wanted, downloads)


def parser(*, settings: Fetch, name: str, downloads: Path, folder: Path) -> None:
    """A parser of English, out of the archive that its publisher offers."""
    wanted = [files.parser_archive(name, settings)]
    [found] = files.gathered(wanted, settings, downloads)
    with whole_folder(folder) as aside:
        unpack_parser(found, aside)
    remove_downloads(wanted, downloads)


def checkpoint(
    *, settings: Fetch, checkpoint: str, role: str, downloads: Path, folder: Path
) -> None:
    """A checkpoint of the hub at a pinned commit: configuration, tokenizer and weights.

    `role` is backbone or judge: only a judge's weights may be pickles, and a backbone's are
    refused before they are copied or downloaded. It comes from the mirror where one is set,
    otherwise from the hub, or, where HF_HUB_OFFLINE is set, from the cache that the hub's client
    keeps on this machine.
    """
    wanted = hub_checkpoint(checkpoint)
    if role not in ("backbone", "judge"):
        raise InputError(f"--role: neither backbone nor judge: {shown(role)}")
    pickles = role == "judge"
    if settings.mirror is not None:
        source = mirrored_checkpoint(wanted, settings, settings.mirror)
        copy_checkpoint(source, wanted, settings, folder, pickles=pickles)
        return
    from huggingface_hub.constants import HF_HUB_CACHE, is_offline_mode

    if is_offline_mode():
        cached = cached_checkpoint(wanted, Path(HF_HUB_CACHE))
        if cached is None:
            raise InputError(
                f"{wanted}: HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network, and the "
                f"cache {HF_HUB_CACHE} does not hold it. {how_to_mirror(wanted, settings)}"
            )
        copy_checkpoint(cached, wanted, settings, folder, pickles=pickles)
        return
    from refine_af.fetch.hub import download_checkpoint

    download_checkpoint(wanted, settings, downloads, folder, pickles=pickles)


def remove_downloads(landed: Sequence[Pinned], downloads: Path) -> None:
    """Remove what has landed elsewhere by now."""
    for wanted in landed:
        (downloads / wanted.name).unlink(missing_ok=True)


if __name__ == "__main__":
    run(file, instance_prompt, classification_prompts, superni, parser, checkpoint)
