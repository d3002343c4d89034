"""What a rule does, said to a person: its stage, in the order of the flow, and its work."""

import re
from collections.abc import Mapping

STAGES = {
    "data": "the published data and checkpoints, fetched",
    "demo models": "the demo's corpus and tiny models",
    "instructions": "new instructions, bootstrapped from the seeds",
    "PPO": "the generator, trained by PPO from automated feedback",
    "instances": "an input and an output for each instruction",
    "fine-tuning": "models fine-tuned on the triplets",
    "evaluation": "answers to tasks never trained on, scored",
    "ratings": "pages for raters, and what raters sent back",
    "report": "the report",
    "release": "the data as one data set for the hub",
    "other": "everything else",
}

RULES = {
    "fetch_file": ("data", "fetching a published file"),
    "fetch_instance_prompt": ("data", "fetching the instance prompt"),
    "fetch_classification_prompts": ("data", "fetching the prompts of classification tasks"),
    "fetch_superni": ("data", "fetching the Super-NI test tasks"),
    "fetch_parser": ("data", "fetching a parser"),
    "fetch_checkpoint": ("data", "fetching a checkpoint"),
    "demo_data": ("demo models", "writing the demo's seeds and held-out tasks"),
    "demo_tokenizer": ("demo models", "training the tokenizer"),
    "demo_backbone": ("demo models", "training the tiny language model"),
    "demo_reward_model": ("demo models", "training the tiny reward model"),
    "demo_evaluator": ("demo models", "training the tiny evaluator"),
    "demo_parser": ("demo models", "training the tiny parser"),
    "demo_truth": ("demo models", "checking answers against exact solvers"),
    "instructions_segment": ("instructions", "writing new instructions"),
    "instructions": ("instructions", "joining the pool of instructions"),
    "neighbours": ("instructions", "looking for the nearest seeds and references"),
    "diversity_parses": ("instructions", "parsing the instructions"),
    "diversity": ("instructions", "looking for their verbs and nouns"),
    "ppo": ("PPO", "training by PPO"),
    "instances_kinds": ("instances", "asking which are classification tasks"),
    "instances_replies": ("instances", "writing inputs and outputs"),
    "instances_segment": ("instances", "reading and scoring inputs and outputs"),
    "instances_counted": ("instances", "counting the triplets: are there enough"),
    "instances_first": ("instances", "taking a segment's first triplets"),
    "instances": ("instances", "joining the triplets"),
    "exports_method": ("instances", "writing the data sets for others"),
    "browser_page": ("instances", "writing the page to browse the data on"),
    "overlap": ("instances", "looking for texts of the evaluation"),
    "sft": ("fine-tuning", "fine-tuning"),
    "superni_instances": ("evaluation", "choosing the test instances"),
    "superni_replies": ("evaluation", "answering the test instances"),
    "superni_predictions": ("evaluation", "joining the answers"),
    "superni": ("evaluation", "scoring the answers"),
    "users_predictions": ("evaluation", "answering the users' instructions"),
    "users": ("evaluation", "joining the answers to users"),
    "ratings_page": ("ratings", "writing the page for raters"),
    "ratings_summary": ("ratings", "summing up the ratings"),
    "checkable": ("evaluation", "counting the right answers"),
    "cost": ("report", "summing up what the jobs took"),
    "report": ("report", "writing the report"),
    "release": ("release", "writing the data set for the hub"),
    "forecast": ("other", "telling what the run will cost"),
    "calibrate": ("other", "measuring this machine"),
}


def stage_of(rule: str) -> str:
    """The key of STAGES that a rule counts under."""
    known = RULES.get(_of_one(rule))
    return known[0] if known else "other"


def work_of(rule: str, wildcards: Mapping[str, object]) -> str:
    """A job in words, such as `fine-tuning · tiny-llama · refine-af_240`."""
    known = RULES.get(_of_one(rule))
    doing = known[1] if known else rule
    named = [str(value).lstrip("_") for value in wildcards.values()]  # _r2 is a second replicate
    return " · ".join([doing, *filter(None, named)])


def _of_one(rule: str) -> str:
    """The name of several rules that share a stage's work, without their number."""
    return re.sub(r"_[0-9]+$", "", rule)
