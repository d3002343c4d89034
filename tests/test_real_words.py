"""What the stages do to real words: a pretrained model, Self-Instruct's own seeds and prompt.

REFINE_AF_MODEL names the model's folder, REFINE_AF_MIRROR the one with the published files.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import sft as stage
from fine_tuning import PAPER, asked
from policies import full_rows, ppo_settings
from refine_af.engines.greedy import greedy
from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Group
from refine_af.fetch.files import instance_prompt, prompt_source, prompt_with_slot
from refine_af.files.documents import read_document
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.models.encoding import encode
from refine_af.ppo.learner import Learner
from refine_af.ppo.packing import Tokens
from refine_af.ppo.policy import Policy, new_policy
from refine_af.prompts.completions import first_kept
from refine_af.prompts.task_lists import decoding, items, refusal, task_list
from refine_af.prompts.templates import prompt_of, read_prompt
from refine_af.records.human_tasks import read_seed_instances, read_seeds
from refine_af.records.instances import Instance
from refine_af.settings.fetch import Fetch
from refine_af.settings.instructions import Instructions
from refine_af.settings.lora import Lora
from refine_af.settings.sampling import Sampling
from refine_af.sft.examples import encoded, encodings_of
from refine_af.sft.rows import IGNORED, TrainingRow, row
from tiny import ROOT

MODEL, MIRROR = os.environ.get("REFINE_AF_MODEL"), os.environ.get("REFINE_AF_MIRROR")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not MODEL, reason="REFINE_AF_MODEL names no folder with a model"),
    pytest.mark.skipif(not MIRROR, reason="REFINE_AF_MIRROR names no folder with the real data"),
]
FOLDER, DATA = Path(MODEL or ""), Path(MIRROR or "")
CONFIG = yaml.safe_load((ROOT / "config.yaml").read_text())
PROMPT = "Question: What is the capital of"
TAILS = [
    " France?\nAnswer:",
    " the country whose people invented paper, and why?\nAnswer:",
    " Peru?",
]
ONE_UPDATE = {"rollouts": 3, "batch_size": 3, "gradient_accumulation_steps": 1, "epochs": 1}
LORA = Lora(r=8, alpha=16, dropout=0.0, targets="all-linear")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(FOLDER)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_backbone(FOLDER, quantization="none")


def test_greedy_batches_equal_single_rows(model: Any, tokenizer: Any) -> None:
    """Token by token, until two are likeliest but for rounding."""
    written = replies(model, tokenizer, Group(PROMPT, TAILS), greedy(16, ()))
    for tail, text in zip(TAILS, written, strict=True):
        ids = encode(tokenizer, PROMPT + tail, start=True)
        with torch.inference_mode():
            alone = model.generate(torch.tensor([ids]), max_new_tokens=16, do_sample=False)
        wanted = alone[0, len(ids) :].tolist()
        found = tokenizer.encode(text, add_special_tokens=False)
        apart = next(
            (at for at, (a, b) in enumerate(zip(found, wanted, strict=False)) if a != b), None
        )
        if apart is not None:
            with torch.inference_mode():
                logits = model(torch.tensor([[*ids, *wanted[:apart]]])).logits[0, -1]
            assert logits[wanted[apart]] - logits[found[apart]] < 1e-3, (text, wanted)


def test_log_probabilities_are_the_plain_models(tokenizer: Any) -> None:
    """Of rows behind one prefix, after the policy has moved."""
    policy, prefix, rows = learning(tokenizer)
    learner = Learner(policy, prefix, ppo_settings(**ONE_UPDATE, learning_rate=1e-3))
    learner.learn(rows, [1.0, -1.0, 0.5], step=1, kl_coefficient=0.0, stopwatch=Stopwatch())
    with torch.no_grad():
        read = policy(policy.read(prefix), rows, temperature=0.7, width=8)
        wanted = full_rows(policy, prefix, rows, 0.7)
    plain = torch.cat([log_probs for log_probs, _ in wanted])
    assert (read.log_probs[read.mask.bool()] - plain).abs().max() < 1e-3


def test_a_step_raises_the_expected_reward_of_its_own_batch(tokenizer: Any) -> None:
    """By importance sampling: of each reward by its reply's new probability over the old."""
    policy, prefix, rows = learning(tokenizer)
    rewards = torch.tensor([1.0, -1.0, 0.5])
    old = row_log_probabilities(policy, prefix, rows)
    learner = Learner(policy, prefix, ppo_settings(**ONE_UPDATE, learning_rate=1e-4))
    kept, _ = learner.learn(
        rows, rewards.tolist(), step=1, kl_coefficient=0.0, stopwatch=Stopwatch()
    )
    assert not kept.log_ratios.any(), "the policy is the reference still"
    new = row_log_probabilities(policy, prefix, rows)
    assert (rewards * (new - old).exp()).sum() > rewards.sum() + 0.01


