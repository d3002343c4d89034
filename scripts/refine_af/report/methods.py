"""refine-af against self-instruct, number by number: rewards of instances, ROUGE-L, tasks won."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from refine_af.metrics.significance import Wins, flip_test, mean_over_tasks, wins
from refine_af.randomness import derived_seed
from refine_af.records.instances import Instance
from refine_af.report.changes import Change, difference_of
from refine_af.report.finished_run import ModelRun
from refine_af.report.summaries import sizes
from refine_af.settings.report import Report

METHODS = ("self-instruct", "refine-af")


@dataclass(frozen=True)
class Compared:
    """ROUGE-L of refine-af less self-instruct's at a size.

    `rouge_l` has the interval for other instances of the same tasks, `low` and `high` are the
    ends of the one for other tasks; `p` is of the permutation test over tasks.
    """

    size: str
    rouge_l: Change
    low: float
    high: float
    p: float
    wins: Wins


def compared(run: ModelRun, settings: Report) -> list[Compared]:
    """Size by size; nothing where one of the two methods was not run."""
    if not set(METHODS) <= set(run.scores["method"]):
        return []
    return [_compared(run, size, settings) for size in sizes(run.scores)]


def rewards(run: ModelRun, settings: Report) -> dict[str, Change]:
    """The reward of instances and its components, paired by instruction.

    Of several instances of an instruction the mean counts. Empty where one of the methods was not
    run, or no instruction has an instance of both.
    """
    if not set(METHODS) <= run.instances.keys():
        return {}
    before, after = (_by_instruction(run.instances[method]) for method in METHODS)
    shared = [name for name in before if name in after]
    return {
        name: difference_of(
            [before[key][name] for key in shared],
            [after[key][name] for key in shared],
            settings,
            derived_seed(settings.seed, run.name, "instances", name),
        )
        for name in (before[shared[0]] if shared else ())
        if all(name in found[key] for found in (before, after) for key in shared)
    }


def _compared(run: ModelRun, size: str, settings: Report) -> Compared:
    seeds = [
        derived_seed(settings.seed, run.name, what, int(size))
        for what in ("rouge_l", "wins", "permutation")
    ]
    before, after = (run.instance_scores[f"{method}_{size}"].to_list() for method in METHODS)
    differences = [new - old for old, new in zip(before, after, strict=True)]
    tasks = run.instance_scores["task"].to_list()
    base = run.scores[run.scores["method"] == "base"]
    categories = dict(zip(base["task"], base["category"], strict=True))
    _, low, high = mean_over_tasks(differences, tasks, confidence=settings.confidence)
    return Compared(
        size=size,
        rouge_l=difference_of(before, after, settings, seeds[0]),
        low=low,
        high=high,
        p=flip_test(differences, tasks, draws=settings.resamples, seed=seeds[2]),
        wins=wins(
            differences,
            tasks,
            categories if settings.count_wins_over == "paper" else None,
            confidence=settings.confidence,
            resamples=settings.resamples,
            seed=seeds[1],
        ),
    )


def _by_instruction(instances: Sequence[Instance]) -> dict[str, dict[str, float]]:
    """Reward and components of each instruction, in the order of its first instance."""
    found: dict[str, dict[str, list[float]]] = {}
    for row in instances:
        values = found.setdefault(row.instruction_id, {})
        for name, value in {"reward": row.reward, **row.components}.items():
            values.setdefault(name, []).append(value)
    return {key: {name: fmean(each) for name, each in own.items()} for key, own in found.items()}
