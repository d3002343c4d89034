"""Stage 3, instances: a model writes input and output for every instruction of the pool."""

from pathlib import Path
from typing import get_args

from refine_af import instances as stage
from refine_af.command_line import run
from refine_af.errors import InputError, shown
from refine_af.fields import Method
from refine_af.landing import check_free, whole_folder
from refine_af.progress import Progress
from refine_af.prompts import read_prompt
from refine_af.records import Instance, Instruction, read_records, write_records
from refine_af.replies import in_order
from refine_af.settings import Instances
from refine_af.tables import write_table


def segment(
    *,
    settings: Instances,
    method: str,
    prompt: Path,
    backbone: Path,
    ppo: Path | None,
    instructions: Path,
    segment: Path,
) -> None:
    """Write the instances of one segment of the pool: by the backbone, or with PPO's adapter."""
    check_free(segment)
    if method not in get_args(Method):
        raise InputError(f"--method {shown(method)}: known are {', '.join(get_args(Method))}")
    if (method == "refine-af") != (ppo is not None):
        raise InputError(f"--ppo {ppo}: refine-af needs PPO's folder, self-instruct takes none")
    asked = read_prompt(prompt, {"instruction"})
    rows = read_records(instructions / "instructions.jsonl", Instruction)

    from refine_af.writer import load_writer

    engine = load_writer(
        backbone,
        quantization=settings.quantization,
        prefix=asked.prefix,
        sampling=settings.sampling,
        adapter=ppo / "adapter" if ppo else None,
    )
    progress = Progress(len(rows), "instructions answered")
    written = stage.write_instances(
        settings,
        method=method,
        instructions=rows,
        prompt=asked,
        generate=lambda tails, seeds: in_order(engine, tails, seeds, progress.advance),
    )
    stage.check_parsed(written, settings, segment)
    write_segment(segment, written)


def write_segment(segment: Path, written: stage.Written) -> None:
    """Land a segment's folder, complete or not at all."""
    counts = written.counts()
    with whole_folder(segment) as folder:
        write_records(folder / "instances.jsonl", written.instances)
        write_records(folder / "rejected.jsonl", written.rejected)
        write_table(folder / "counts.csv", list(counts), [counts])
    print(f"{counts['kept']} instances from {counts['instructions']} instructions")


def merge(*, segments: list[Path], instances: Path) -> None:
    """Join the segments' instances in one file."""
    files = [folder / "instances.jsonl" for folder in segments]
    write_records(instances, stage.run_on([(path, read_records(path, Instance)) for path in files]))


if __name__ == "__main__":
    run(segment, merge)
