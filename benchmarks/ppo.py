"""Stage 2 beside TRL's classic trainer and without its shared prefix, in one run on one model.

Ours trains, and keeps each step's rollouts. The same steps run again with the prompt's beginning
read anew for every micro-batch, with it computed for every row, and in TRL 0.11.4's PPOTrainer, on
the very same rollouts, number of updates and initial weights, whose figures must follow ours; then
TRL trains on what it draws itself, judged by the same judges, for a second learning curve. With
--experiment a trained backbone and its judges; with --checkpoint, or the folder that
REFINE_AF_MODEL names, a pretrained one, behind Self-Instruct's prompt where REFINE_AF_MIRROR holds
it; with --shape random weights, whose replies all have --tokens tokens. The last two have rewards
of no meaning. TRL's release is installed into a folder of its own. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
import yaml
from transformers.utils.logging import disable_progress_bar
from ways import (
    DEMONSTRATIONS,
    ROOT,
    SHAPES,
    clock,
    few_shot,
    made_up,
    mirrored_prompt,
    place_name,
    placed,
    random_model,
    word_tokenizer,
)

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.engines.generation import Completion
from refine_af.fetch import files
from refine_af.files.rows import read_records
from refine_af.jobs.stopwatch import Stopwatch
from refine_af.models.backbones import load_tokenizer, precision
from refine_af.models.encoding import encode
from refine_af.models.prefix import Prefix
from refine_af.ppo import policy as policy_module
from refine_af.ppo import rollouts
from refine_af.ppo.learner import Learner, epoch_order
from refine_af.ppo.packing import Tokens, laid_out
from refine_af.ppo.policy import new_policy
from refine_af.ppo.prefixes import Prefixes
from refine_af.ppo.rollouts import Environment
from refine_af.ppo.training import PpoTrainer, Step, step_instructions
from refine_af.prompts.templates import Prompt
from refine_af.records.instructions import Instruction
from refine_af.rewards.equation_1 import judges_of, weighed
from refine_af.settings.ppo import Ppo
from refine_af.workflow.configuration import read_experiment

RELEASE = "trl==0.11.4"
BESIDE = (
    "tyro==0.9.2",
    "docstring-parser==0.18.0",
    "shtab==1.13.0",
    "typeguard==4.6.0",
)  # what it imports and ours does not


@dataclass
class Scene:
    """What every way trains on: the backbone's folder, instructions, and the road to a reward."""

    backbone: Path
    settings: Ppo
    environment: Environment
    instructions: Sequence[Instruction]


@dataclass
class Found:
    """A way's seconds by step and phase, its drawn tokens, and what it says of its training."""

    name: str
    generation: list[float] = field(default_factory=list)
    reward: list[float] = field(default_factory=list)
    learning: list[float] = field(default_factory=list)
    scoring: list[float] = field(default_factory=list)  # a part of learning, as far as it is known
    wall: list[float] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)


def our_steps(scene: Scene, folder: Path, name: str) -> tuple[Found, list[Step], PpoTrainer]:
    """The steps of ours; the untrained adapter is left in `folder`."""
    settings = scene.settings
    policy = new_policy(scene.backbone, settings.lora, quantization=settings.quantization, seed=0)
    policy.save(folder)
    trainer = PpoTrainer(policy, scene.environment, settings)
    found, steps = Found(name), []
    with patch.object(time, "monotonic", clock):
        begun = time.perf_counter()
        for step in trainer.train(scene.instructions):
            found.wall.append(time.perf_counter() - begun)
            begun = time.perf_counter()
            steps.append(step)
            found.generation.append(step.seconds["generation"])
            found.reward.append(step.seconds["reward"])
            found.scoring.append(step.seconds["log_probs"])
            found.learning.append(step.seconds["log_probs"] + step.seconds["update"])
            found.drawn.append(sum(len(entry.completion.tokens) for entry in step.rollouts))
            found.kl.append(step.metrics["kl"])
            found.rewards.append(step.metrics["reward_mean"])
    return found, steps, trainer


