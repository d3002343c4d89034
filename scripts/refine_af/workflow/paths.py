"""The files and folders that config.yaml names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from refine_af.exports.provenance import public_name
from refine_af.records.origins import Origin, Origins
from refine_af.rewards.equation_1 import judges_of
from refine_af.settings.checkpoints import HUB
from refine_af.settings.experiment import Experiment
from refine_af.settings.reward import BUILT_IN


def checkpoint_folder(checkpoint: str) -> str:
    """Where a checkpoint's files stand: a local folder as given, a hub one where fetch lands it."""
    hub = HUB.fullmatch(checkpoint)
    if hub is None:
        return checkpoint
    name = hub["repository"].replace("/", "--")
    return f"results/checkpoints/{name}--{hub['revision']}"


def hub_name(folder: str, experiment: Experiment) -> str:
    """The organisation/name@revision whose files belong in a folder of results/checkpoints/."""
    return next(name for name in _checkpoints(experiment) if checkpoint_folder(name) == folder)


def hub_folders(experiment: Experiment) -> list[str]:
    """The names of the folders of results/checkpoints/ that hub checkpoints land in."""
    folders = [checkpoint_folder(name) for name in _checkpoints(experiment) if HUB.fullmatch(name)]
    return [folder.rpartition("/")[2] for folder in dict.fromkeys(folders)]


def role_of(checkpoint: str, experiment: Experiment) -> str:
    """What a checkpoint is fetched for: `judge` where its weights may be pickles."""
    if experiment.reward.scorer in BUILT_IN:
        return "backbone"
    models = [model.checkpoint for model in experiment.models.values()]
    return "backbone" if checkpoint in models else "judge"


def _checkpoints(experiment: Experiment) -> list[str]:
    """Every checkpoint that config.yaml names, as it names it."""
    named = [model.checkpoint for model in experiment.models.values()]
    return [*named, *judges_of(experiment.reward).values()]


def origins(experiment: Experiment, located: Callable[[str], str], files: Sequence[str]) -> Origins:
    """What a run begins from: the `files` that configure it, and each file that these name, by key.

    `located` tells where a path of config.yaml leads.
    """
    own = [Origin(what="configuration", name=public_name(path), path=path) for path in files]
    data = experiment.data.model_dump()
    named = [(f"data.{key}", path) for key, path in data.items()]
    named += prompt_paths(experiment)
    named += [(f"models.{key}.checkpoint", m.checkpoint) for key, m in experiment.models.items()]
    named += [(f"reward.{key}", name) for key, name in judges_of(experiment.reward).items()]
    if experiment.neighbours.references:
        named.append(("neighbours.references", experiment.neighbours.references))
    if experiment.diversity:
        named.append(("diversity.parser", experiment.diversity.parser))
    return Origins(
        entries=(
            *own,
            *(
                Origin(
                    what=key,
                    name=public_name(name),
                    path=None if HUB.fullmatch(name) else located(name),
                )
                for key, name in named
            ),
        )
    )


def prompt_paths(experiment: Experiment) -> list[tuple[str, str]]:
    """Each prompt file that config.yaml names and a stage reads, with its key."""
    prompts, branch = experiment.prompts, experiment.instances.classification
    unread = set() if branch and branch.methods else {"output_first", "classification"}
    files = prompts.model_dump(exclude={"baselines", *unread})
    files |= {f"baselines.{name}": path for name, path in prompts.baselines.items()}
    found = [(f"prompts.{key}", path) for key, path in files.items()]
    judge = experiment.reward.llm_judge
    return [*found, ("reward.llm_judge.prompt", judge.prompt)] if judge else found


def local_paths(experiment: Experiment) -> list[tuple[str, str]]:
    """Each file and folder that config.yaml names, with its key."""
    paths = [("data.seeds", experiment.data.seeds), ("data.superni", experiment.data.superni)]
    paths.append(("data.user_instructions", experiment.data.user_instructions))
    if experiment.neighbours.references:
        paths.append(("neighbours.references", experiment.neighbours.references))
    paths += prompt_paths(experiment)
    if experiment.diversity:
        paths.append(("diversity.parser", experiment.diversity.parser))
    for model, files in experiment.ratings.files.items():
        paths += [(f"ratings.files.{model}", path) for path in files]
    if experiment.fetch:
        paths.append(("fetch.superni_digests", experiment.fetch.superni_digests))
        if experiment.fetch.mirror:
            paths.append(("fetch.mirror", experiment.fetch.mirror))
    checkpoints = {
        f"models.{name}.checkpoint": m.checkpoint for name, m in experiment.models.items()
    }
    judges = judges_of(experiment.reward)
    checkpoints |= {f"reward.{key}": checkpoint for key, checkpoint in judges.items()}
    paths += [(key, checkpoint_folder(name)) for key, name in checkpoints.items()]
    return paths
