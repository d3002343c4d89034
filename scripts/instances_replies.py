"""Stage 3's first half: a model's replies to prompts for the instances of instructions."""

from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import ExitStack, closing
from pathlib import Path

from refine_af.engines.choice import Completer, engines_of
from refine_af.engines.replies import Engine
from refine_af.engines.rounds import Rounds, rounds_of
from refine_af.errors import InputError
from refine_af.files.rows import read_records, write_records
from refine_af.files.shares import files_of
from refine_af.instances import rounds as instance_rounds
from refine_af.instances.kinds import classification_tasks
from refine_af.instances.replies import AskedReply, Writing
from refine_af.instances.rounds import Part, adapter_of
from refine_af.jobs.command_line import run
from refine_af.jobs.scratch import Given, fingerprint, last_stamp, scratch
from refine_af.jobs.sources import code_digest
from refine_af.prompts.templates import Prompt, read_prompt
from refine_af.records.instances import Identified, Template
from refine_af.records.instructions import Instruction
from refine_af.records.segments import read_segment
from refine_af.settings.instances import Instances
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Served, Server
from refine_af.settings.watch import ParsedWatch

# A part's log in the folder of its round.
LOGS: Mapping[Template, str] = {
    "input first": "replies.jsonl",
    "output first": "output_first.jsonl",
}


def main(
    *,
    settings: Instances,
    watch: ParsedWatch,
    server: Server | None,
    served: Served | None,
    method: str,
    prompt: Path,
    output_first: Path | None,
    kinds: Path | None,
    chat: bool,
    backbone: Path,
    ppo: Path | None,
    instructions: Path,
    rounds: list[int],
    progress: Path,
    replies: list[Path],
) -> None:
    """Write the replies of some rounds of a segment of the pool, a file each.

    They come from the backbone, or from it with PPO's adapter. Where the settings have a branch for
    classification tasks, those that `kinds` names are asked by the prompt `output_first`. What is
    done so far is kept in the folder `progress`, a folder a round: killed and called again,
    whatever the rounds, it goes on.
    """
    adapter = adapter_of(method, ppo)
    completer = Completer(backbone, adapter, server, served, chat)
    whole = read_segment(instructions)
    of_segment = rounds_of(whole, settings.prompts_per_round)
    tasks = tasks_of(settings, output_first, kinds, whole)
    files = files_of(rounds, replies, len(of_segment), flags=("rounds", "replies"))
    inputs = {"prompt": prompt, "backbone": backbone, "adapter": adapter, "kinds": kinds}
    inputs |= {"output_first": output_first, "instructions": instructions / "instructions.jsonl"}
    stamp = stamp_of(settings, completer, inputs)
    rows = {number: of_segment[number] for number in files}
    writing = Writing(settings, watch, prompts_of(prompt, output_first), rows, tasks)
    with engines_of(settings, completer) as engines:
        land(files, writing, engines, progress, stamp)


def land(
    files: Mapping[int, Path],
    writing: Writing,
    engines: Callable[[Sampling], Engine],
    progress: Path,
    stamp: str,
) -> None:
    """Write the replies of some rounds to their files, as long as no later job wants others."""
    wanted = progress / "wanted"
    with scratch(wanted, stamp):
        pass  # held once: its last stamp now says that these replies are wanted, and no others
    for number, path in files.items():
        # A job that waited for another one here finds that one's replies, and asks for none.
        with scratch(progress / str(number), stamp) as place:
            written = written_in(place.folder, number, writing, engines)
            check_wanted(wanted, stamp)
            write_records(path, written)


def written_in(
    folder: Path, number: int, writing: Writing, engines: Callable[[Sampling], Engine]
) -> list[AskedReply]:
    """A round's replies, those of each part in a log of its own in `folder`."""
    with ExitStack() as logs:

        def log_of(part: Part) -> Rounds:
            log = Rounds(folder / LOGS[part.template], engines(part.sampling))
            return logs.enter_context(closing(log))

        return writing.round(number, log_of)


def prompts_of(prompt: Path, output_first: Path | None) -> dict[Template, Prompt]:
    """The prompt of each kind of instruction that is asked."""
    prompts: dict[Template, Prompt] = {"input first": read_prompt(prompt, {"instruction"})}
    if output_first is not None:
        prompts["output first"] = read_prompt(output_first, {"instruction"})
    return prompts


def tasks_of(
    settings: Instances,
    output_first: Path | None,
    kinds: Path | None,
    instructions: Sequence[Instruction],
) -> Set[str]:
    """The ids of the classification tasks, none where the settings have no branch for them.

    InputError where files and settings do not go together.
    """
    wanted = settings.classification is not None
    if {output_first is not None, kinds is not None} != {wanted}:
        raise InputError(
            f"--output-first {output_first}, --kinds {kinds}: both are needed where "
            "instances.classification is not null, and neither otherwise"
        )
    return (
        classification_tasks(kinds, read_records(kinds, Identified), instructions)
        if kinds
        else set()
    )


def stamp_of(settings: Instances, completer: Completer, inputs: Mapping[str, Path | None]) -> str:
    """The stamp of all that decides a reply; which job takes it, and how it is read, does not."""
    own = settings.model_dump_json(exclude={"per_instruction"})
    given: dict[str, Given] = {"settings": own, "chat": completer.chat}
    given["served"] = completer.stamped
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
