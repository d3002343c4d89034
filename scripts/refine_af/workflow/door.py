"""The files that config.yaml names, checked before any job runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import psutil

from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.models.checkpoints import check_backbone, check_chat, check_classifier, check_judge
from refine_af.models.parsers import check_parser
from refine_af.prompts.task_lists import demonstrations
from refine_af.prompts.templates import read_prompt
from refine_af.records.cells import BASE
from refine_af.records.human_tasks import (
    checked_by_rule,
    checked_seeds,
    read_seed_instances,
    read_seeds,
    read_user_instructions,
)
from refine_af.records.neighbours import read_references
from refine_af.rewards.equation_1 import check_judges, judges_of
from refine_af.rewards.own_code import homes, module_file
from refine_af.settings.experiment import Experiment
from refine_af.settings.instructions import Instructions
from refine_af.settings.reward import BUILT_IN, JUDGE_SLOTS
from refine_af.workflow.gpu_memory import check_memory
from refine_af.workflow.paths import checkpoint_folder, local_paths, prompt_paths

SAID = "config.yaml, "  # before the key of every fault
ON_THE_HUB = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def check_experiment(experiment: Experiment) -> None:
    """InputError, with the key, where the settings ask for what no stage can give."""
    try:
        check_judges(experiment.reward)
        _check_trackers(experiment)
        _check_ratings(experiment)
    except InputError as error:
        raise InputError(f"config.yaml, {error}") from None


def _check_trackers(experiment: Experiment) -> None:
    for name in experiment.watch.report_to:
        if find_spec(name) is None:
            raise InputError(
                f"watch.report_to: {name} is not installed; `pip install {name}`, or leave it out"
            )


def check_files(
    experiment: Experiment,
    located: Callable[[str], str],
    is_made: Callable[[str], bool],
    place_of: Callable[[str], str],
) -> None:
    """InputError, with the key and its file and line, where `check_experiment` finds a fault, or a
    file is not right.

    `located` tells where a path of config.yaml stands, and `is_made` whether a rule makes it: while
    such a file is not there, its check is left to the job that reads it. `place_of` tells in which
    file and line the key stands that a message begins with.
    """
    try:
        check_experiment(experiment)
        _check_paths(experiment, located, is_made)
        _check_contents(experiment, located)
        check_memory(experiment, located)
    except InputError as error:
        place = place_of(str(error).removeprefix(SAID))
        raise InputError(f"{error} ({place})" if place else str(error)) from None


def remove_made_folder(named: str | Path | None) -> None:
    """Remove the folder of --directory again, where Snakemake has made it for a typo just now."""
    if named is None:
        return
    folder = Path.cwd()
    began = psutil.Process().create_time()
    if not any(folder.iterdir()) and folder.stat().st_mtime >= began:
        os.chdir(folder.parent)
        folder.rmdir()


def _check_paths(
    experiment: Experiment, located: Callable[[str], str], is_made: Callable[[str], bool]
) -> None:
    _check_results(Path("results"))
    for key, path in local_paths(experiment):
        if set("{}") & set(path):
            raise InputError(f"config.yaml, {key}: {path}: Snakemake takes braces for wildcards")
        place = Path(located(path))
        if not place.exists() and not is_made(path):
            raise InputError(
                f"config.yaml, {key}: {path}: there is nothing at {place.resolve()}, "
                f"and no rule makes it{_way_out(experiment, key, path)}"
            )


def _check_results(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InputError(f"{folder.resolve()}: not a folder that can be written to")


def _way_out(experiment: Experiment, key: str, path: str) -> str:
    """What is likely meant by a path where there is nothing."""
    if path.startswith("results/checkpoints/") and experiment.fetch is None:
        return (
            ": fetch is null here, so that nothing comes from the hub. State fetch, as the "
            "project's config.yaml does, or name a local folder"
        )
    if key.startswith(("models.", "reward.")) and ON_THE_HUB.fullmatch(path):
        return f". A model of the hub is named with its commit: add @commit, as {path}@0123abc…"
    return ""


def _check_contents(experiment: Experiment, located: Callable[[str], str]) -> None:
    for key, path in prompt_paths(experiment):
        _check(key, located(path), READERS.get(key, _prompt({"definition", "input"})))
    for name, model in experiment.models.items():
        folder = located(checkpoint_folder(model.checkpoint))
        _check(f"models.{name}.checkpoint", folder, check_backbone)
        if model.chat:
            _check(f"models.{name}.chat", folder, check_chat)
    _check_scorer(experiment.reward.scorer)
    checked = SCORING.get(experiment.reward.scorer, check_judge)
    for key, judge in judges_of(experiment.reward).items():
        _check(f"reward.{key}", located(checkpoint_folder(judge)), checked)
    _check("data.seeds", located(experiment.data.seeds), _seeds(experiment.instructions))
    if experiment.sft.include_seeds:
        _check("data.seeds", located(experiment.data.seeds), read_seed_instances)
    instructions = located(experiment.data.user_instructions)
    _check("data.user_instructions", instructions, read_user_instructions)
    if checked_by_rule(Path(instructions)):
        _check("data.user_instructions", instructions, _check_rules)
    _check("data.superni", located(experiment.data.superni), _check_tasks)
    references = experiment.neighbours.references
    if references and not references.startswith("results/"):  # what is fetched has its digest
        _check("neighbours.references", located(references), read_references)
    if (asked := experiment.diversity) is not None:
        _check("diversity.parser", located(asked.parser), _parser(asked.backend))
    if experiment.fetch and experiment.fetch.mirror:
        _check("fetch.mirror", located(experiment.fetch.mirror), _check_mirror)


def _check_rules(path: Path) -> None:
    from refine_af.metrics.checkable import read_checkable  # imports numpy, for few experiments

    read_checkable(path)


def _check_tasks(folder: Path) -> None:
    if not (folder / "tasks.txt").is_file():
        raise InputError(f"{folder}: no folder of tasks: there is no tasks.txt in it")


def _check_mirror(folder: Path) -> None:
    if not folder.is_dir():
        raise InputError(f"{folder}: a mirror is a folder, and this is a file")
    if not any(folder.iterdir()):
        raise InputError(
            f"{folder}: an empty folder. It is to hold the files that are not to be downloaded; "
            "null downloads them"
        )


def _check_ratings(experiment: Experiment) -> None:
    """Whether people rate what the experiment makes."""
    page, sizes = experiment.ratings.page, list(experiment.sizes)
    for name in page.methods:
        if name != BASE and name not in experiment.methods:
            raise InputError(f"ratings.page.methods: {name!r} is none of the methods, nor base")
    if page.size is not None and page.size not in sizes:
        raise InputError(f"ratings.page.size: {page.size} is none of the sizes {sizes}")
    for model in experiment.ratings.files:
        if model not in experiment.models:
            raise InputError(f"ratings.files.{model}: there is no such model")


def _check_scorer(dotted: str) -> None:
    """Whether there is such a module; its own code runs in the jobs alone."""
    if dotted in BUILT_IN:
        return
    package = dotted.partition(".")[0]
    if not (module_file(dotted, homes()) or (package != "refine_af" and find_spec(package))):
        raise InputError(
            f"config.yaml, reward.scorer: {dotted}: there is no such module in the "
            "experiment's folder, the project's root or the environment"
        )


def _seeds(settings: Instructions) -> Callable[[Path], object]:
    return lambda path: checked_seeds(read_seeds(path), demonstrations(settings), path)


def _parser(backend: str) -> Callable[[Path], object]:
    return lambda path: check_parser(path, backend)


def _prompt(slots: set[str]) -> Callable[[Path], object]:
    return lambda path: read_prompt(path, slots)


def _check(key: str, place: str, read: Callable[[Path], object]) -> None:
    path = Path(place)
    if not path.exists():
        return
    try:
        read(path)
    except InputError as error:
        raise InputError(f"config.yaml, {key}: {error}") from None
    except OSError as error:
        raise InputError(f"config.yaml, {key}: {path}: {error.strerror}") from None


# What may be the model of a scorer that is built in.
SCORING: dict[str, Callable[[Path], object]] = {
    "likelihood": check_backbone,
    "sequence_classifier": check_classifier,
}
READERS: dict[str, Callable[[Path], object]] = {  # every other prompt file is one for Super-NI
    "prompts.instructions": _prompt({"tasks"}),
    "prompts.instances": _prompt({"instruction"}),
    "prompts.output_first": _prompt({"instruction"}),
    "prompts.classification": _prompt({"instruction"}),
    "prompts.sft": read_document,
    "prompts.users": read_document,
    "reward.llm_judge.prompt": _prompt(JUDGE_SLOTS),
}
