"""The verb and noun of every instruction, from its parse: figure 8 in numbers."""

from dataclasses import asdict
from pathlib import Path

from refine_af.diversity import pairs as stage
from refine_af.errors import InputError, shown
from refine_af.files.documents import read_document, write_json
from refine_af.files.landing import whole_folder
from refine_af.files.rows import as_records, read_records, read_rows, write_records
from refine_af.files.tables import write_table
from refine_af.jobs.command_line import run
from refine_af.records.diversity import Parse, ParserUsed, VerbNoun
from refine_af.records.instructions import Instruction


def main(*, instructions: Path, parses: list[Path], diversity: Path) -> None:
    """Write a row an instruction, the table of unique pairs, and the counts.

    `parses` are the segments' in order; the instructions are the first of theirs.
    """
    if not parses:
        raise InputError("--parses: names no folder")
    parser = _parser_of(parses)
    rows = [row for folder in parses for row in _verb_nouns(folder, parser.backend)]
    wanted = read_records(instructions, Instruction)
    for place, own in enumerate(wanted):
        found = rows[place].id if place < len(rows) else None
        if found != own.id:
            raise InputError(
                f"{instructions}, line {place + 1}: {shown(own.id)}, where the parses have "
                f"{shown(found)}"
            )
    rows = rows[: len(wanted)]
    counts = stage.counts_of(rows)
    with whole_folder(diversity) as folder:
        write_records(folder / "verb_nouns.jsonl", rows)
        write_table(folder / "pairs.csv", stage.COLUMNS, stage.unique_pairs(rows))
        write_json(folder / "summary.json", asdict(counts) | {"parser": asdict(parser)})
    print(
        f"{counts.with_pair} of {len(rows)} instructions have a verb and a noun: "
        f"{counts.unique_pairs} unique pairs"
    )


def _parser_of(folders: list[Path]) -> ParserUsed:
    """The parser of all segments. InputError where two were parsed by different ones."""
    files = [folder / "parser.json" for folder in folders]
    used = [as_records([(str(file), read_document(file))], ParserUsed)[0] for file in files]
    for file, each in zip(files, used, strict=True):
        if each != used[0]:
            raise InputError(
                f"{file}: another parser than in {files[0]}: {shown(each)}, and there "
                f"{shown(used[0])}. Delete the older of the two folders, so that it is made anew"
            )
    return used[0]


def _verb_nouns(folder: Path, backend: str) -> list[VerbNoun]:
    found = []
    for where, row in read_rows(folder / "parses.jsonl"):
        (parse,) = as_records([(where, row)], Parse)
        try:
            found.append(stage.verb_noun_of(parse, backend))
        except (ValueError, IndexError, RecursionError) as error:
            raise InputError(f"{where}: no parse of {backend}: {error}") from None
    return found


if __name__ == "__main__":
    run(main)
