"""The prompts of the stages that generate, as each asks them, for the benchmarks."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from ways import DEMONSTRATIONS, ROOT, few_shot, made_up, mirrored_prompt

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.engines.greedy import greedy
from refine_af.engines.replies import Group, Reply
from refine_af.files.documents import read_document
from refine_af.instances.rounds import requests_of
from refine_af.instructions.bootstrapping import bootstrap_round
from refine_af.instructions.pool import Pool
from refine_af.instructions.rounds import RoundLog
from refine_af.prompts.task_lists import decoding
from refine_af.prompts.templates import Prompt, read_prompt
from refine_af.records.evaluation import EvaluationInstance
from refine_af.records.human_tasks import Seed, read_seeds
from refine_af.records.instructions import Instruction
from refine_af.settings.experiment import Experiment
from refine_af.settings.instructions import Instructions
from refine_af.settings.sampling import Sampling
from refine_af.superni.tasks import task_instances
from refine_af.superni.zero_shot import task_prompts

GREEDY = {"temperature": 0.0, "top_p": 1.0}


@dataclass(frozen=True)
class Source:
    """What the stages' prompts are made of."""

    seeds: Sequence[Seed]
    instances: Prompt
    instructions: Sequence[Instruction]
    evaluation: Sequence[EvaluationInstance]


@dataclass(frozen=True)
class Work:
    """A round of a stage's prompts, and how their replies are drawn."""

    name: str
    groups: Sequence[Group]
    seeds: Sequence[int]
    sampling: Sampling

    @property
    def prompts(self) -> list[str]:
        return [group.prefix + tail for group in self.groups for tail in group.tails]


class Asked:
    """Stands where stage 1 keeps its log: takes the prompts of a round."""

    def replies(self, _: int, groups: Sequence[Group], seeds: Sequence[int]) -> list[Reply]:
        self.groups, self.seeds = groups, seeds
        return [Reply("", "eos", 0, 0)] * len(seeds)


def works_of(
    experiment: Experiment, source: Source, tokenizer: Any, prompts: int, tokens: int
) -> list[Work]:
    """Stage 1 as it draws, and a quarter of it greedily; stage 3; Super-NI."""
    template = read_prompt(ROOT / experiment.prompts.instructions, {"tasks"})
    few = max(2, prompts // 4)
    works = [
        _stage_1("1, drawn", experiment.instructions, source, template, prompts, tokens, {}),
        _stage_1("1, greedy", experiment.instructions, source, template, few, tokens, GREEDY),
    ]
    stage_3 = experiment.instances
    tails, seeds = requests_of(source.instructions[:prompts], stage_3, source.instances)
    shorter = stage_3.sampling.model_copy(update={"max_new_tokens": tokens // 2})
    works.append(Work("3", [Group(source.instances.prefix, tails)], seeds, shorter))
    zero_shot = read_prompt(ROOT / experiment.prompts.superni, {"definition", "input"})
    tasks = task_prompts(source.evaluation, zero_shot, experiment.superni, tokenizer)
    groups = [task.group for task in tasks]
    count = sum(len(group.tails) for group in groups)
    return [*works, Work("Super-NI", groups, [0] * count, greedy(tokens // 4, ()))]


def _stage_1(
    name: str,
    settings: Instructions,
    source: Source,
    template: Prompt,
    prompts: int,
    tokens: int,
    changes: dict[str, float],
) -> Work:
    sampling = settings.sampling.model_copy(update={"max_new_tokens": tokens} | changes)
    settings = settings.model_copy(update={"prompts_per_round": prompts, "sampling": sampling})
    asked, pool = Asked(), Pool(settings, source.seeds, [])
    number = len(changes)  # another round, since a server keeps the prompts that it has read
    bootstrap_round(settings, pool, number, template, cast(RoundLog, asked))
    return Work(name, asked.groups, asked.seeds, decoding(settings))


def mirrored(experiment: Experiment, mirror: Path, prompts: int) -> Source:
    """Self-Instruct's seeds and instance prompt, and whole task files of Super-NI."""
    assert experiment.fetch is not None
    fetch = experiment.fetch.model_copy(update={"mirror": str(mirror)})
    seeds = read_seeds(mirror / "seed_tasks.jsonl")
    rows = [
        replace(row, instruction=seed.instruction)
        for row, seed in zip(made_up(len(seeds)), seeds, strict=True)
    ]
    files = sorted((mirror / "superni" / "tasks").glob("task*.json"))
    evaluation = [
        row
        for file in files
        for row in task_instances(
            read_document(file), task=file.stem, limit=prompts // len(files), path=file
        )
    ]
    with tempfile.TemporaryDirectory() as folder:
        return Source(seeds, mirrored_prompt(fetch, Path(folder)), rows, evaluation)


def made_up_source(tokenizer: Any, prompts: int) -> Source:
    """Two tasks of Super-NI and two dozen seeds, all made up; the rest as long as is asked."""
    seeds = [Seed(f"seed_{k}", row.instruction) for k, row in enumerate(made_up(24))]
    evaluation = [
        EvaluationInstance(f"{task}-{k}", f"t{task}", "c", text, f"{given} {k}", ["x"])
        for task, (text, given, _) in enumerate(DEMONSTRATIONS[:2])
        for k in range(prompts // 2)
    ]
    return Source(seeds, few_shot(tokenizer, 60), made_up(prompts), evaluation)
