"""Replies to instructions whose answers a rule checks: how many of each model's are right."""

from pathlib import Path

from refine_af.errors import InputError
from refine_af.files.rows import read_records
from refine_af.files.tables import write_table
from refine_af.jobs.command_line import run
from refine_af.metrics import checkable
from refine_af.records.evaluation import UserPrediction


def main(*, instructions: Path, predictions: Path, table: Path) -> None:
    """Write how many of the predictions are right: a row for each model, cell and solver."""
    items = checkable.read_checkable(instructions)
    replies = read_records(predictions, UserPrediction)
    if not replies:
        raise InputError(f"{predictions}: holds no prediction")
    rows = list(checkable.table(items, replies))
    write_table(table, checkable.COLUMNS, rows)
    for row in rows:
        if row["solver"] == checkable.ALL:
            print(f"{row['model']}, {row['cell']}: {row['right']} of {row['instructions']} right")


if __name__ == "__main__":
    run(main)
