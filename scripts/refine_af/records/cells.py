"""A model's cells: its baselines, and each method at each size, trained once or several times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import get_args

from refine_af.errors import InputError, shown
from refine_af.settings.fields import Method

BASE = "base"  # the untuned model
DATA_SET = re.compile(r"(?P<method>self-instruct|refine-af)(?:_r(?P<ppo>\d+))?")
TUNED = re.compile(rf"{DATA_SET.pattern}_(?P<size>\d+)(?:_r(?P<sft>\d+))?")


@dataclass(frozen=True)
class Tuned:
    """A tuned cell: its method and size, and which runs of stage 2 and of fine-tuning made it.

    The first replicate has number 1, and names nothing.
    """

    method: str
    size: str
    ppo: int = 1
    sft: int = 1

    @property
    def data_set(self) -> str:
        """The instances it is tuned on: `refine-af`, or `refine-af_r2` of stage 2's second run."""
        return replicated(self.method, self.ppo)

    @property
    def name(self) -> str:
        """The name that stands in paths: `refine-af_5000`, `refine-af_r2_5000_r3`."""
        return replicated(f"{self.data_set}_{self.size}", self.sft)


def replicated(name: str, number: int) -> str:
    """The name of what another seed makes: that of the first replicate stays as it is."""
    return name if number == 1 else f"{name}_r{number}"


def served_as(model: str, adapter: str) -> str:
    """What a server calls an adapter of its `model`: `ppo`, `ppo_r2` or a cell; "" is the model."""
    return f"{model}-{adapter}" if adapter else model


def tuned_cell(name: str) -> Tuned | None:
    """The tuned cell of a name; None of a baseline's."""
    found = TUNED.fullmatch(name)
    if found is None:
        return None
    ppo, sft = (int(found[part] or 1) for part in ("ppo", "sft"))
    return Tuned(found["method"], found["size"], ppo, sft)


def method_and_replicate(data_set: str) -> tuple[str, int]:
    """Who wrote a data set, and which run of stage 2 taught it: ("refine-af", 2) of refine-af_r2.

    InputError where it is no data set's name.
    """
    found = DATA_SET.fullmatch(data_set)
    if found is None:
        raise InputError(f"{shown(data_set)} is no data set of {', '.join(get_args(Method))}")
    return found["method"], int(found["ppo"] or 1)


def check_method(method: str) -> None:
    """InputError unless `method` is one that a command line may name."""
    if method not in get_args(Method):
        raise InputError(f"--method {shown(method)}: known are {', '.join(get_args(Method))}")


def method_and_size(cell: str) -> tuple[str, str]:
    """("refine-af", "5000") of the cell refine-af_5000; a baseline's name has no size."""
    tuned = tuned_cell(cell)
    return (tuned.method, tuned.size) if tuned else (cell, "")
