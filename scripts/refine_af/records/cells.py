"""A model's cells: its baselines, and each method at each size."""

from __future__ import annotations

import re
from typing import get_args

from refine_af.errors import InputError, shown
from refine_af.settings.fields import Method

BASE = "base"  # the untuned model
TUNED = re.compile(r"(?P<method>self-instruct|refine-af)_(?P<size>\d+)")


def check_method(method: str) -> None:
    """InputError unless `method` is one that a command line may name."""
    if method not in get_args(Method):
        raise InputError(f"--method {shown(method)}: known are {', '.join(get_args(Method))}")


def method_and_size(cell: str) -> tuple[str, str]:
    """("refine-af", "5000") of the cell refine-af_5000; a baseline's name has no size."""
    tuned = TUNED.fullmatch(cell)
    return (tuned["method"], tuned["size"]) if tuned else (cell, "")
