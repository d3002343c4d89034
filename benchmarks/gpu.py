"""What a GPU gives, and whether it is right: checks first, then the shapes of two 7B models.

A part that fails, lacks a library or has no time left says so, and the others go on; gpu.json and
gpu.md are written after each. Weights are random, and replies all have --tokens tokens. Without a
GPU the same runs on a CPU, for which --tiny is there.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from ways import (
    ROOT,
    bandwidth,
    few_shot,
    made_up,
    ours,
    place_name,
    read_in_a_step,
    timed,
)

sys.path.insert(1, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.errors import InputError
from refine_af.models.backbones import device, load_backbone, load_tokenizer
from refine_af.prompts.templates import read_prompt
from refine_af.settings.sampling import Sampling

Figures = dict[str, float | str]
# What the projection takes for granted: of the paper's grid, and of what a reply holds.
INSTRUCTIONS, METHODS, SIZES, EPOCHS, STEPS = 15_000, 2, (5_000, 10_000, 15_000), 3, 200
ITEMS, YIELD, REPLY, ANSWER = 7, 0.4, 160, 128


@dataclass(frozen=True)
class Scale:
    """How much of each stage is measured."""

    shapes: tuple[str, ...]
    checked: str  # the shape of the checks
    batches: tuple[int, ...]
    tokens: int
    prefix: int
    rollouts: int
    steps: int
    updates: int
    tasks: int


FULL = Scale(("llama-2-7b", "mistral-7b"), "20m", (32, 64, 128, 256), 64, 1600, 16, 3, 6, 8)
TINY = Scale(("1m", "1m-mistral"), "1m", (2, 4), 4, 60, 4, 2, 2, 2)


class Scene:
    """A shape's checkpoint on disk, and what the parts load of it."""

    def __init__(self, shape: str, scale: Scale, folder: Path) -> None:
        import ppo as stage_2

        self.scale, self.folder = scale, folder / shape
        parts = scale.rollouts // 4
        self.asked = Namespace(shape=shape, prefix=scale.prefix, tokens=scale.tokens, epochs=4)
        vars(self.asked).update(rollouts=scale.rollouts, steps=scale.steps, accumulation=parts)
        self.ppo = stage_2.untrained(self.asked, self.folder)
        self.quantization = "nf4" if quantizes() else "none"
        kept = {"quantization": self.quantization}
        self.ppo.settings = self.ppo.settings.model_copy(update=kept)
        self.tokenizer = load_tokenizer(self.folder)

    def model(self) -> Any:
        """The weights as published, 16 bits each on a GPU."""
        return load_backbone(self.folder, quantization="none")

    def sampling(self, temperature: float) -> Sampling:
        return Sampling(
            temperature=temperature,
            top_p=0.5 if temperature else 1.0,
            min_p=0.0,
            presence_penalty=0.0,
            max_new_tokens=self.scale.tokens,
            stop=(),
        )


def quantizes() -> bool:
    return torch.cuda.is_available() and find_spec("bitsandbytes") is not None


# ---- what must hold -------------------------------------------------------------------------


def bound_of(dtype: torch.dtype) -> float:
    """How far logits may be apart, as a share: the bound that every stage checks batches by."""
    return float(torch.finfo(dtype).eps ** 0.5)


def held(far: float, bound: float) -> Figures:
    if not far <= bound:
        raise InputError(f"{far:.2g} apart, and {bound:.2g} is the bound")
    return {"apart": far, "bound": bound}


def batches_equal_single_rows(scene: Scene) -> Figures:
    """By what each stage tries on its model before it generates."""
    from refine_af.engines.self_check import check_batching

    model = scene.model()
    check_batching(model, scene.tokenizer)
    return {"bound": bound_of(model.dtype)}


def nf4_is_as_on_a_cpu(scene: Scene) -> Figures:
    ids = torch.arange(3, 43)[None]
    here = load_backbone(scene.folder, quantization="nf4")
    there = load_backbone(
        scene.folder, quantization="nf4", dtype=torch.float32, place=torch.device("cpu")
    )
    with torch.inference_mode():
        found = here(input_ids=ids.to(here.device)).logits.float().cpu()
        wanted = there(input_ids=ids).logits.float()
    return held(float((found - wanted).norm() / wanted.norm()), bound_of(here.dtype))


