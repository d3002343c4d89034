"""Where a data set comes from, as far as the world may know: what its card tells."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from pydantic import Field

from refine_af.records.subsets import counting
from refine_af.rewards.equation_1 import judges_of
from refine_af.settings.checkpoints import HUB, LOCAL
from refine_af.settings.experiment import Experiment
from refine_af.settings.fields import Name, Section, Text
from refine_af.settings.instances import Instances
from refine_af.settings.instructions import Instructions
from refine_af.settings.ppo import Ppo
from refine_af.settings.reward import Reward
from refine_af.settings.servers import Server
from refine_af.settings.subsets import Subsets


class Source(Section):
    """What a release was made from: what it did, its name, and its licence where it is stated."""

    role: Text
    name: Text
    license: Text | None


class Publication(Section):
    """What a release tells of its run: its sources, and the settings that decide the data."""

    sources: tuple[Source, ...] = Field(strict=False)
    settings: dict[str, Any]


class Provenance(Section):
    """Where a data set comes from, as config.yaml states it: what its card tells."""

    model: Name
    checkpoint: Text
    chat: bool
    seeds: Text
    prompt: Text
    output_first: Text
    classification: Text
    instructions: Instructions
    ppo: Ppo
    reward: Reward
    instances: Instances
    subsets: Subsets


def provenance(experiment: Experiment, model: str) -> Provenance:
    """What the data sets of one of the models come from."""
    judges = {key: public_name(name) for key, name in judges_of(experiment.reward).items()}
    return Provenance(
        model=model,
        checkpoint=public_name(experiment.models[model].checkpoint),
        chat=experiment.models[model].chat,
        seeds=public_name(experiment.data.seeds),
        prompt=public_name(experiment.prompts.instances),
        output_first=public_name(experiment.prompts.output_first),
        classification=public_name(experiment.prompts.classification),
        instructions=experiment.instructions,
        ppo=experiment.ppo,
        reward=experiment.reward.model_copy(update=judges | _judge(experiment)),
        instances=experiment.instances,
        subsets=counting(experiment.subsets),
    )


def _judge(experiment: Experiment) -> dict[str, Any]:
    """The section of a judge behind a server, which is called by its model's name."""
    judge = experiment.reward.llm_judge
    if judge is None:
        return {}
    model = served_name(experiment.servers[judge.server])
    told = {"prompt": public_name(judge.prompt), "server": model}
    return {"llm_judge": judge.model_copy(update=told)}


def served_name(server: Server) -> str:
    """What a server calls its model, of a path its last part."""
    return public_name(server.model) if server.model.startswith(LOCAL) else server.model


def public_name(name: str) -> str:
    """A checkpoint's name on the hub, or a path's last part, as folders may tell of a person."""
    return name if HUB.fullmatch(name) else PurePath(name).name or name
