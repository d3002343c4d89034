"""Super-NI's second half: a cell's predictions joined, and the table of scores over all cells."""

from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.rows import read_records, write_records
from refine_af.files.tables import write_table
from refine_af.jobs.command_line import run
from refine_af.metrics.scores import by_id, read_instances
from refine_af.records.evaluation import Prediction
from refine_af.superni.table import (
    COLUMNS,
    check_cells,
    score_rows,
    scored,
    table_rows,
    with_copies,
)
from refine_af.superni.tasks import in_order


def predictions(*, instances: Path, parts: list[Path], predictions: Path) -> None:
    """Join the parts of a cell's predictions, in the order of the instances."""
    if not parts:
        raise InputError("--parts: names no file")
    files = [(path, read_records(path, Prediction)) for path in parts]
    write_records(predictions, in_order(read_instances(instances), files))


def table(*, instances: Path, predictions: list[Path], table: Path, scores: Path) -> None:
    """Score every cell's predictions, by task and by instance; a file's stem is its cell.

    The baselines that need no model are scored too.
    """
    check_cells(predictions)
    evaluated = read_instances(instances)
    cells = {}
    for path in predictions:
        cells[path.stem] = by_id(read_records(path, Prediction), evaluated, path)
        missing = [instance.id for instance in evaluated if instance.id not in cells[path.stem]]
        if missing:
            raise InputError(
                f"{path}: {len(missing)} of {len(evaluated)} instances have no prediction, "
                f"the first {missing[0]!r}"
            )
    shown = with_copies(evaluated, cells)
    found = scored(evaluated, shown)
    write_table(scores, ["id", "task", *shown], score_rows(evaluated, found))
    write_table(table, COLUMNS, table_rows(evaluated, shown, found))


if __name__ == "__main__":
    run(predictions, table)
