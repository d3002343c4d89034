"""Predictions for Super-NI's evaluation instances, scored as the official evaluation does."""

from pathlib import Path

from refine_af.files.documents import write_json
from refine_af.files.rows import read_records
from refine_af.jobs.command_line import run
from refine_af.metrics import scores as official


def main(*, instances: Path, predictions: Path, scores: Path) -> None:
    """Score a file of {"id", "prediction"} rows; an instance without a row counts as empty."""
    evaluated = official.read_instances(instances)
    rows = read_records(predictions, official.PlainPrediction, extra=True)
    summary = official.summary(evaluated, official.by_id(rows, evaluated, predictions))
    if summary["missing"]:
        count, first = len(summary["missing"]), summary["missing"][0]
        print(f"{predictions}: {count} of {len(evaluated)} ids are missing, the first {first!r}")
    write_json(scores, summary)


if __name__ == "__main__":
    run(main)
