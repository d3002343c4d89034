"""The rounds in which stage 3 asks for replies: a job takes whole ones, whichever they are."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError
from refine_af.prompts.templates import Prompt
from refine_af.randomness import derived_seed
from refine_af.records.cells import check_method
from refine_af.records.instances import Template
from refine_af.records.instructions import Instruction
from refine_af.settings.instances import Instances
from refine_af.settings.sampling import Sampling


def adapter_of(method: str, ppo: Path | None) -> Path | None:
    """The adapter with which a method writes: PPO's for refine-af, none for self-instruct.

    InputError where the method is unknown, or does not go with `ppo`.
    """
    check_method(method)
    if (method == "refine-af") != (ppo is not None):
        raise InputError(f"--ppo {ppo}: refine-af needs PPO's folder, self-instruct takes none")
    return ppo / "adapter" if ppo else None


@dataclass(frozen=True)
class Part:
    """The instructions of a round that are asked alike, by their places in it."""

    template: Template
    places: list[int]
    sampling: Sampling


def parts_of(
    rows: Sequence[Instruction], settings: Instances, classification: Set[str]
) -> list[Part]:
    """A round as it is asked: `classification` tasks, named by their ids, output first.

    The limits are self-instruct@0b26ccaa's, generate_instances.py.
    """
    branch = settings.classification
    if branch is None or classification.isdisjoint({row.id for row in rows}):
        return [Part("input first", list(range(len(rows))), settings.sampling)]
    places: dict[Template, list[int]] = {"input first": [], "output first": []}
    for place, row in enumerate(rows):
        places["output first" if row.id in classification else "input first"].append(place)
    limit = {"max_new_tokens": branch.max_new_tokens}
    shorter = settings.sampling.model_copy(update=limit)
    others = shorter if branch.shortens == "round" else settings.sampling
    samplings: dict[Template, Sampling] = {"input first": others, "output first": shorter}
    return [Part(name, found, samplings[name]) for name, found in places.items() if found]


def requests_of(
    rows: Sequence[Instruction], settings: Instances, prompt: Prompt
) -> tuple[Sequence[str], list[int]]:
    """The tails of a round's prompts, and each reply's seed (paper, section II-D).

    Both depend on the settings and on the instruction's own id and text alone.
    """
    tails = [prompt.tail(instruction=row.instruction.strip()) for row in rows]
    return tails, [derived_seed(settings.seed, "sampling", row.id) for row in rows]
