"""The seed, and the text of a reference set, that each instruction of a pool is nearest to."""

from pathlib import Path

from refine_af.files.rows import read_records, write_records
from refine_af.jobs.command_line import run
from refine_af.jobs.progress import Progress
from refine_af.neighbours.nearest import neighbours as neighbours_of
from refine_af.records.instructions import Instruction
from refine_af.records.neighbours import read_references
from refine_af.settings.instructions import Novelty


def main(
    *, novelty: Novelty, instructions: Path, references: Path | None, neighbours: Path
) -> None:
    """Write a line an instruction, in the order of the pool."""
    pool = read_records(instructions, Instruction)
    texts = None if references is None else read_references(references)
    progress = Progress(len(pool), "instructions")
    rows = []
    for row in neighbours_of(pool, texts, novelty.tokens):
        rows.append(row)
        progress.advance()
    write_records(neighbours, rows)
    compared = "" if texts is None else f" and {len(texts)} references"
    print(f"{len(rows)} instructions compared with the seeds{compared}")


if __name__ == "__main__":
    run(main)
