"""The kinds of value that a setting can have, and the class that every section is."""

from __future__ import annotations

import os
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)

from refine_af.errors import doubled


def _number(value: Any) -> Any:
    """YAML 1.1 reads `2e-5` as text; a person means the number."""
    scientific = isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value)
    return float(value) if scientific else value


def _listed(value: Any) -> Any:
    """A set has no order, and text is no list of its characters."""
    if not isinstance(value, list | tuple):
        raise ValueError("not a list")
    return value


def _quoted(value: Any) -> Any:
    """A float is not what was written: 0.7 is 0.69999999999999995559."""
    if isinstance(value, int | float):
        raise ValueError(f'an exact decimal, so in quotes: "{value}"')
    return value


def _above_zero(value: str) -> str:
    if not Decimal(value) > 0:
        raise ValueError("a threshold of 0 is reached by every text")
    return value


def _distinct(value: tuple[object, ...]) -> tuple[object, ...]:
    if twice := doubled(value):
        raise ValueError(f"listed twice: {', '.join(twice)}")
    return value


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("holds a NUL character, which no path can")
    return value


def _may_be_a_path(value: str) -> str:
    if not value.isprintable():
        raise ValueError("holds a character that does not print, as no path here may")
    if max(len(os.fsencode(name)) for name in value.split("/")) > 255 or len(value) > 1000:
        raise ValueError("too long for a path")
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise ValueError("begins with ~ and the name of no user here") from None
    return value


# No setting needs more than a million, and what float32 cannot hold would fail late, elsewhere.
Real = Annotated[float, Field(allow_inf_nan=False, ge=-(10**6), le=10**6), BeforeValidator(_number)]
NotNegative = Annotated[Real, Field(ge=0)]
Positive = Annotated[Real, Field(gt=0)]
Share = Annotated[Real, Field(ge=0, le=1)]
# Far nearer to 1, (1 + confidence) / 2 would round to 1, whose normal quantile is infinite.
Confidence = Annotated[Real, Field(gt=0, le=0.999999)]
Count = Annotated[int, Field(ge=1, le=10**9)]
# Resamples of a bootstrap or draws of a permutation test: some tests hold them all in memory.
Draws = Annotated[int, Field(ge=1, le=100_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Texts = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(strict=False),
    BeforeValidator(_listed),
]
Distinct = AfterValidator(_distinct)
NAME = "[a-z0-9][a-z0-9.-]{0,99}"  # a part of the names of files
Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
Text = Annotated[str, StringConstraints(min_length=1), AfterValidator(_without_nul)]
FilePath = Annotated[Text, AfterValidator(_may_be_a_path)]
Threshold = Annotated[
    str,
    StringConstraints(pattern=r"^(0(\.[0-9]+)?|1(\.0+)?)$"),
    BeforeValidator(_quoted),
    AfterValidator(_above_zero),
]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Method = Literal["self-instruct", "refine-af"]


class Section(BaseModel):
    """Frozen, strict about types, and closed: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
