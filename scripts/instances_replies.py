"""Stage 3's first half: a model's replies to prompts for the instances of instructions."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from refine_af.engines.rounds import Rounds
from refine_af.errors import InputError
from refine_af.files.rows import write_records
from refine_af.files.shares import files_of
from refine_af.instances import rounds as instance_rounds
from refine_af.instances.replies import Writing
from refine_af.instances.rounds import adapter_of, engine_of, rounds_of
from refine_af.jobs.command_line import run
from refine_af.jobs.scratch import Given, fingerprint, last_stamp, scratch
from refine_af.jobs.sources import code_digest
from refine_af.prompts.templates import read_prompt
from refine_af.records.segments import read_segment
from refine_af.settings.instances import Instances
from refine_af.settings.watch import ParsedWatch


def main(
    *,
    settings: Instances,
    watch: ParsedWatch,
    method: str,
    prompt: Path,
    chat: bool,
    backbone: Path,
    ppo: Path | None,
    instructions: Path,
    rounds: list[int],
    progress: Path,
    replies: list[Path],
) -> None:
    """Write the replies of some rounds of a segment of the pool, a file each.

    They come from the backbone, or from it with PPO's adapter. What is done so far is kept in the
    folder `progress`, a folder a round: killed and called again, whatever the rounds, it goes on.
    """
    adapter = adapter_of(method, ppo)
    template = read_prompt(prompt, {"instruction"})
    pool = instructions / "instructions.jsonl"
    of_segment = rounds_of(read_segment(instructions), settings.prompts_per_round)
    files = files_of(rounds, replies, len(of_segment), flags=("rounds", "replies"))
    inputs = {"prompt": prompt, "backbone": backbone, "adapter": adapter, "instructions": pool}
    stamp = stamp_of(settings, chat, inputs)
    engine = engine_of(settings, backbone, adapter, chat=chat)
    writing = Writing(settings, watch, template, {number: of_segment[number] for number in files})
    wanted = progress / "wanted"
    with scratch(wanted, stamp):
        pass  # held once: its last stamp now says that these replies are wanted, and no others
    for number, path in files.items():
        # A job that waited for another one here finds that one's replies, and asks for none.
        with (
            scratch(progress / str(number), stamp) as place,
            closing(Rounds(place.folder / "replies.jsonl", engine)) as log,
        ):
            written = writing.round(number, log)
            check_wanted(wanted, stamp)
            write_records(path, written)


def stamp_of(settings: Instances, chat: bool, inputs: Mapping[str, Path | None]) -> str:
    """The stamp of all that decides a reply; which job takes it, and how it is read, does not."""
    own = settings.model_dump_json(exclude={"per_instruction"})
    given: dict[str, Given] = {"settings": own, "chat": chat}
    return fingerprint({**given, **inputs}, code=code_digest(Path(instance_rounds.__file__)))


def check_wanted(wanted: Path, stamp: str) -> None:
    """InputError where a later job, with other settings, inputs or code, writes the segment now.

    A killed Snakemake leaves its jobs running: one of them could land its replies after those of
    the job that took its place, since the rounds of a segment are not all of one job.
    """
    if last_stamp(wanted) not in (stamp, None):
        raise InputError(
            f"{wanted.parent}: a job with other settings, inputs or code has taken over"
        )


if __name__ == "__main__":
    run(main)
