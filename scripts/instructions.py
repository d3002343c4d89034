"""Stage 1, instructions: the backbone writes new instructions after the seeds' example."""

from dataclasses import asdict
from pathlib import Path

from refine_af import instructions as stage
from refine_af.command_line import run
from refine_af.errors import InputError
from refine_af.pool import run_on
from refine_af.progress import Progress
from refine_af.prompts import read_prompt
from refine_af.records import (
    Instruction,
    check_free,
    read_records,
    read_seeds,
    whole_folder,
    write_json,
    write_records,
)
from refine_af.settings import Instructions
from refine_af.tables import write_table


def segment(
    *,
    settings: Instructions,
    seeds: Path,
    prompt: Path,
    backbone: Path,
    earlier: list[Path],
    number: int,
    segment: Path,
) -> None:
    """Write the pool's next segment, after all `earlier` ones."""
    check_free(segment)
    if number != len(earlier):
        raise InputError(f"--number {number}: needs {number} earlier segments, got {len(earlier)}")
    tasks = read_seeds(seeds)
    stage.check_seeds(tasks, settings, seeds)
    asked = read_prompt(prompt, {"tasks"})
    pool = read_segments(earlier)
    carry = stage.Carry(next_round=0, surplus=[])
    if earlier:
        handed_on = earlier[-1] / "carry.json"
        carry = stage.carry_of(handed_on.read_bytes(), handed_on, pool=len(pool))

    from refine_af.writer import load_writer

    made = stage.bootstrap(
        settings,
        seeds=tasks,
        prompt=asked,
        earlier=pool,
        carry=carry,
        generate=load_writer(
            backbone,
            quantization=settings.quantization,
            prefix=asked.prefix,
            sampling=settings.sampling,
        ),
        progress=Progress(settings.segment, "instructions"),
    )
    write_segment(segment, made)


def merge(*, segments: list[Path], instructions: Path) -> None:
    """Join the segments' instructions in one file."""
    write_records(instructions, read_segments(segments))


def read_segments(segments: list[Path]) -> list[Instruction]:
    """The instructions of consecutive segments, from the pool's first on."""
    files = [folder / "instructions.jsonl" for folder in segments]
    return run_on([(path, read_records(path, Instruction)) for path in files])


def write_segment(segment: Path, made: stage.Segment) -> None:
    """Land a segment's folder, complete or not at all."""
    with whole_folder(segment) as folder:
        write_records(folder / "instructions.jsonl", made.instructions)
        write_records(folder / "rejected.jsonl", made.rejected)
        write_table(folder / "rounds.csv", stage.COLUMNS, (row.row() for row in made.rounds))
        write_json(folder / "carry.json", asdict(made.carry))
    print(f"{len(made.instructions)} instructions from {len(made.rounds)} rounds")


if __name__ == "__main__":
    run(segment, merge)
