"""Whether the weights of an experiment's models can stand on the GPU that it states."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from refine_af.errors import InputError
from refine_af.models.stored_weights import TRAINED, Counts, stored_weights
from refine_af.settings.experiment import Experiment
from refine_af.settings.reward import BUILT_IN
from refine_af.workflow.paths import checkpoint_folder
from refine_af.workflow.servers_plan import asking


def check_memory(experiment: Experiment, located: Callable[[str], str]) -> None:
    """InputError, with the key, where a backbone's weights alone are more than compute.gpu_mem_mb.

    The model of a scorer that is built in counts where it stands beside the backbone, in PPO. Keys
    and values, activations, LoRA and the judges of table I come on top, and are not counted. Says
    nothing where no memory is stated, and of a checkpoint that is not there yet.
    """
    stated = experiment.compute.gpu_mem_mb
    if stated is None:
        return
    for name, model in experiment.models.items():
        folder = Path(located(checkpoint_folder(model.checkpoint)))
        if not folder.exists():
            continue
        counts = stored_weights(folder).counts
        beside = _of_scorer(experiment, located, counts)
        for stage, quantization, needed in _needs(experiment, counts, beside):
            if needed > stated * 1e6:
                raise InputError(
                    f"config.yaml, models.{name}.checkpoint: {folder}: {stage} needs "
                    f"{needed / 1e6:,.0f} MB for the weights alone, and compute.gpu_mem_mb states "
                    f"{stated:,}{_why(quantization, counts)}"
                )


def _of_scorer(experiment: Experiment, located: Callable[[str], str], backbone: Counts) -> float:
    """Bytes of the weights of the model by which a scorer that is built in scores."""
    reward = experiment.reward
    if reward.scorer not in BUILT_IN:
        return 0.0
    folder = Path(located(checkpoint_folder(reward.model))) if reward.model else None
    if folder and not folder.exists():
        return 0.0
    counts = stored_weights(folder).counts if folder else backbone
    return counts.memory(reward.likelihood.quantization if reward.likelihood else "none")


def _needs(
    experiment: Experiment, counts: Counts, beside: float
) -> Iterator[tuple[str, str, float]]:
    """Each stage that loads a backbone, how, and the bytes of its weights.

    `beside` are those of the scorer, which PPO has on the GPU too.
    """
    stages = ["instructions", "ppo", "instances", "sft", "superni", "users"]
    for stage in [name for name in stages if name not in asking(experiment)]:
        quantization = getattr(experiment, stage).quantization
        if stage == "sft" and experiment.sft.tuning == "full":
            yield "sft, with tuning: full,", quantization, counts.weights * TRAINED
        elif stage == "ppo" and beside:
            yield "ppo, with its scorer,", quantization, counts.memory(quantization) + beside
        else:
            yield stage, quantization, counts.memory(quantization)


def _why(quantization: str, counts: Counts) -> str:
    if quantization == "none":
        return ""
    return (
        f"; {counts.share:.0%} of its {counts.weights:,} weights can be held in 4 bits, tables of "
        "tokens and blocks of experts cannot"
    )
