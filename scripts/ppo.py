"""Train the instance generator with PPO on the scorer's rewards (stage 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from refine_af.engines.self_check import check_batching
from refine_af.errors import InputError
from refine_af.files.landing import whole_folder
from refine_af.files.rows import write_rows
from refine_af.files.tables import write_table
from refine_af.jobs.command_line import run
from refine_af.jobs.curves import Curves
from refine_af.jobs.progress import Progress
from refine_af.jobs.scratch import Given, fingerprint, resumable
from refine_af.jobs.sources import code_digest
from refine_af.models.backbones import load_tokenizer
from refine_af.models.chat import chat_of
from refine_af.models.device_faults import device_faults
from refine_af.models.readiness import check_ppo
from refine_af.ppo.alarm import COLUMNS, alarms, new_alarms
from refine_af.ppo.checkpoint import newest_checkpoint, save_checkpoint
from refine_af.ppo.policy import new_policy
from refine_af.ppo.rollouts import Environment, read_answers
from refine_af.ppo.step_log import StepLog
from refine_af.ppo.training import PHASES, PpoTrainer, evaluation_instructions, metric_columns
from refine_af.prompts.templates import read_prompt
from refine_af.randomness import derived_seed
from refine_af.records.instructions import Instruction
from refine_af.records.segments import read_segment
from refine_af.rewards.own_code import deciding
from refine_af.rewards.scorers import Judge, load_scorer, to_ask
from refine_af.settings.compute import PpoMachine
from refine_af.settings.ppo import Ppo
from refine_af.settings.reward import Reward, Weights
from refine_af.settings.servers import Server
from refine_af.settings.watch import Alarms, PpoWatch

Rows = Sequence[Mapping[str, Any]]


def main(
    *,
    settings: Ppo,
    reward: Reward,
    watch: PpoWatch,
    compute: PpoMachine,
    backbone: Path,
    reward_model: Path | None,
    evaluator: Path | None,
    judge_prompt: Path | None,
    judge_server: Server | None,
    instructions: Path,
    prompt: Path,
    chat: bool,
    report_to: list[str],
    curves: Path,
    progress: Path,
    ppo: Path,
) -> None:
    """Write the folder `ppo`: adapter, PPO's value head, metrics, samples, before and after.

    What is done so far is kept in the folder `progress`: killed and called again, it goes on.
    """
    segment = read_segment(instructions)
    given = deciding(reward, reward_model, evaluator, judge_prompt, judge_server)
    stamp = _stamp(given, settings, chat, backbone, instructions, prompt)
    with resumable(progress, stamp, ppo) as place, device_faults():
        if place is None:
            return
        check_ppo(backbone, settings.lora)
        asked = to_ask(judge_server, judge_prompt, place)
        judge = load_scorer(reward, reward_model, evaluator, asked)
        trainer = _trainer(settings, compute, backbone, prompt, chat, judge, reward.weights)
        before = _evaluation("before", trainer, segment, place)
        _check_parsed(before, watch.least_parsed, backbone, prompt, place)
        log = StepLog(place / "steps.jsonl", metric_columns(reward.weights))
        with closing(log), closing(Curves(report_to, curves, ppo.name)) as shown:
            _train(trainer, segment, log, shown, place, watch, compute)
            rows = [*before, *_evaluation("after", trainer, segment, place)]
            _write(ppo, trainer, reward.weights, log.rows(settings.steps), rows, watch.alarm)


def _stamp(
    given: dict[str, Given],
    settings: Ppo,
    chat: bool,
    backbone: Path,
    instructions: Path,
    prompt: Path,
) -> str:
    """What progress belongs to: `given`, which decides the rewards, and all the rest."""
    given |= {"settings": settings.model_dump_json(), "chat": chat, "backbone": backbone}
    given |= {"pool": instructions / "instructions.jsonl", "prompt": prompt}
    return fingerprint(given, code=code_digest(Path(__file__)))


def _trainer(
    settings: Ppo,
    compute: PpoMachine,
    backbone: Path,
    prompt: Path,
    chat: bool,
    judge: Judge,
    weights: Weights,
) -> PpoTrainer:
    tokenizer = load_tokenizer(backbone)
    environment = Environment(
        tokenizer=tokenizer,
        prompt=read_prompt(prompt, {"instruction"}),
        sampling=settings.sampling,
        judge=judge,
        weights=weights,
        chat=chat_of(tokenizer) if chat else None,
    )
    seed = derived_seed(settings.seed, "adapter")
    policy = new_policy(backbone, settings.lora, quantization=settings.quantization, seed=seed)
    check_batching(policy.model, environment.tokenizer)
    if compute.gradient_checkpointing:
        policy.recompute_layers()
    return PpoTrainer(policy, environment, settings)


def _train(
    trainer: PpoTrainer,
    instructions: Sequence[Instruction],
    log: StepLog,
    curves: Curves,
    kept: Path,
    watch: PpoWatch,
    compute: PpoMachine,
) -> None:
    """Go on from the newest checkpoint that is kept, to the last step."""
    last, sampled = trainer.settings.steps, trainer.settings.samples_every
    shown = Progress(last, "PPO steps")
    checkpoint = newest_checkpoint(kept)
    if checkpoint:
        log.rows(checkpoint.step)
        trainer.go_on_from(checkpoint)
        shown.skip(checkpoint.step)
        shown.line(f"going on after step {checkpoint.step}")
    if last < 2 * watch.alarm.window:
        shown.line(
            f"{last} steps hold no two windows of watch.ppo.alarm.window {watch.alarm.window}: no "
            "alarm that compares them can ring"
        )
    for row in log.rows(trainer.done):
        curves.add(row["step"], _figures(row["metrics"], row["seconds"]))
    done = [row["metrics"] for row in log.rows(trainer.done)]
    new_alarms(done, watch.alarm)  # InputError where an earlier step's alarm ends the stage
    for step in trainer.train(instructions):
        log.add(step, sampled=step.number % sampled == 0)
        curves.add(step.number, _figures(step.metrics, step.seconds))
        if step.number % compute.checkpoint_every == 0 or step.number == last:
            log.sync()  # a checkpoint's steps are on disk before it
            save_checkpoint(kept, trainer.checkpoint())
        shown.advance(note=f"reward {step.metrics['reward_mean']:.3f}")
        done.append(step.metrics)
        for alarm in new_alarms(done, watch.alarm):
            shown.line(f"alarm at step {alarm.step}: {alarm.words}")


def _figures(metrics: Mapping[str, Any], seconds: Mapping[str, float]) -> dict[str, Any]:
    """A step's figures by the names of their curves."""
    shown = {f"ppo/{name}": value for name, value in metrics.items() if name != "step"}
    return shown | {f"seconds/{phase}": value for phase, value in seconds.items()}


