"""Stage 1, instructions: the backbone writes new instructions after the seeds' example."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from refine_af.engines.choice import Completer, engines_of
from refine_af.errors import InputError
from refine_af.files.documents import write_json
from refine_af.files.landing import check_free, whole_folder
from refine_af.files.rows import read_records, write_records
from refine_af.files.tables import write_table
from refine_af.instructions import bootstrapping
from refine_af.instructions.pool import check_script, run_on
from refine_af.instructions.rounds import COLUMNS, RoundLog, RoundTime
from refine_af.jobs.command_line import run
from refine_af.jobs.progress import Progress
from refine_af.jobs.scratch import Given, fingerprint, resumable
from refine_af.jobs.sources import code_digest
from refine_af.prompts.task_lists import decoding, demonstrations
from refine_af.prompts.templates import read_prompt
from refine_af.records.human_tasks import checked_seeds, read_seeds
from refine_af.records.instructions import Instruction
from refine_af.settings.instructions import Instructions
from refine_af.settings.servers import Served, Server
from refine_af.settings.watch import YieldWatch


def segment(
    *,
    settings: Instructions,
    watch: YieldWatch,
    server: Server | None,
    served: Served | None,
    seeds: Path,
    prompt: Path,
    chat: bool,
    backbone: Path,
    earlier: list[Path],
    number: int,
    progress: Path,
    segment: Path,
) -> None:
    """Write the pool's next segment, after all `earlier` ones.

    What is done so far is kept in the folder `progress`: killed and called again, it goes on.
    """
    check_free(segment)
    tasks = checked_seeds(read_seeds(seeds), demonstrations(settings), seeds)
    check_script(tasks, settings, seeds)
    template = read_prompt(prompt, {"tasks"})
    pool, carry = standing(earlier, number, settings.segment_size)
    completer = Completer(backbone, None, server, served, chat)
    stamp = stamp_of(settings, completer, {"seeds": seeds, "prompt": prompt}, earlier)
    with (
        engines_of(settings, completer) as engines,
        resumable(progress, stamp, segment) as place,
    ):
        if place is None:
            return
        target, start = len(pool) + settings.segment_size, len(pool) + len(carry.surplus)
        shown = Progress(settings.segment_size, "instructions")
        engine, hours = engines(decoding(settings)), watch.longest_hours
        with RoundLog(place, engine, shown, start=start, target=target, longest_hours=hours) as log:
            made = bootstrapping.bootstrap(
                settings, watch, seeds=tasks, prompt=template, earlier=pool, carry=carry, log=log
            )
        write_segment(segment, made, log.times)


def stamp_of(
    settings: Instructions,
    completer: Completer,
    inputs: Mapping[str, Path],
    earlier: Sequence[Path],
) -> str:
    """The stamp of all that decides a segment."""
    before = [folder / name for folder in earlier for name in ("instructions.jsonl", "carry.json")]
    own = settings.model_dump_json()
    given: dict[str, Given] = {"settings": own, "chat": completer.chat, "earlier": before}
    given |= {"backbone": completer.backbone, "served": completer.stamped, **inputs}
    return fingerprint(given, code=code_digest(Path(__file__)))


def standing(
    earlier: list[Path], number: int, size: int
) -> tuple[list[Instruction], bootstrapping.Carry]:
    """The pool before segment `number`, in segments of `size`, and what the last one hands on.

    InputError where `earlier` are not `number` whole segments.
    """
    if number != len(earlier):
        raise InputError(f"--number {number}: needs {number} earlier segments, got {len(earlier)}")
    pool = read_segments(earlier, size)
    if not earlier:
        return pool, bootstrapping.Carry(next_round=0, surplus=[])
    handed_on = earlier[-1] / "carry.json"
    return pool, bootstrapping.carry_of(handed_on.read_bytes(), handed_on, pool)


def merge(*, segments: list[Path], instructions: Path) -> None:
    """Join the segments' instructions in one file."""
    write_records(instructions, read_segments(segments))


def read_segments(segments: list[Path], size: int | None = None) -> list[Instruction]:
    """The instructions of consecutive segments, from the pool's first on.

    InputError where one does not hold `size`, or without a size not as many as the first.
    """
    parts = []
    for folder in segments:
        path = folder / "instructions.jsonl"
        rows = read_records(path, Instruction)
        size = len(rows) if size is None else size
        if not rows or len(rows) != size:
            raise InputError(f"{path}: holds {len(rows)} instructions, a whole segment {size}")
        parts.append((path, rows))
    return run_on(parts)


def write_segment(segment: Path, made: bootstrapping.Segment, times: Sequence[RoundTime]) -> None:
    """Land a segment's folder, complete or not at all."""
    with whole_folder(segment) as folder:
        write_records(folder / "instructions.jsonl", made.instructions)
        write_records(folder / "rejected.jsonl", made.rejected)
        write_table(folder / "rounds.csv", COLUMNS, (row.row() for row in made.rounds))
        columns = [field.name for field in fields(RoundTime)]
        write_table(folder / "timing.csv", columns, map(asdict, times))
        write_json(folder / "carry.json", asdict(made.carry))
    print(f"{len(made.instructions)} instructions from {len(made.rounds)} rounds")


if __name__ == "__main__":
    run(segment, merge)
