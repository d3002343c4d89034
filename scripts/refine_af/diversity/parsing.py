"""A segment's instructions parsed, batch by batch, each batch kept as soon as it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from refine_af.errors import InputError
from refine_af.files.journal import Journal
from refine_af.jobs.progress import Progress
from refine_af.models.parsers import parser_digest
from refine_af.records.diversity import Parse, ParserUsed
from refine_af.records.instructions import Instruction
from refine_af.settings.diversity import Diversity

LIBRARIES = {"benepar": ("benepar", "spacy", "nltk", "torch", "transformers"), "spacy": ("spacy",)}


class Parser(Protocol):
    """What parses the first sentence of texts: a parse, or why there is none, for each."""

    def parses(self, texts: Sequence[str]) -> list[tuple[str | None, str | None]]: ...


def parser_of(settings: Diversity, folder: Path) -> Parser:
    """The parser that the settings name, loaded. InputError where the folder holds none."""
    if settings.backend == "benepar":
        from refine_af.diversity.benepar_parser import BeneparParser

        return BeneparParser(folder, settings.batch_subwords)
    from refine_af.diversity.spacy_parser import SpacyParser

    return SpacyParser(folder)


def parser_used(settings: Diversity, folder: Path) -> ParserUsed:
    """Which parser that is."""
    versions = {library: version(library) for library in LIBRARIES[settings.backend]}
    return ParserUsed(settings.backend, folder.resolve().name, parser_digest(folder), versions)


def parsed(
    instructions: Sequence[Instruction],
    load: Callable[[], Parser],
    journal: Journal,
    batch_size: int,
) -> list[Parse]:
    """The parses of the instructions, of which the journal keeps those that are done.

    `load` gives the parser, and is asked where one is left to parse. A batch that a kill cut is
    parsed again as a whole: what stands beside a sentence there may move its scores by rounding.
    InputError where the journal is of other instructions.
    """
    rows = journal.records(Parse)
    for (where, _), row, own in zip(journal.rows, rows, [*instructions, None], strict=False):
        if own is None or row.id != own.id:
            raise InputError(f"{where}: {row.id!r} where {own and own.id!r} belongs")
    progress = Progress(len(instructions), "instructions")
    progress.skip(len(rows))
    if len(rows) == len(instructions):
        return rows
    parser = load()
    for start in range(len(rows) // batch_size * batch_size, len(instructions), batch_size):
        batch = instructions[start : start + batch_size]
        found = parser.parses([row.instruction for row in batch])
        new = [Parse(row.id, *each) for row, each in zip(batch, found, strict=True)]
        new = new[len(rows) - start :]
        journal.append(map(asdict, new))
        journal.sync()
        rows += new
        progress.advance(len(new))
    return rows