def test_four_bits_are_close_to_the_whole_weights(model: Any, tokenizer: Any) -> None:
    """Of the next tokens in the seeds' instructions: 0.44 nats and 73 % were measured."""
    rounded = load_backbone(FOLDER, quantization="nf4")
    assert rounded.get_memory_footprint() < 0.6 * model.get_memory_footprint()
    divergence, same = [], []
    for seed in read_seeds(DATA / "seed_tasks.jsonl")[:12]:
        ids = torch.tensor([tokenizer.encode(seed.instruction)])
        with torch.inference_mode():
            whole = model(ids).logits[0].float().log_softmax(-1)
            coarse = rounded(ids).logits[0].float().log_softmax(-1)
        divergence.append((whole.exp() * (whole - coarse)).sum(-1))
        same.append(whole.argmax(-1) == coarse.argmax(-1))
    assert 0 < torch.cat(divergence).mean() < 0.7
    assert torch.cat(same).float().mean() > 0.6


def test_stage_1s_prompt_gives_lists_of_instructions(model: Any, tokenizer: Any) -> None:
    settings = Instructions.model_validate(CONFIG["instructions"])
    prompt = read_prompt(ROOT / CONFIG["prompts"]["instructions"], {"tasks"})
    seeds = [seed.instruction for seed in read_seeds(DATA / "seed_tasks.jsonl")]
    tails = [
        prompt.tail(tasks=task_list(seeds[start : start + 8], settings.numbering))
        for start in range(0, 32, 8)
    ]
    sampling = greedy(64, decoding(settings).stop)
    written = replies(model, tokenizer, Group(prompt.prefix, tails), sampling)
    found = [items(text, settings, truncated=True) for text in written]
    fit = [
        [text for text, whole in each if whole and not refusal(text, settings.filter)]
        for each in found
    ]
    assert sum(map(bool, fit)) >= 2


def test_stage_3s_prompt_gives_pairs(model: Any, tokenizer: Any) -> None:
    fetch = Fetch.model_validate(CONFIG["fetch"] | {"mirror": str(DATA)})
    published = instance_prompt(fetch)
    text = prompt_with_slot(prompt_source(published, fetch, DATA), published)
    prompt = prompt_of(text, {"instruction"}, "prompt")
    seeds = read_seeds(DATA / "seed_tasks.jsonl")[40:48]
    tails = [prompt.tail(instruction=seed.instruction) for seed in seeds]
    group = Group(prompt.prefix, tails)
    written = replies(model, tokenizer, group, greedy(48, ("Task:",)))
    pairs = [first_kept(text, truncated=False) for text in written]
    assert sum(pair is not None for pair in pairs) >= 2


def test_tuning_lowers_the_loss_of_what_it_has_not_seen(
    model: Any, tokenizer: Any, tmp_path: Path
) -> None:
    """From 2.34 nats a token to 2.21, where it was measured, of 24 instances and 12 others."""
    instances = [
        replace(each, instruction_id=f"i{number:06d}")
        for number, each in enumerate(read_seed_instances(DATA / "seed_tasks.jsonl"))
        if 0 < len(each.output) < 200 and len(each.input) < 300
    ]
    learned, held = instances[:24], instances[24:36]
    made = asked(
        tmp_path,
        FOLDER,
        learned,
        epochs=2,
        learning_rate=1e-3,
        batch_size=8,
        gradient_accumulation_steps=1,
    ) | {"encodings": PAPER}
    stage.main(**made)
    tuned = load_backbone(FOLDER, quantization="none", adapter=tmp_path / "adapter")
    rows = held_out(held, made["settings"], tokenizer)
    before, after = loss(model, rows), loss(tuned, rows)
    assert after < before - 0.02


def replies(model: Any, tokenizer: Any, group: Group, sampling: Sampling) -> list[str]:
    engine = LocalEngine(lambda: (model, tokenizer), sampling)
    made = dict(engine([group], [0] * len(group.tails)))
    return [made[place].text for place in range(len(group.tails))]


def learning(tokenizer: Any) -> tuple[Policy, list[int], list[Tokens]]:
    """A policy, the tokens of a prefix, and three replies behind it."""
    said = ["It is Paris.", "I cannot tell you that, sorry.", "Lima, on the coast."]
    rows = [
        Tokens(tuple(tokenizer.encode(tail)), tuple(tokenizer.encode(f" {reply}")))
        for tail, reply in zip(TAILS, said, strict=True)
    ]
    policy = new_policy(FOLDER, LORA, quantization="none", seed=0)
    return policy, encode(tokenizer, PROMPT, start=True), rows


def row_log_probabilities(policy: Policy, prefix: list[int], rows: list[Tokens]) -> torch.Tensor:
    with torch.no_grad():
        return torch.stack([found.sum() for found, _ in full_rows(policy, prefix, rows, 1.0)])


def held_out(instances: list[Instance], settings: Any, tokenizer: Any) -> list[TrainingRow]:
    encodings = encodings_of(read_document(PAPER), PAPER)
    texts = [encoded(each, encodings, settings) for each in instances]
    return [row(each.prompt, each.completion, tokenizer) for each in texts]


def loss(model: Any, rows: list[TrainingRow]) -> float:
    """Nats a token of the completions."""
    total, count = 0.0, 0
    for each in rows:
        ids = torch.tensor([each.input_ids])
        start = each.labels.count(IGNORED)
        with torch.inference_mode():
            log_probs = model(ids).logits[0, start - 1 : -1].float().log_softmax(-1)
        total -= float(log_probs.gather(-1, ids[0, start:, None]).sum())
        count += ids.shape[1] - start
    return total / count