def ratio_begins_at_one(scene: Scene) -> Figures:
    """Of new to old probabilities, in all micro-batches before the first update."""
    from refine_af.ppo import learner
    from refine_af.ppo.advantages import policy_losses

    seen: list[torch.Tensor] = []

    def watched(log_ratios: torch.Tensor, *others: Any) -> torch.Tensor:
        seen.append(log_ratios.detach().abs().max())
        return policy_losses(log_ratios, *others)

    with patch.object(learner, "policy_losses", watched):
        step_of(scene)
    first = seen[: scene.asked.accumulation]
    return held(float(torch.stack(first).max()), 1e-3) | {
        "log ratios after updates": float(seen[-1])
    }


def memory_that_runs_out_halves_the_batch(scene: Scene) -> Figures:
    """By an allocation of 2^50 bytes, which no machine grants, where a micro-batch is whole."""
    from refine_af.ppo.learner import Learner

    predict, half = Learner._predict, scene.ppo.settings.batch_size // 2

    def short(self: Learner, prefix: Any, rows: Sequence[Any], width: int) -> Any:
        if len(rows) > half:
            torch.empty(2**50, dtype=torch.uint8, device=device())
        return predict(self, prefix, rows, width)

    with patch.object(Learner, "_predict", short):
        learner = step_of(scene).learner
    if learner.micro_batch != half:
        raise InputError(f"went on with {learner.micro_batch} rows, where {half} fit")
    return {"rows": half}


def step_of(scene: Scene) -> Any:
    """A trainer after one step of PPO."""
    from refine_af.ppo.policy import new_policy
    from refine_af.ppo.training import PpoTrainer

    settings = scene.ppo.settings
    policy = new_policy(scene.folder, settings.lora, quantization=settings.quantization, seed=0)
    trainer = PpoTrainer(policy, scene.ppo.environment, settings)
    trainer.step(scene.ppo.instructions)
    return trainer


def without_padding_the_losses_stay(scene: Scene) -> Figures:
    """Of every update: of rows in one sequence, and of rows padded to one length."""
    from refine_af.sft import training

    losses = []
    for free in (True, False):
        with patch.object(training, "without_padding", lambda *_, free=free, **__: free):
            losses.append([row["loss"] for row in tuned(scene)[1].history])
    far = max(abs(a - b) / abs(b) for a, b in zip(*losses, strict=True))
    return held(far, bound_of(torch.bfloat16))


def tuned(scene: Scene) -> Any:
    """Fine-tuning as its own benchmark has it, of a few updates."""
    import sft as tuning
    from refine_af.sft.batches import rows_an_update

    settings = tuning.settings_of(Namespace()).model_copy(
        update={"quantization": scene.quantization}
    )
    count = rows_an_update(settings) * scene.scale.updates
    rows = tuning.made_up(count, len(scene.tokenizer))
    return rows, tuning.trained(scene.folder, rows, settings, 8, True)


CHECKS: tuple[Callable[[Scene], Figures], ...] = (
    batches_equal_single_rows,
    nf4_is_as_on_a_cpu,
    ratio_begins_at_one,
    without_padding_the_losses_stay,
    memory_that_runs_out_halves_the_batch,
)

# ---- how fast -------------------------------------------------------------------------------