def _evaluation(when: str, trainer: PpoTrainer, segment: Sequence[Instruction], kept: Path) -> Rows:
    """Lines of evaluation.jsonl, those of an earlier run where they are there and not damaged."""
    path, fixed = kept / f"{when}.jsonl", evaluation_instructions(segment, trainer.settings)
    if path.exists():
        try:
            return [asdict(answer) for answer in read_answers(path, when, fixed)]
        except InputError as error:
            print(f"{error}: made again", flush=True)
    rows = trainer.evaluation_rows(when, fixed)
    write_rows(path, rows)
    return rows


def _check_parsed(evaluation: Rows, least: float, backbone: Path, prompt: Path, kept: Path) -> None:
    parsed = sum(row["output"] is not None for row in evaluation)
    if parsed < least * len(evaluation):
        raise InputError(
            f"{backbone}: {parsed} of {len(evaluation)} replies to {prompt} hold an instance, "
            f"fewer than watch.ppo.least_parsed {least}, so there is nothing for PPO to improve. "
            f"Look at them in {kept}/before.jsonl; a lower ppo.sampling.temperature, or another "
            "prompt, makes others"
        )


def _write(
    ppo: Path,
    trainer: PpoTrainer,
    weights: Weights,
    steps: Rows,
    evaluation: Rows,
    bounds: Alarms,
) -> None:
    """Land the stage's folder, complete or not at all."""
    with whole_folder(ppo) as folder:
        trainer.learner.save(folder)
        metrics = [row["metrics"] for row in steps]
        write_table(folder / "metrics.csv", metric_columns(weights), metrics)
        write_table(folder / "alarms.csv", COLUMNS, map(asdict, alarms(metrics, bounds)))
        # Seconds differ from run to run, so they have a file of their own.
        timing = [{"step": row["step"], **row["seconds"]} for row in steps]
        write_table(folder / "timing.csv", ["step", *PHASES], timing)
        samples = [sample for row in steps for sample in row["samples"]]
        write_rows(folder / "samples.jsonl", samples)
        write_rows(folder / "evaluation.jsonl", evaluation)


if __name__ == "__main__":
    run(main)