@contextmanager
def read_anew() -> Iterator[None]:
    """Each micro-batch reads the prefix, by policy and by reference, and each row has a copy."""
    predict = Learner._predict

    def apart(rows: Sequence[Tokens], prefix: int, device: torch.device) -> Any:
        return laid_out(rows, 0, device)

    def anew(learner: Learner, prefix: Prefix, rows: Sequence[Tokens], width: int) -> Any:
        read = learner.policy.read(learner.prefixes.tokens)
        return predict(learner, read, rows, width)

    def unread(*_: Any, **__: Any) -> Prefix:
        return Prefix(0, (), graph=True)

    with (
        patch.object(policy_module, "laid_out", apart),
        patch.object(Learner, "_predict", anew),
        patch.object(Prefixes, "own", unread),
        patch.object(Prefixes, "reference", unread),
    ):
        yield


def unshared(scene: Scene) -> Scene:
    """The same with nothing that prompts share: each is computed from its first token."""
    environment = scene.environment
    whole = Prompt(prefix="", rest=environment.prompt.prefix + environment.prompt.rest)
    again = Environment(**{**vars(environment), "prompt": whole})
    return Scene(scene.backbone, scene.settings, again, scene.instructions)


def plan_of(scene: Scene, steps: Sequence[Step], adapter: Path, *, own: bool) -> dict[str, Any]:
    """What trl_classic.py reads."""
    settings = scene.settings
    prompt, tokenizer = scene.environment.prompt, scene.environment.tokenizer
    prefix = encode(tokenizer, prompt.prefix, start=True)

    def query(instruction: Instruction) -> list[int]:
        return [
            *prefix,
            *encode(tokenizer, prompt.tail(instruction=instruction.instruction), start=False),
        ]

    return {
        "backbone": str(scene.backbone),
        "adapter": str(adapter / "adapter" / "adapter_model.safetensors"),
        "settings": settings.model_dump(mode="json"),
        "own": own,
        "steps": [
            {
                "queries": [query(entry.instruction) for entry in step.rollouts],
                "responses": [list(entry.completion.tokens) for entry in step.rollouts],
                "rewards": [entry.reward for entry in step.rollouts],
                "orders": [
                    epoch_order(len(step.rollouts), settings.seed, step=step.number, epoch=epoch)
                    for epoch in range(settings.epochs)
                ],
            }
            for step in steps
        ],
    }


