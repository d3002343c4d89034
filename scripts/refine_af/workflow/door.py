"""The files that config.yaml names, looked into before any job runs."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.models.checkpoints import check_checkpoint
from refine_af.prompts.templates import read_prompt
from refine_af.records.human_tasks import checked_seeds, read_seeds, read_user_instructions
from refine_af.rewards.own_code import homes, module_file
from refine_af.settings.experiment import Experiment
from refine_af.settings.instructions import Instructions
from refine_af.workflow.paths import checkpoint_folder, local_paths

EVALUATED = {"definition", "input"}


def check_files(
    experiment: Experiment, located: Callable[[str], str], is_made: Callable[[str], bool]
) -> None:
    """InputError, with the key, at the first file that cannot be what it must be.

    `located` tells where a path of config.yaml stands, and `is_made` whether a rule makes it: such
    a file, as long as it is not there, is left to the job that reads it.
    """
    _check_results(Path("results"))
    for key, path in local_paths(experiment):
        if set("{}") & set(path):
            raise InputError(f"config.yaml, {key}: {path}: Snakemake takes braces for wildcards")
        place = Path(located(path))
        if not place.exists() and not is_made(path):
            raise InputError(
                f"config.yaml, {key}: {path}: there is nothing at {place.resolve()}, "
                "and no rule makes it"
            )
    _check_contents(experiment, located)


def _check_results(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and os.access(folder, os.W_OK)):
        raise InputError(f"{folder.resolve()}: not a folder that can be written to")


def _check_contents(experiment: Experiment, located: Callable[[str], str]) -> None:
    prompts, superni = experiment.prompts, experiment.superni
    _check("prompts.instructions", located(prompts.instructions), _prompt({"tasks"}))
    _check("prompts.instances", located(prompts.instances), _prompt({"instruction"}))
    _check("prompts.sft", located(prompts.sft), read_document)
    _check("prompts.users", located(prompts.users), read_document)
    _check("superni.prompt", located(superni.prompt), _prompt(EVALUATED))
    for name, baseline in superni.baselines.items():
        key = f"superni.baselines.{name}.prompt"
        _check(key, located(baseline.prompt), _prompt(EVALUATED))
    for name, model in experiment.models.items():
        folder = located(checkpoint_folder(model.checkpoint))
        _check(f"models.{name}.checkpoint", folder, check_checkpoint)
    _check_scorer(experiment.ppo.reward.scorer)
    for key, judge in experiment.ppo.reward.judges.items():
        _check(f"ppo.reward.{key}", located(checkpoint_folder(judge)), check_checkpoint)
    _check("data.seeds", located(experiment.data.seeds), _seeds(experiment.instructions))
    asked = located(experiment.data.user_instructions)
    _check("data.user_instructions", asked, read_user_instructions)


def _check_scorer(dotted: str) -> None:
    """Whether there is such a module; its own code runs in the jobs alone."""
    if not (module_file(dotted, homes()) or find_spec(dotted.partition(".")[0])):
        raise InputError(
            f"config.yaml, ppo.reward.scorer: {dotted}: there is no such module in the "
            "experiment's folder, the project's root or the environment"
        )


def _seeds(settings: Instructions) -> Callable[[Path], object]:
    return lambda path: checked_seeds(read_seeds(path), settings, path)


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
