"""What a release tells of its run: where the data come from, and by which settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refine_af.exports.provenance import Publication, Source, public_name, served_name
from refine_af.jobs.command_line import canonical
from refine_af.records.subsets import counting
from refine_af.rewards.equation_1 import judges_of
from refine_af.settings.checkpoints import HUB
from refine_af.settings.experiment import Experiment
from refine_af.workflow.judge_plan import judge_server
from refine_af.workflow.paths import local_paths

# The sections that decide the data; of fetch, what decides no byte is left out, as elsewhere.
SECTIONS = ["models", "sizes", "subsets", "methods", "data", "prompts", "fetch", "instructions"]
SECTIONS += ["ppo", "reward", "instances", "neighbours", "overlap", "diversity", "demo", "release"]
UNTOLD = {"fetch": {"mirror", "timeout_s", "attempts"}}


def told_by(experiment: Experiment) -> Callable[[Any], str]:
    """The publication as a job of the release is handed it."""
    text = canonical(publication(experiment))
    return lambda wildcards: text


def publication(experiment: Experiment) -> Publication:
    """The sources, with licences where config.yaml states them, and the settings.

    Of a path its last part alone is told: its folders may tell of a person.
    """
    licenses = experiment.release.licenses
    sources = tuple(
        Source(role=role, name=public_name(name), license=licenses.get(_called(name)))
        for role, name in _sources(experiment)
    )
    if server := judge_server(experiment):
        name = served_name(server)
        sources += (Source(role="scored: llm_judge", name=name, license=licenses.get(name)),)
    whole = experiment.model_dump(mode="json", include=set(SECTIONS), exclude=UNTOLD)
    whole["subsets"] = counting(experiment.subsets).model_dump(mode="json")
    private = {path for _, path in local_paths(experiment)} | _texts(whole["prompts"])
    settings = {name: _told(whole[name], private) for name in SECTIONS}
    settings["prompts"] |= {kind: f"prompts/{kind}.txt" for kind in prompts_of(experiment)}
    return Publication(sources=sources, settings=settings)


def prompts_of(experiment: Experiment) -> dict[str, str]:
    """The prompts that the data were written to, by kind: `prompts/<kind>.txt` of the release."""
    branch, prompts = experiment.instances.classification, experiment.prompts
    found = {"instructions": prompts.instructions, "instances": prompts.instances}
    if branch and branch.methods:
        found |= {"output_first": prompts.output_first, "classification": prompts.classification}
    return found


def _sources(experiment: Experiment) -> list[tuple[str, str]]:
    """What each source did, and what config.yaml calls it."""
    found = [("seed tasks", experiment.data.seeds)]
    found += [(f"wrote {name}", model.checkpoint) for name, model in experiment.models.items()]
    found += [(f"scored: {key}", name) for key, name in judges_of(experiment.reward).items()]
    found += [(f"prompt: {kind}", path) for kind, path in prompts_of(experiment).items()]
    if experiment.neighbours.references:
        found.append(("compared with", experiment.neighbours.references))
    if experiment.diversity:
        found.append(("parsed", experiment.diversity.parser))
    return found


def _called(name: str) -> str:
    """A source by its name under release.licenses: a hub checkpoint without its commit."""
    return name.partition("@")[0] if HUB.fullmatch(name) else name


def _texts(value: Any) -> set[str]:
    """Every text of a section, for a prompt that no stage reads is no path of the run's."""
    entries = value.values() if isinstance(value, dict) else ()
    return {value} if isinstance(value, str) else set().union(*map(_texts, entries))


def _told(value: Any, private: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _told(entry, private) for name, entry in value.items()}
    if isinstance(value, list):
        return [_told(entry, private) for entry in value]
    return public_name(value) if isinstance(value, str) and value in private else value
