"""Stage 3, before its replies: which instructions of a segment are classification tasks."""

from contextlib import closing
from pathlib import Path

from refine_af.engines.choice import Completer, engines_of
from refine_af.engines.rounds import Rounds, rounds_of
from refine_af.files.rows import write_records
from refine_af.instances import kinds as stage
from refine_af.jobs.command_line import run
from refine_af.jobs.progress import Progress
from refine_af.jobs.scratch import Given, fingerprint, scratch
from refine_af.jobs.sources import code_digest
from refine_af.prompts.templates import read_prompt
from refine_af.records.instances import Identified
from refine_af.records.segments import read_segment
from refine_af.settings.instances import Identification
from refine_af.settings.servers import Served, Server
from refine_af.settings.watch import ParsedWatch


def main(
    *,
    settings: Identification,
    watch: ParsedWatch,
    server: Server | None,
    served: Served | None,
    prompt: Path,
    chat: bool,
    backbone: Path,
    instructions: Path,
    progress: Path,
    kinds: Path,
) -> None:
    """Write, a row an instruction, what the untouched backbone says of it.

    What is done so far is kept in the folder `progress`: killed and called again, it goes on.
    """
    template = read_prompt(prompt, {"instruction"})
    rounds = rounds_of(read_segment(instructions), settings.prompts_per_round)
    completer = Completer(backbone, None, server, served, chat)
    given: dict[str, Given] = {"settings": settings.model_dump_json(), "chat": chat}
    given |= {"prompt": prompt, "backbone": backbone, "served": completer.stamped}
    given["instructions"] = instructions / "instructions.jsonl"
    stamp = fingerprint(given, code=code_digest(Path(__file__)))
    found: list[Identified] = []
    with (
        engines_of(settings, completer) as engines,
        scratch(progress, stamp) as place,
        closing(Rounds(place.folder / "replies.jsonl", engines(settings.sampling))) as log,
    ):
        bar = Progress(sum(map(len, rounds)), "instructions looked at")
        for number, rows in enumerate(rounds):
            found += stage.identified(number, rows, template, settings.seed, log, bar)
            if number + 1 >= watch.patience:
                stage.check_identified(found, watch)
        stage.check_identified(found, watch)
        write_records(kinds, found)
    print(stage.summary(found))


if __name__ == "__main__":
    run(main)