def stage_1(scene: Scene) -> Figures:
    """Tokens a second by batch, and the share of what reading the memory alone would give."""
    import instructions as listing

    prompt = read_prompt(ROOT / "resources" / "prompts" / "instructions.txt", {"tasks"})
    lines = [f"Task {n}: {text}\n" for n, text in enumerate(listing.DEMONSTRATIONS, 1)]
    model, tail, copied = scene.model(), "".join([*lines, "Task 9:"]), bandwidth()
    engine = ours(model, scene.tokenizer, prompt.prefix, scene.sampling(0.7))
    engine([tail], [0])  # the first call pays for loading
    found: Figures = {"GB/s of a copy": copied / 1e9}
    for size in scene.scale.batches:
        seconds, replies = timed(partial(engine, [tail] * size, range(size)))
        rate = sum(reply.tokens for reply in replies) / seconds
        seen = replies[0].prompt_tokens + replies[0].tokens / 2
        bound = size * copied / sum(read_in_a_step(model, size, seen))
        found |= {f"tokens/s at {size}": rate, f"of the bandwidth's at {size}": rate / bound}
    return found


def stage_3(scene: Scene) -> Figures:
    """Tokens a second behind demonstrations that all prompts share."""
    size = max(scene.scale.batches)
    prompt = few_shot(scene.tokenizer, scene.scale.prefix)
    tails = [prompt.tail(instruction=row.instruction) for row in made_up(size)]
    engine = ours(scene.model(), scene.tokenizer, prompt.prefix, scene.sampling(0.0))
    engine(tails[:1], [0])
    seconds, replies = timed(lambda: engine(tails, range(size)))
    return {"rows": size, "tokens/s": sum(reply.tokens for reply in replies) / seconds}


def ppo(scene: Scene) -> Figures:
    """Seconds of a step by phase, in medians without the first, and the most memory."""
    import ppo as stage_2

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    way, _, _ = stage_2.our_steps(scene.ppo, scene.folder / "adapter", "ours")
    phases = {"generation": way.generation, "log-probabilities": way.scoring, "a step": way.wall}
    phases["updates"] = [a - b for a, b in zip(way.learning, way.scoring, strict=True)]
    found: Figures = {f"s, {name}": statistics.median(s[1:]) for name, s in phases.items()}
    if torch.cuda.is_available():
        found["GiB at most"] = torch.cuda.max_memory_allocated() / 2**30
    return found | {"quantization": scene.quantization}


def sft(scene: Scene) -> Figures:
    """Tokens a second of every update but the first, a median."""
    rows, found = tuned(scene)
    rate = statistics.median([row["tokens_per_s"] for row in found.timing][1:])
    return {"tokens/s": rate, "tokens a row": statistics.fmean(len(r.input_ids) for r in rows)}


def superni(scene: Scene) -> Figures:
    """Instances a second, tasks side by side."""
    import yaml

    import superni as evaluation
    from refine_af.engines.greedy import greedy
    from refine_af.settings.superni import Superni
    from refine_af.superni.zero_shot import rounds_of, task_prompts

    paper = yaml.safe_load((ROOT / "config.yaml").read_text())
    settings = Superni.model_validate(paper["superni"] | {"quantization": "none"})
    prompt = read_prompt(ROOT / paper["prompts"]["superni"], {"definition", "input"})
    rows = evaluation.made_up(scene.scale.tasks, 16)
    tasks = list(task_prompts(rows, prompt, settings, scene.tokenizer))
    rounds = [[task.group for task in made] for made in rounds_of(tasks, len(rows))]
    limit = greedy(2 * scene.scale.tokens, ())
    stage, _ = evaluation.as_the_stage(scene.model(), scene.tokenizer, rounds, limit)
    return {"instances": len(rows), "instances/s": len(rows) / stage.seconds}


MEASURES: tuple[Callable[[Scene], Figures], ...] = (stage_1, stage_3, ppo, sft, superni)


def projected(found: dict[str, Figures], batch: int) -> Figures:
    """Hours of the paper's grid for one model, of the stages that were measured; see the head."""

    def of(part: str, name: str) -> float:
        return float(found[part][name])

    hours: dict[str, Callable[[], float]] = {
        "stage 1": lambda: (
            INSTRUCTIONS / (YIELD * ITEMS) * REPLY / of("stage_1", f"tokens/s at {batch}")
        ),
        "PPO": lambda: STEPS * of("ppo", "s, a step"),
        "stage 3": lambda: METHODS * INSTRUCTIONS * ANSWER / of("stage_3", "tokens/s"),
        "SFT": lambda: (
            METHODS * sum(SIZES) * EPOCHS * of("sft", "tokens a row") / of("sft", "tokens/s")
        ),
        "Super-NI": lambda: (1 + METHODS * len(SIZES)) * 11_810 / of("superni", "instances/s"),
    }
    needed = {"stage 1": "stage_1", "PPO": "ppo", "stage 3": "stage_3", "SFT": "sft"}
    needed["Super-NI"] = "superni"
    known = [name for name in hours if needed[name] in found]
    return {f"h, {name}": hours[name]() / 3600 for name in known}


