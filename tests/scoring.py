"""What tests of the scorers that are built in share: stages 2 and 3 on tiny files, and company."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

from policies import COMPUTE, SETTINGS, WATCH, ppo_settings
from refine_af.files.rows import read_records, write_records
from refine_af.instances.replies import AskedReply
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.rewards.scorer import Triplet
from refine_af.settings.reward import Reward
from tiny import demo_config

ASKED = ["Sort.", "Say it.", "Name one.", "Add 1."]
RunScript = Callable[..., CompletedProcess[str]]
Scores = list[dict[str, float]]


def flags(given: dict[str, Any]) -> list[str]:
    """A stage's keyword-only parameters as its command line has them."""
    found = []
    for name, value in given.items():
        values = [] if value is None else value if isinstance(value, list) else [value]
        texts = [json.dumps(entry) if isinstance(entry, dict) else str(entry) for entry in values]
        found += [f"--{name.replace('_', '-')}", *texts]
    return found


def write_pool(folder: Path) -> Path:
    rows = [
        Instruction(f"i{n:06}", text, 1, 0, [], "", 0.0, "", 0.0, 9, 9)
        for n, text in enumerate(ASKED)
    ]
    write_records(folder / "instructions.jsonl", rows)
    return folder


def trained(
    run_script: RunScript, reward: Reward, model: Path | None, world: Path, out: Path, **more: Any
) -> list[dict[str, Any]]:
    """The samples of one step of stage 2, by its command line."""
    sampling = SETTINGS["sampling"] | {"temperature": 0.7, "stop": ["Do"]}
    settings = ppo_settings(steps=1, sampling=sampling, samples_every=1)
    given = {
        "settings": settings.model_dump(mode="json"),
        "reward": reward.model_dump(mode="json"),
        "watch": WATCH | {"least_parsed": 0.0},
        "compute": COMPUTE,
        "chat": "false",
        "backbone": world / "llama",
        "reward_model": model,
        "evaluator": None,
        "judge_prompt": None,
        "judge_server": None,
        "report_to": [],
        "curves": out / "curves",
        "instructions": write_pool(out / "pool"),
        "prompt": world / "instances.txt",
        "progress": out / "kept",
        "ppo": out / "ppo",
    }
    done = run_script("ppo", *flags(given | more))
    assert done.returncode == 0, done.stdout + done.stderr
    return list(map(json.loads, (out / "ppo" / "samples.jsonl").open(encoding="utf-8")))


def scored(
    run_script: RunScript, reward: Reward, model: Path | None, out: Path, **more: Any
) -> list[Instance]:
    """The instances of stage 3 to four made-up replies, scored by its command line."""
    replies = [
        AskedReply(0, n, f"Input: x\nOutput: {'a ' * n}b\n", "stop", 9, 5, "input first")
        for n in range(4)
    ]
    write_records(out / "replies.jsonl", replies)
    given = {
        "settings": demo_config()["instances"] | {"prompts_per_round": 8},
        "reward": reward.model_dump(mode="json"),
        "watch": {"least_parsed": 0.0, "least_identified": 0.0, "patience": 9},
        "method": "self-instruct",
        "instructions": write_pool(out / "segment"),
        "replies": [out / "replies.jsonl"],
        "ppo": None,
        "reward_model": model,
        "evaluator": None,
        "judge_prompt": None,
        "judge_server": None,
        "progress": out / "scores",
        "segment": out / "instances",
    }
    done = run_script("instances", "segment", *flags(given | more))
    assert done.returncode == 0, done.stdout + done.stderr
    return read_records(out / "instances" / "instances.jsonl", Instance)


def company_and_order_change_nothing(
    scorer: Callable[[Sequence[Triplet]], Scores],
    agree: Callable[[Scores, Scores], None],
    triplets: list[Triplet],
    drawn: random.Random,
) -> None:
    """A triplet's score is its own; `agree` asserts that scores are as near as the scorer says."""
    found = scorer(triplets)
    assert found == scorer(triplets), "the same bits again"
    agree(found, [row for triplet in triplets for row in scorer([triplet])])
    order = drawn.sample(range(len(triplets)), len(triplets))
    agree(scorer([triplets[place] for place in order]), [found[place] for place in order])
