"""Train the instance generator with PPO on the judges' rewards (stage 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.command_line import run
from refine_af.errors import InputError
from refine_af.landing import check_free, whole_folder
from refine_af.models import load_tokenizer
from refine_af.ppo.policy import new_policy
from refine_af.ppo.rollouts import Environment
from refine_af.ppo.settings import Ppo
from refine_af.ppo.training import METRICS, PHASES, Step, Trainer, evaluation_rows
from refine_af.progress import Progress
from refine_af.prompts import read_prompt
from refine_af.randomness import derived_seed
from refine_af.records import Instruction, read_records, write_rows
from refine_af.rewards import Scorer
from refine_af.tables import write_table


def main(
    *,
    settings: Ppo,
    backbone: Path,
    reward_model: Path,
    evaluator: Path,
    instructions: Path,
    prompt: Path,
    ppo: Path,
) -> None:
    """Write the folder `ppo`: adapter, value head, metrics, samples, and before and after."""
    check_free(ppo)
    pool = instructions / "instructions.jsonl"
    asked = read_records(pool, Instruction)
    if not asked:
        raise InputError(f"{pool}: holds no instruction to train on")
    environment = Environment(
        tokenizer=load_tokenizer(backbone),
        prompt=read_prompt(prompt, {"instruction"}),
        sampling=settings.sampling,
        judge=Scorer(settings.reward, reward_model, evaluator).score,
        weights=settings.reward.weights,
    )
    policy = new_policy(
        backbone,
        settings.lora,
        quantization=settings.quantization,
        seed=derived_seed(settings.seed, "adapter"),
    )
    before = evaluation_rows("before", policy.model, environment, asked, settings)
    _check_parsed(before, settings.least_parsed, backbone, prompt)
    steps, progress = [], Progress(settings.steps, "PPO steps")
    for step in Trainer(policy, environment, settings).train(asked):
        steps.append(step)
        progress.advance(note=f"reward {step.metrics['reward_mean']:.3f}")
    after = evaluation_rows("after", policy.model, environment, asked, settings)
    with whole_folder(ppo) as folder:
        policy.save(folder)
        _write_steps(folder, steps, settings.samples_every)
        write_rows(folder / "evaluation.jsonl", before + after)


def _check_parsed(
    evaluation: Sequence[Mapping[str, Any]], least: float, backbone: Path, prompt: Path
) -> None:
    parsed = sum(row["output"] is not None for row in evaluation)
    if parsed < least * len(evaluation):
        raise InputError(
            f"{backbone}: {parsed} of {len(evaluation)} replies to {prompt} hold an instance, "
            f"fewer than ppo.least_parsed {least}, so there is nothing for PPO to improve"
        )


def _write_steps(folder: Path, steps: Sequence[Step], samples_every: int) -> None:
    # Seconds differ from run to run, so they stand apart.
    write_table(folder / "metrics.csv", METRICS, [step.metrics for step in steps])
    timing = [{"step": step.number, **step.seconds} for step in steps]
    write_table(folder / "timing.csv", ["step", *PHASES], timing)
    sampled = [step for step in steps if step.number % samples_every == 0]
    write_rows(
        folder / "samples.jsonl",
        ({"step": step.number, **rollout.row()} for step in sampled for rollout in step.rollouts),
    )


if __name__ == "__main__":
    run(main)
