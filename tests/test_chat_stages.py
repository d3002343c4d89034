"""Every stage that asks a model asks in its chat where config.yaml says so, and starts anew."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import instances_replies
import instructions
import ppo
import superni_replies
import users
from policies import COMPUTE, PAPER_WEIGHTS, REWARD, WATCH, ppo_settings
from refine_af.engines import encoded
from refine_af.engines.encoded import in_chat
from refine_af.engines.replies import Group
from refine_af.files.rows import write_records
from refine_af.models.backbones import load_tokenizer
from refine_af.models.chat import Chat, chat_of
from refine_af.models.encoding import encode, encode_after
from refine_af.ppo.rollouts import Environment
from refine_af.prompts.templates import prompt_of
from refine_af.records.instructions import Instruction
from refine_af.settings.compute import PpoMachine
from refine_af.settings.reward import Reward
from refine_af.settings.watch import PpoWatch
from test_instances import asked_of, replying, write_pool
from test_instructions import inputs
from test_superni import ASKED
from test_superni import asking as superni_asking
from test_users import asking as users_asking
from tiny import ROOT

HEAD, FOOT = "<|prompter|>user\n", "<|endoftext|>\n<|prompter|>assistant\n"
POOL = [
    Instruction(f"i{n:06}", f"Sort {n} lists.", 1, 0, [], "", 0.0, "", 0.0, 9, 9) for n in range(6)
]


class AskedError(Exception):
    """A model has been asked, which is all that is looked at here."""


def of_instructions(world: Path, out: Path) -> None:
    places = {"earlier": [], "number": 0, "progress": out / "kept", "segment": out / "0"}
    instructions.segment(**inputs(world) | places | {"chat": True})


def of_ppo(world: Path, out: Path) -> None:
    write_records(out / "pool" / "instructions.jsonl", POOL)
    ppo.main(
        settings=ppo_settings(),
        reward=Reward.model_validate(REWARD),
        watch=PpoWatch.model_validate(WATCH),
        compute=PpoMachine.model_validate(COMPUTE),
        backbone=world / "llama",
        reward_model=world / "reward_model",
        evaluator=world / "evaluator",
        judge_prompt=None,
        judge_server=None,
        instructions=out / "pool",
        prompt=world / "instances.txt",
        chat=True,
        report_to=[],
        curves=out / "curves",
        progress=out / "kept",
        ppo=out / "ppo",
    )


def of_instances(world: Path, out: Path) -> None:
    given = asked_of(world, write_pool(out / "pool", [row.instruction for row in POOL]))
    instances_replies.main(**replying(world, given, [0], out) | {"chat": True})


def of_superni(world: Path, out: Path) -> None:
    write_records(out / "instances.jsonl", ASKED)
    superni_replies.replies(**superni_asking(out, world / "llama", [0]) | {"chat": True})


def of_users(world: Path, out: Path) -> None:
    users.predictions(**users_asking(world, out, chat=True))


@pytest.mark.parametrize(
    ("stage", "script"),
    [
        (of_instructions, instructions),
        (of_ppo, ppo),
        (of_instances, instances_replies),
        (of_superni, superni_replies),
        (of_users, users),
    ],
)
def test_every_stage_asks_in_the_chat(
    stage: Callable[[Path, Path], None],
    script: ModuleType,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard: list[Group] = []
    stamps: list[Mapping[str, Any]] = []

    def asked(group: Group, chat: Chat) -> Group:
        heard.append(in_chat(group, chat))
        raise AskedError

    def stamped(given: Mapping[str, Any], *, code: str) -> str:
        stamps.append(given)
        return "0" * 64

    monkeypatch.setattr(encoded, "in_chat", asked)
    monkeypatch.setattr(script, "fingerprint", stamped)
    with pytest.raises(AskedError):
        stage(world, tmp_path)
    (group,), (given,) = heard, stamps
    whole = [group.prefix + tail for tail in group.tails]
    assert whole and all(text.startswith(HEAD) and text.endswith(FOOT) for text in whole)
    assert group.prefix.startswith("<|prompter|>"), "which is computed once"
    assert given["chat"] is True, "another form of asking starts afresh"


def test_ppo_learns_from_the_tokens_that_it_drew_from(tiny_llama: Path) -> None:
    tokenizer = load_tokenizer(tiny_llama)
    for text in ("Do\n{instruction}\n", "{instruction}"):
        prompt = prompt_of(text, {"instruction"}, "prompt")
        for chat in (None, chat_of(tokenizer)):
            environment = Environment(
                tokenizer, prompt, ppo_settings().sampling, lambda _: [], PAPER_WEIGHTS, chat
            )
            group = Group(prompt.prefix, [environment.tail(POOL[0])])
            group = in_chat(group, chat) if chat else group
            head = encode(tokenizer, group.prefix, start=True) if group.prefix else []
            tail = encode_after(tokenizer, group.prefix, group.tails[0])
            assert environment.prefix_tokens() == head
            assert environment.tail_tokens(POOL[0]) == tuple(tail)


def test_a_chat_changes_what_is_answered_and_written(world: Path, tmp_path: Path) -> None:
    """A job whose model is asked in another form does not go on from the replies of the first."""
    found = {}
    for chat in (False, True):
        users.predictions(**users_asking(world, tmp_path, chat=chat))
        lines = (tmp_path / "base.jsonl").read_text().splitlines()
        found[chat] = [json.loads(line)["prediction"] for line in lines]
    assert found[True] != found[False] and len(list((tmp_path / "kept").glob("*/"))) >= 1


@pytest.mark.parametrize("stage", ["instructions", "ppo", "instances", "sft", "superni", "users"])
def test_every_rule_that_loads_a_backbone_tells_of_the_chat(stage: str) -> None:
    """As a param that Snakemake compares, so that a change of it reruns what it decides."""
    rules = (ROOT / "rules" / f"{stage}.smk").read_text(encoding="utf-8")
    loading = rules.count("backbone=plan.backbone")
    assert loading == rules.count("chat=plan.chat,") == rules.count("--chat {params.chat}") > 0
