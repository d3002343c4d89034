"""What a run was foretold to cost, as it is kept from when it begins until the report is made."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.files.digests import sha256_of_text
from refine_af.files.documents import read_document
from refine_af.files.rows import as_records

SECTION = re.compile(r"^forecast:.*\n(?:[ -].*\n)*", re.MULTILINE)  # a key and what belongs to it


@dataclass(frozen=True)
class ForetoldStage:
    """A model's stage: its jobs, and their seconds of GPUs or of the processor, as a range.

    The seconds are None where nothing could be foretold.
    """

    model: str
    stage: str
    jobs: int
    least_s: float | None
    likeliest_s: float | None
    most_s: float | None


@dataclass(frozen=True)
class KeptForecast:
    """When it was made, for which settings, and of which machine: a GPU, or else a CPU.

    `rests_on` says in words what was known of the machine.
    """

    made: str
    settings_sha256: str
    machine: str
    rests_on: str
    gpu: bool
    stages: list[ForetoldStage]


def digest_of_settings(resolved: str) -> str:
    """The digest of a resolved config.yaml without its section `forecast`: what a run has to do."""
    return sha256_of_text(SECTION.sub("", resolved, count=1))


def read_forecast(path: Path) -> KeptForecast:
    """What was kept. InputError, with file and value, where it is damaged."""
    document = read_document(path)
    rows = document.get("stages")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError(f"{path}: 'stages' is no list of stages: {shown(rows)}")
    stages = as_records([(f"{path}, stages", row) for row in rows], ForetoldStage)
    for each in stages:
        if not _is_range(each.least_s, each.likeliest_s, each.most_s):
            raise InputError(f"{path}: {each.model}, {each.stage}: no range of seconds")
    (kept,) = as_records([(str(path), {**document, "stages": stages})], KeptForecast)
    return kept


def _is_range(least: float | None, likeliest: float | None, most: float | None) -> bool:
    if least is None or likeliest is None or most is None:
        return least is likeliest is most is None
    return 0 <= least <= likeliest <= most < math.inf