def classic(
    scene: Scene, steps: Sequence[Step], adapter: Path, release: Path, *, own: bool
) -> Found:
    """TRL's classic trainer on the steps, in a process that imports the old release."""
    with tempfile.TemporaryDirectory() as place:
        plan, result = Path(place, "plan.json"), Path(place, "found.json")
        plan.write_text(json.dumps(plan_of(scene, steps, adapter, own=own)), encoding="utf-8")
        script = Path(__file__).with_name("trl_classic.py")
        environment = os.environ | {
            "PYTHONPATH": str(release),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "PYTHONWARNINGS": "ignore",
        }
        told = Found(f"{RELEASE}, {'its own' if own else 'our'} rollouts")
        with subprocess.Popen(
            [sys.executable, str(script), str(plan), str(result)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        ) as process:
            assert process.stdin is not None and process.stdout is not None
            for number, line in enumerate(entry for entry in process.stdout if own):
                rewards, seconds = judged(scene, number + 1, json.loads(line))
                told.rewards.append(statistics.fmean(rewards))
                told.reward.append(seconds)
                process.stdin.write(json.dumps(rewards) + "\n")
                process.stdin.flush()
        if process.returncode:
            raise SystemExit(f"error: {told.name} ended with {process.returncode}")
        for row in json.loads(result.read_text(encoding="utf-8")):
            for key in ("generation", "learning", "drawn", "kl"):
                getattr(told, key).append(row[key])
    return told


def judged(scene: Scene, step: int, responses: list[list[int]]) -> tuple[list[float], float]:
    """The rewards of another trainer's responses, as stage 2 gives them, and what they took."""
    tokenizer, sampling = scene.environment.tokenizer, scene.settings.sampling
    completions = [completed(tokenizer, sampling.stop, ids) for ids in responses]
    instructions = step_instructions(scene.instructions, step, scene.settings)
    watch = Stopwatch()
    with (
        patch.object(time, "monotonic", clock),
        patch.object(rollouts, "generate", lambda *_, **__: completions),
    ):
        made = scene.environment.rollouts(
            None, instructions, seeds=[0] * len(instructions), stopwatch=watch
        )
    return [entry.reward for entry in made], watch.seconds["reward"]


def completed(tokenizer: Any, stops: Sequence[str], ids: list[int]) -> Completion:
    """Drawn tokens as a completion, cut at the first stop string."""
    text = tokenizer.decode(ids, skip_special_tokens=True)
    cuts = [place for stop in stops if (place := text.find(stop)) >= 0]
    ended = bool(cuts) or tokenizer.eos_token_id in ids
    return Completion(
        text[: min(cuts)] if cuts else text, tuple(ids), "stop" if ended else "length", 0
    )


def installed(folder: Path) -> Path | None:
    """The folder with TRL's old release, installed where it is missing; None where it cannot be."""
    if not (folder / "trl").is_dir():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--target", str(folder), RELEASE, *BESIDE]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"**Skipped: {RELEASE}** could not be installed: {done.stderr.strip()[-300:]}\n")
            return None
    return folder


def trained(arguments: argparse.Namespace) -> Scene:
    """The backbone, judges and pool of an experiment whose stage 1 has run."""
    from refine_af.prompts.templates import read_prompt
    from refine_af.rewards.scorers import load_scorer
    from refine_af.workflow.paths import checkpoint_folder

    place = arguments.experiment
    experiment = read_experiment(yaml.safe_load((place / "config.yaml").read_text()))
    name = arguments.model or next(iter(experiment.models))
    settings = changed(experiment.ppo, arguments)
    backbone = placed(checkpoint_folder(experiment.models[name].checkpoint), place)
    judges = judges_of(experiment.reward)
    model, evaluator = (
        placed(checkpoint_folder(judges[kind]), place) for kind in ("model", "evaluator")
    )
    pool = place / f"results/segments/instructions_{name}/0/instructions.jsonl"
    return Scene(
        backbone,
        settings,
        Environment(
            tokenizer=load_tokenizer(backbone),
            prompt=read_prompt(placed(experiment.prompts.instances, place), {"instruction"}),
            sampling=settings.sampling,
            judge=load_scorer(experiment.reward, model, evaluator),
            weights=experiment.reward.weights,
        ),
        read_records(pool, Instruction),
    )


def untrained(arguments: argparse.Namespace, folder: Path) -> Scene:
    """Random weights in a folder, a prompt of --prefix tokens, and rewards that need no judge."""
    model = random_model(arguments.shape)
    texts = [part for demonstration in DEMONSTRATIONS for part in demonstration]
    tokenizer = word_tokenizer(texts, model.config.vocab_size)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    del model
    paper = yaml.safe_load((ROOT / "config.yaml").read_text())
    paper["ppo"]["sampling"] |= {"max_new_tokens": arguments.tokens, "stop": []}
    paper["ppo"]["quantization"] = "nf4" if torch.cuda.is_available() else "none"
    experiment = read_experiment(paper)
    settings, weights = changed(experiment.ppo, arguments), experiment.reward.weights
    scored = dict.fromkeys(weighed(weights), 0.0)
    return Scene(
        folder,
        settings,
        Environment(
            tokenizer=load_tokenizer(folder),
            prompt=few_shot(tokenizer, arguments.prefix),
            sampling=settings.sampling,
            judge=lambda triplets: [dict(scored) for _ in triplets],
            weights=weights,
        ),
        made_up(max(64, settings.rollouts)),
    )


def pretrained(arguments: argparse.Namespace, folder: Path) -> Scene:
    """A pretrained model, the paper's prompt and seeds where a mirror holds them, and no judge."""
    paper = yaml.safe_load((ROOT / "config.yaml").read_text())
    paper["ppo"]["sampling"] |= {"max_new_tokens": arguments.tokens}
    paper["ppo"]["quantization"] = "nf4" if torch.cuda.is_available() else "none"
    paper["fetch"]["mirror"] = os.environ.get("REFINE_AF_MIRROR")
    experiment = read_experiment(paper)
    settings, weights = changed(experiment.ppo, arguments), experiment.reward.weights
    tokenizer = load_tokenizer(arguments.checkpoint)
    prompt, instructions = (
        few_shot(tokenizer, arguments.prefix),
        made_up(max(64, settings.rollouts)),
    )
    fetch = experiment.fetch
    if fetch and fetch.mirror:
        prompt = mirrored_prompt(fetch, folder)
        seeds = files.named_file("seed_tasks", fetch)
        (path,) = files.gathered([seeds], fetch, folder)
        texts = [json.loads(line)["instruction"] for line in path.read_text().splitlines()]
        instructions = [replace(instructions[0], instruction=text) for text in texts]
    scored = dict.fromkeys(weighed(weights), 0.0)
    environment = Environment(
        tokenizer=tokenizer,
        prompt=prompt,
        sampling=settings.sampling,
        judge=lambda triplets: [dict(scored) for _ in triplets],
        weights=weights,
    )
    return Scene(arguments.checkpoint, settings, environment, instructions)


def changed(ppo: Ppo, arguments: argparse.Namespace) -> Ppo:
    """The settings of a run: a step's rollouts make one update, of as many minibatches as asked."""
    count, parts = arguments.rollouts or ppo.rollouts, arguments.accumulation
    kept = ppo.model_dump(mode="json")
    kept |= {
        "steps": arguments.steps,
        "rollouts": count,
        "generations": 1,
        "epochs": arguments.epochs,
    }
    sizes = {"batch_size": count // parts, "gradient_accumulation_steps": parts}
    return Ppo.model_validate(kept | sizes | {"loss_mean": "minibatch"})


def show_speed(ways: Sequence[Found], skip: int) -> None:
    """Medians a step, without the first steps, in which memory is first taken."""
    print(
        "| way | rollouts, s | tokens/s | rewards, s | learning, s | a step, s | steps/s, ratio |"
    )
    print("|---|---|---|---|---|---|---|")
    first = None
    for way in ways:
        parts = [
            statistics.median(way.generation[skip:]),
            statistics.median((way.reward or [0.0])[skip:] or [0.0]),
        ]
        parts.append(statistics.median(way.learning[skip:]))
        rate = sum(way.drawn[skip:]) / sum(way.generation[skip:])
        total = sum(parts)
        first = first or total
        print(
            f"| {way.name} | {parts[0]:.2f} | {rate:,.0f} | {parts[1]:.2f} | {parts[2]:.2f} "
            f"| {total:.2f} | {first / total:.2f} |"
        )


def show_phases(ways: Sequence[Found], skip: int) -> None:
    """What learning is made of, in medians a step, and how long steps were as time passed."""
    print("\n| way | log-probabilities, s | updates, s | a step as time passed, s |")
    print("|---|---|---|---|")
    for way in (way for way in ways if way.scoring):
        updates = [whole - part for whole, part in zip(way.learning, way.scoring, strict=True)]
        medians = [statistics.median(part[skip:]) for part in (way.scoring, updates, way.wall)]
        print(f"| {way.name} | " + " | ".join(f"{value:.2f}" for value in medians) + " |")


def show_curves(ours: Found, replayed: Found, own: Found) -> None:
    """The learning curves, and how far the two trainers differ on the same rollouts."""
    fifth = max(1, len(ours.kl) // 8)
    print("\n| step | reward, ours | reward, TRL's own | KL, ours | KL, TRL on our rollouts |")
    print("|---|---|---|---|---|")
    for step in sorted({*range(0, len(ours.kl), fifth), len(ours.kl) - 1}):
        window = slice(max(0, step - 4), step + 1)
        means = [statistics.fmean(way.rewards[window]) for way in (ours, own)]
        print(
            f"| {step + 1} | {means[0]:.3f} | {means[1]:.3f} | {ours.kl[step]:.4f} "
            f"| {replayed.kl[step]:.4f} |"
        )
    print("\nRewards are means of five steps.")


def show_agreement(ours: Found, replayed: Found) -> None:
    """How far the two trainers are apart after the same updates on the same rollouts."""
    apart = max(abs(a - b) for a, b in zip(ours.kl, replayed.kl, strict=True))
    print(f"\nOn the same rollouts KL differs by {apart:.1e} nats at most, of {max(ours.kl):.4f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--experiment", type=Path, help="a folder whose stage 1 has run: demo")
    parser.add_argument("--model", help="one of its models; the first")
    parser.add_argument("--checkpoint", type=Path, help="the folder of a pretrained model")
    parser.add_argument("--shape", choices=SHAPES, help="a model of random weights instead")
    parser.add_argument("--prefix", type=int, default=2000, help="tokens of the demonstrations")
    parser.add_argument("--tokens", type=int, default=128, help="of a reply, at most")
    parser.add_argument("--rollouts", type=int, help="a step; as configured")
    parser.add_argument("--accumulation", type=int, default=1, help="minibatches of an update")
    parser.add_argument("--epochs", type=int, default=4, help="updates a step")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--warm-up", type=int, default=1, help="steps that no median counts")
    parser.add_argument("--trl", type=Path, help="where TRL's old release stands, or is put")
    parser.add_argument("--no-unshared", action="store_true", help="no prefix for every row")
    parser.add_argument("--no-trl", action="store_true", help="ours alone")
    arguments = parser.parse_args()
    chosen = [arguments.experiment, arguments.shape, arguments.checkpoint]
    if not any(chosen) and (named := os.environ.get("REFINE_AF_MODEL")):
        arguments.checkpoint = Path(named)
        chosen.append(named)
    if sum(entry is not None for entry in chosen) != 1:
        parser.error("one of --experiment, --checkpoint (or REFINE_AF_MODEL) and --shape")
    if arguments.steps <= arguments.warm_up:
        parser.error("--steps must exceed --warm-up")
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as place:
        run(arguments, Path(place))


def run(arguments: argparse.Namespace, place: Path) -> None:
    """Train every way, and print their tables; `place` holds what lies on disk meanwhile."""
    if arguments.experiment:
        scene = trained(arguments)
    elif arguments.checkpoint:
        scene = pretrained(arguments, place)
    else:
        scene = untrained(arguments, place / "model")
    prompt, tokenizer = scene.environment.prompt, scene.environment.tokenizer
    head = len(encode(tokenizer, prompt.prefix, start=True))
    print(
        f"{arguments.shape or scene.backbone.name}, {precision()}, {scene.settings.quantization}, "
        f"{head} shared tokens before each instruction, {scene.settings.rollouts} rollouts and "
        f"{scene.settings.epochs} updates a step of {arguments.accumulation} minibatches, "
        f"{scene.settings.steps} steps, on {place_name()}\n"
    )
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    ours, steps, _ = our_steps(scene, place / "adapter", "ours")
    peak = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None
    with read_anew():
        before = our_steps(scene, place / "anew", "ours, prefix read for each micro-batch")[0]
    ways = [ours, before]
    if not arguments.no_unshared:
        ways.append(our_steps(unshared(scene), place / "again", "ours, prefix not shared")[0])
    release = None if arguments.no_trl else installed(arguments.trl or place / "trl")
    if release:
        replayed = classic(scene, steps, place / "adapter", release, own=False)
        replayed.reward = ours.reward
        ways.append(replayed)
    if release and arguments.experiment:
        own = classic(scene, steps, place / "adapter", release, own=True)
        ways.append(own)
    show_speed(ways, arguments.warm_up)
    show_phases(ways, arguments.warm_up)
    if release:
        show_agreement(ours, replayed)
    if release and arguments.experiment:
        show_curves(ours, replayed, own)
    if peak is not None:
        seconds = statistics.median(map(sum, zip(ours.generation, ours.learning, strict=True)))
        print(f"\nPeak memory {peak / 2**30:.1f} GiB; 200 steps: {200 * seconds / 60:.0f} min.")


if __name__ == "__main__":
    main()
