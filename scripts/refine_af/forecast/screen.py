"""The forecast in plain words, on one screen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refine_af.forecast.assumptions import Estimate
from refine_af.forecast.hours import Row

if TYPE_CHECKING:
    from refine_af.forecast.memory import Needed

STAGES = {
    "instructions": "1 instructions",
    "ppo": "2 ppo",
    "instances": "3 instances",
    "sft": "fine-tuning",
    "superni": "Super-NI",
    "users": "users",
}
COLUMNS = "{:<16}{:>5}  {:<22}{:<24}{:<19}{}"


@dataclass(frozen=True)
class Fetched:
    """A checkpoint that the run begins from: bytes of its files, 0 where nobody knows; whether it
    is here already, and whether its licence is to be accepted on the hub first.
    """

    name: str
    stored: float
    here: bool
    gated: bool


@dataclass(frozen=True)
class Told:
    """All that the screen tells. `texts` and `tuned` are bytes of text and of trained weights;
    `needed` has the memory of stages, and `least` that of one text at a time, by model and stage.
    """

    machine: str
    rests_on: str
    gpu: bool
    memory: float
    rows: Sequence[Row]
    total: Estimate
    kept: int
    checkpoints: Sequence[Fetched]
    texts: float
    tuned: float
    needed: Mapping[tuple[str, str], Needed]
    least: Mapping[tuple[str, str], float]


def screen(told: Told) -> str:
    """The text, without a line end behind it."""
    unit = "GPU-hours" if told.gpu else "CPU-hours"
    memory = "GPU memory, GB" if told.gpu else "memory, GB"
    head = COLUMNS.format("", "jobs", unit, "longest job, h", memory, "widened most by")
    return "\n".join([*_counts(told), "", head.rstrip(), *_stages(told), *_sums(told, unit)])


def _counts(told: Told) -> Iterator[str]:
    jobs = sum(row.jobs for row in told.rows)
    yield f"jobs       {jobs:,} that run a model (all: snakemake -n --quiet rules)"
    yield f"rows       {told.kept:,} instances, where every reply holds one"
    missing = [one for one in told.checkpoints if not one.here]
    known = sum(one.stored for one in missing)
    unknown = [one.name for one in missing if not one.stored]
    more = f", and {', '.join(unknown)}, whose size is not known" if unknown else ""
    parts = f"{_gb(known)} GB for {len(missing)} checkpoints{more}; data sets come on top"
    yield f"downloads  {parts if missing else 'no checkpoint'}"
    gated = [one.name for one in missing if one.gated]
    yield f"licences   {'to accept on the hub: ' + ', '.join(gated) if gated else 'none to accept'}"
    models = sum(one.stored for one in told.checkpoints)
    disk = models + told.texts + told.tuned
    yield (
        f"disk       {_gb(disk)} GB: checkpoints {_gb(models)}, what is trained "
        f"{_gb(told.tuned)}, texts and logs {_gb(told.texts)}"
    )
    yield f"machine    {told.machine}: {told.rests_on}"


def _stages(told: Told) -> Iterator[str]:
    model = None
    for row in told.rows:
        if row.model != model:
            model = row.model
            yield model
        name = f"  {STAGES[row.stage]}"
        if row.spent is None or row.longest is None:
            yield COLUMNS.format(name, row.jobs, f"– ({row.why})", "", "", "").rstrip()
            continue
        spent, longest = hours(row.spent), hours(row.longest)
        memory = _memory(told, (row.model, row.stage))
        yield COLUMNS.format(name, row.jobs, spent, longest, memory, row.why).rstrip()


def _memory(told: Told, key: tuple[str, str]) -> str:
    """`65.1 (14.3 or more)`: what is taken, and with how much a stage gets on."""
    needed = told.needed.get(key)
    if needed is None:
        return "–"
    least = told.least.get(key, 0.0)
    over = (
        " too much"
        if told.gpu and max(least, needed.total if not least else 0) > told.memory
        else ""
    )
    return f"{_gb(needed.total)}{f' ({_gb(least)})' if least else ''}{over}"


def _sums(told: Told, unit: str) -> Iterator[str]:
    yield f"{'all':<23}{hours(told.total)} {unit}"
    yield ""
    yield "Hours: likeliest (least to most), by what section forecast of config.yaml assumes. The"
    yield "other stages take minutes on a CPU. Memory: at the replies' likeliest length, and for"
    yield "stages that only write (with one text at a time), where less memory means more hours."


def hours(found: Estimate) -> str:
    """Seconds in hours: `1.8 (1.4 to 3)`."""
    least, likeliest, most = (value / 3600 for value in found.triple)
    return f"{_short(likeliest)} ({_short(least)} to {_short(most)})"


def _short(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}" if hours < 10 else f"{hours:.0f}"


def _gb(size: float) -> str:
    return f"{size / 1e9:.1f}"
