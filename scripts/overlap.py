"""What a segment of instances shares with the evaluation sets: n-grams and ROUGE-L."""

from pathlib import Path

from refine_af.files.rows import read_records, write_records
from refine_af.jobs.command_line import run
from refine_af.jobs.progress import Progress
from refine_af.metrics.scores import read_instances
from refine_af.overlap.comparison import of_superni, of_users, overlaps
from refine_af.records.human_tasks import read_user_instructions
from refine_af.records.instances import Instance
from refine_af.settings.overlap import OverlapBounds


def main(
    *,
    settings: OverlapBounds,
    segment: Path,
    evaluation: Path,
    user_instructions: Path,
    overlap: Path,
) -> None:
    """Write a line an instance of the segment, in its order."""
    instances = read_records(segment / "instances.jsonl", Instance)
    evaluated = of_superni(read_instances(evaluation))
    evaluated += of_users(read_user_instructions(user_instructions))
    progress = Progress(len(instances), "instances")
    rows = []
    for row in overlaps(instances, evaluated, settings):
        rows.append(row)
        progress.advance()
    write_records(overlap, rows)
    found = sum(row.overlaps for row in rows)
    print(f"{found} of {len(rows)} instances overlap with {len(evaluated)} evaluation instances")


if __name__ == "__main__":
    run(main)
