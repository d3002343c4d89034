"""The first sentence of every instruction of a segment, parsed."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from refine_af.diversity.parsing import parsed, parser_of, parser_used
from refine_af.files.documents import write_json
from refine_af.files.journal import Journal
from refine_af.files.landing import whole_folder
from refine_af.files.rows import read_records, write_records
from refine_af.jobs.command_line import run
from refine_af.jobs.scratch import Given, fingerprint, resumable
from refine_af.jobs.sources import code_digest
from refine_af.models.parsers import check_parser
from refine_af.records.instructions import Instruction
from refine_af.settings.diversity import Diversity

CALLS = 20_000  # within each other: a tree may nest as deep as its sentence has words


def main(*, settings: Diversity, parser: Path, segment: Path, progress: Path, parses: Path) -> None:
    """Parse a segment's instructions, and say with which parser.

    What is done so far is kept in the folder `progress`: killed and called again, it goes on.
    """
    sys.setrecursionlimit(CALLS)
    check_parser(parser, settings.backend)
    instructions = read_records(segment / "instructions.jsonl", Instruction)
    given: dict[str, Given] = {
        "settings": settings.model_dump_json(exclude={"parser"}),
        "parser": parser,
        "segment": segment,
    }
    stamp = fingerprint(given, code=code_digest(Path(__file__)))
    with resumable(progress, stamp, parses) as place:
        if place is None:
            return
        with Journal(place / "parses.jsonl") as journal:
            load = partial(parser_of, settings, parser)
            rows = parsed(instructions, load, journal, settings.batch_size)
        with whole_folder(parses) as folder:
            write_records(folder / "parses.jsonl", rows)
            write_json(folder / "parser.json", asdict(parser_used(settings, parser)))
        without = sum(row.parse is None for row in rows)
        print(f"{len(rows) - without} of {len(rows)} instructions parsed")


if __name__ == "__main__":
    run(main)
