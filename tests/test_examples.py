"""Each experiment in examples/ is planned to rows, and its own files are what the stages read."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from refine_af.prompts.completions import judged
from refine_af.prompts.task_lists import refusal, task_list
from refine_af.prompts.templates import read_prompt
from refine_af.records.human_tasks import read_seed_instances, read_seeds
from refine_af.settings.experiment import Experiment
from refine_af.workflow.configuration import read_configuration, read_experiment
from tiny import ROOT
from workflow import plan

FOLDERS = sorted(path.parent for path in ROOT.glob("examples/*/config.yaml"))
SEEDS = {"own-domain": 30, "own-domain-small": 30, "own-language": 14}

# One model, its pool in one segment, rows by one method; nothing but the checkpoint is fetched.
OWN = {"fetch_checkpoint": 1, "instructions_segment": 2, "instructions": 1, "neighbours": 1}
OWN |= {"ppo": 1, "instances_replies_0": 2, "instances_segment": 2, "instances_counted": 1}
OWN |= {"instances": 1, "release_data": 1}
# Those of which there is one where a segment is to hold all rows.
SEGMENTS = ("instructions_segment", "instances_replies_0", "instances_segment")
# By the paper's judges and seeds, and with its parser and references.
SERVER = {"fetch_checkpoint": 3, "fetch_file": 2, "fetch_instance_prompt": 1, "fetch_parser": 1}
SERVER |= {"instructions_segment": 1, "instructions": 1, "neighbours": 1, "diversity_parses": 1}
SERVER |= {"diversity": 1, "ppo": 1, "instances_replies_0": 1, "instances_segment": 1}
SERVER |= {"instances": 1, "release_data": 1}
# The laptop's.
OWN_SERVER = {"fetch_checkpoint": 1, "fetch_file": 1, "fetch_instance_prompt": 1}
OWN_SERVER |= {"instructions_segment": 1, "instructions": 1, "neighbours": 1, "ppo": 1}
OWN_SERVER |= {"instances_replies_0": 2, "instances_segment": 2, "instances": 2, "release_data": 1}
PAPER = {"fetch_checkpoint": 5, "fetch_file": 2, "fetch_instance_prompt": 1, "fetch_parser": 1}
PAPER |= {"instructions_segment": 9, "instructions": 3, "neighbours": 3, "diversity_parses": 9}
PAPER |= {"diversity": 3, "ppo": 3, "instances_replies_0": 18, "instances_segment": 18}
PAPER |= {"instances": 6, "release_data": 1}
BRANCH = {"fetch_classification_prompts": 1, "instances_kinds": 9}
PLANS = {
    "": PAPER,
    "examples/own-domain": OWN,
    "examples/own-domain-small": OWN | dict.fromkeys(SEGMENTS, 1),
    "examples/own-language": OWN,
    "examples/own-server": OWN_SERVER,
    "examples/self-instruct": PAPER | BRANCH,
    "examples/server": SERVER,
}


def experiment(name: str) -> Experiment:
    return read_experiment(read_configuration(ROOT / "examples" / name / "config.yaml"))


def test_every_example_has_its_plan_and_its_place_in_the_how_to() -> None:
    names = {path.relative_to(ROOT).as_posix() for path in FOLDERS}
    assert names == PLANS.keys() - {""}
    text = (ROOT / "docs" / "how-to.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}/`" not in text] == []


@pytest.mark.parametrize("name", PLANS)
def test_data_needs_neither_evaluation_nor_raters_nor_their_downloads(name: str) -> None:
    """Of what is fetched by file, the seeds and the references alone; no task of Super-NI."""
    assert plan("--directory", ROOT / name, "data") == Counter(PLANS[name])


def test_the_whole_grid_by_self_instructs_rules_is_planned() -> None:
    """The rest of the paper's, as tests/test_workflow.py has it, beside what `data` plans."""
    rest = {"sft": 18, "superni_predictions": 21, "overlap": 18, "report": 1, "release": 1}
    planned = plan("--directory", ROOT / "examples" / "self-instruct")
    assert {rule: planned[rule] for rule in rest} == rest
    assert {rule: planned[rule] for rule in BRANCH} == BRANCH


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_tasks_that_stage_1_would_keep(name: str) -> None:
    settings = experiment(name)
    path = ROOT / settings.data.seeds
    seeds = read_seeds(path)
    assert len(seeds) == SEEDS[name] == len({seed.id for seed in seeds})
    told = {seed.id: refusal(seed.instruction, settings.instructions.filter) for seed in seeds}
    assert [seed for seed, why in told.items() if why] == []
    instances = read_seed_instances(path)
    assert len(instances) >= len(seeds) and all(row.output for row in instances)


@pytest.mark.parametrize("name", SEEDS)
def test_the_demonstrations_are_read_as_the_replies_will_be(name: str) -> None:
    settings = experiment(name)
    shown = task_list(["a", "b"], settings.instructions.numbering)
    filled = read_prompt(ROOT / settings.prompts.instructions, {"tasks"}).fill(tasks=shown)
    assert f"\n{shown}\n" in f"{filled}\n", "the list stands on lines of its own"
    chat = any(model.chat for model in settings.models.values())
    assert filled.endswith(shown) != chat, "a chat model is told after it what to do"
    prompt = read_prompt(ROOT / settings.prompts.instances, {"instruction"})
    label = "Aufgabe:" if name == "own-language" else "Task:"
    assert label in settings.instances.sampling.stop and label in settings.ppo.sampling.stop
    _, *tasks = re.split(rf"\n{label} ", prompt.fill(instruction="x"))
    assert re.match(r"x\b", tasks.pop()) and len(tasks) > 5
    seeds = {seed.instruction for seed in read_seeds(ROOT / settings.data.seeds)}
    for text in tasks:
        asked, _, reply = text.partition("\n")
        ((pair, why),) = judged(reply, truncated=False)
        assert why is None and pair.output and asked not in seeds
        assert ("Input:" in reply) == bool(pair.input)


def test_what_a_licence_is_stated_of_is_what_the_example_uses() -> None:
    for folder in FOLDERS:
        own = [
            name for name in experiment(folder.name).release.licenses if name.startswith("examples")
        ]
        assert all(Path(ROOT, name).is_file() for name in own)