# ---- one part after another -----------------------------------------------------------------


class Account:
    """What became of each part, on disk after each, until there is no time left."""

    def __init__(self, out: Path, seconds: float) -> None:
        self._out, self._limit, self._began = out, seconds, time.monotonic()
        self.parts: list[dict[str, Any]] = []

    def part(self, name: str, of: str, work: Callable[[], Figures]) -> Figures | None:
        """Do a part, where there is time; its figures, or None where it did not come to its end."""
        began, figures, state = time.monotonic(), None, "skipped: no time left"
        if began - self._began < self._limit:
            try:
                figures, state = work(), "done"
            except ModuleNotFoundError as error:
                state = f"skipped: {error}"
            except Exception as error:  # the other parts go on
                state = f"failed: {type(error).__name__}: {str(error)[:300]}"
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        self.parts.append({"part": name, "of": of, "state": state, "figures": figures or {}})
        self.parts[-1]["seconds"] = round(time.monotonic() - began, 1)
        self._write()
        print(f"{of}, {name}: {state}", flush=True)
        return figures

    def _write(self) -> None:
        head: dict[str, Any] = {"device": place_name(), "torch": torch.__version__}
        head["cuda"] = torch.version.cuda
        head["seconds"] = round(time.monotonic() - self._began, 1)
        (self._out / "gpu.json").write_text(json.dumps(head | {"parts": self.parts}, indent=1))
        (self._out / "gpu.md").write_text("\n".join(self._markdown(head)) + "\n")

    def _markdown(self, head: dict[str, Any]) -> Iterator[str]:
        yield f"{head['device']}, torch {head['torch']}, {head['seconds']:,.0f} s in all\n"
        yield "| model | part | s | what became of it | figures |\n|---|---|---|---|---|"
        for row in self.parts:
            told = ", ".join(f"{name} {shown(value)}" for name, value in row["figures"].items())
            state = row["state"].replace("|", "\\|").replace("\n", " ")
            yield f"| {row['of']} | {row['part']} | {row['seconds']} | {state} | {told} |"


def shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def run(scale: Scale, account: Account, folder: Path) -> None:
    """All parts, those that must hold first."""
    groups = [(scale.checked, CHECKS), *((shape, MEASURES) for shape in scale.shapes)]
    for shape, works in groups:
        scenes: list[Scene] = []

        def made(shape: str = shape, scenes: list[Scene] = scenes) -> Figures:
            scenes.append(Scene(shape, scale, folder))
            return {}

        account.part("weights", shape, made)
        found: dict[str, Figures] = {}
        for work in works if scenes else ():
            figures = account.part(work.__name__, shape, partial(work, scenes[0]))
            found |= {work.__name__: figures} if figures is not None else {}
        if found and works is MEASURES:
            account.part("projection", shape, partial(projected, found, max(scale.batches)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.json and gpu.md")
    parser.add_argument("--seconds", type=float, default=420, help="after which no part begins")
    parser.add_argument("--tiny", action="store_true", help="shapes that a CPU runs through")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    account = Account(arguments.out, arguments.seconds)
    memory = "/dev/shm" if Path("/dev/shm").is_dir() and not arguments.tiny else None
    with tempfile.TemporaryDirectory(dir=memory) as place:  # 7B weights are 13 GB there
        run(TINY if arguments.tiny else FULL, account, Path(place))
    if any(part["state"].startswith("failed") for part in account.parts):
        sys.exit("error: a part failed: see gpu.md")


if __name__ == "__main__":
    main()
