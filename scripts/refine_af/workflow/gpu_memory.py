"""Whether the weights of an experiment's models can stand on the GPU that it states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from refine_af.errors import InputError
from refine_af.models.stored_weights import TRAINED, Counts, stored_weights
from refine_af.settings.experiment import Experiment
from refine_af.workflow.paths import checkpoint_folder


def check_memory(experiment: Experiment, located: Callable[[str], str]) -> None:
    """InputError, with the key, where a backbone's weights alone are more than compute.gpu_mem_mb.

    Keys and values, activations, LoRA and the judges come on top of them, and are not counted.
    Says nothing where no memory is stated, and of a checkpoint that is not there yet.
    """
    stated = experiment.compute.gpu_mem_mb
    if stated is None:
        return
    for name, model in experiment.models.items():
        folder = Path(located(checkpoint_folder(model.checkpoint)))
        if not folder.exists():
            continue
        counts = stored_weights(folder)
        for stage, quantization, needed in _needs(experiment, counts):
            if needed > stated * 1e6:
                raise InputError(
                    f"config.yaml, models.{name}.checkpoint: {folder}: {stage} needs "
                    f"{needed / 1e6:,.0f} MB for the weights alone, and compute.gpu_mem_mb states "
                    f"{stated:,}{_why(quantization, counts)}"
                )


def _needs(experiment: Experiment, counts: Counts) -> Iterator[tuple[str, str, float]]:
    """Each stage that loads a backbone, how, and the bytes of its weights."""
    stages = ["instructions", "ppo", "instances", "sft", "superni", "users"]
    if experiment.instructions.engine == "server":
        stages.remove("instructions")
    for stage in stages:
        quantization = getattr(experiment, stage).quantization
        yield stage, quantization, counts.memory(quantization)
    if experiment.sft.tuning == "full":
        yield "sft, with tuning: full,", "none", counts.weights * TRAINED


def _why(quantization: str, counts: Counts) -> str:
    if quantization == "none":
        return ""
    return (
        f"; {counts.share:.0%} of its {counts.weights:,} weights can be held in 4 bits, tables of "
        "tokens and blocks of experts cannot"
    )
