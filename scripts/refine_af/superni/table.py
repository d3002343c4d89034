"""The table of results over all cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from refine_af.errors import InputError
from refine_af.metrics.scores import Score, mean, score
from refine_af.records.cells import method_and_size
from refine_af.records.evaluation import EvaluationInstance, Prediction
from refine_af.settings.superni import COPIES
from refine_af.words import words_of

COLUMNS = (
    "method",
    "size",
    "cell",
    "task",
    "category",
    "instances",
    "rouge_l",
    "exact_match",
    "reply_words",
    "eos_share",
)


def check_cells(predictions: Sequence[Path]) -> None:
    """InputError unless each file is named after a cell of its own, which is no copy's."""
    if not predictions:
        raise InputError("--predictions: names no file")
    first: dict[str, Path] = {}
    for path in predictions:
        if path.stem in COPIES:
            raise InputError(f"{path}: {path.stem!r} is in every table, and needs no predictions")
        if path.stem in first:
            raise InputError(f"{path}: the cell {path.stem!r} is that of {first[path.stem]} too")
        first[path.stem] = path


def copies(instances: Sequence[EvaluationInstance]) -> dict[str, dict[str, Prediction]]:
    """The predictions of the baselines that need no model, by instance id; none is cut off.

    They give scores a scale: copying the first demonstration gives 28.5 on the official
    instances (Tk-Instruct@7c0e4000, README).
    """
    said = {
        row.id: dict(zip(COPIES, (row.demonstration, row.input, ""), strict=True))
        for row in instances
    }
    return {
        copy: {id: Prediction(id, texts[copy].strip(), finished=True) for id, texts in said.items()}
        for copy in COPIES
    }


def with_copies(
    instances: Sequence[EvaluationInstance], cells: Mapping[str, Mapping[str, Prediction]]
) -> dict[str, Mapping[str, Prediction]]:
    """All cells: the untuned models, the copies, then the tuned models."""
    tuned = {cell: rows for cell, rows in cells.items() if method_and_size(cell)[1]}
    untuned = {cell: rows for cell, rows in cells.items() if cell not in tuned}
    return untuned | dict(copies(instances)) | tuned


def scored(
    instances: Sequence[EvaluationInstance], cells: Mapping[str, Mapping[str, Prediction]]
) -> dict[str, list[Score]]:
    """Each cell's scores, in the order of the instances.

    `cells` gives for each cell its predictions by instance id, one for every instance.
    """
    return {
        cell: [score(predictions[row.id].prediction, row.references) for row in instances]
        for cell, predictions in cells.items()
    }


def table_rows(
    instances: Sequence[EvaluationInstance],
    cells: Mapping[str, Mapping[str, Prediction]],
    scores: Mapping[str, Sequence[Score]],
) -> list[dict[str, str | int | float]]:
    """A row a cell and task, of `COLUMNS`; scores ×100, to 4 decimals.

    `scores` are those that `scored` gives for `cells`.
    """
    tasks: dict[tuple[str, str], list[int]] = {}
    for place, instance in enumerate(instances):
        tasks.setdefault((instance.task, instance.category), []).append(place)
    rows: list[dict[str, str | int | float]] = []
    for cell, predictions in cells.items():
        method, size = method_and_size(cell)
        for (task, category), places in tasks.items():
            found = [predictions[instances[place].id] for place in places]
            words = sum(len(words_of(row.prediction)) for row in found)
            finished = sum(row.finished for row in found)
            rows.append(
                {
                    "method": method,
                    "size": size,
                    "cell": cell,
                    "task": task,
                    "category": category,
                    **mean([scores[cell][place] for place in places]),
                    "reply_words": round(words / len(places), 4),
                    "eos_share": round(finished / len(places), 4),
                }
            )
    return rows


def score_rows(
    instances: Sequence[EvaluationInstance], scores: Mapping[str, Sequence[Score]]
) -> list[dict[str, str | float]]:
    """A row an instance: `id`, `task`, and by cell its ROUGE-L ×100, to 4 decimals."""
    return [
        {
            "id": instance.id,
            "task": instance.task,
            **{cell: round(100 * column[place].rouge_l, 4) for cell, column in scores.items()},
        }
        for place, instance in enumerate(instances)
    ]
