"""Ratings that came back as files: read as far as they go, and refused where they are not right."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.ratings.items import ANSWERS, QUESTIONS, Key

FORMAT = "blind ratings 1"
DOCUMENT = ["format", "page", "model", "rater", "answers"]
COLUMNS = ["page", "rater", "item", "question", "answer"]
LONGEST_NAME = 40

Answer = tuple[str, str, str, object]  # where it stands, item, question, answer


@dataclass(frozen=True)
class Returned:
    """One rater's answers, by (item, question), to items of which every question is answered."""

    path: Path
    rater: str
    answers: dict[tuple[str, str], str]

    def of(self, part: str, key: Key) -> bool:
        """Whether the rater did anything of a part."""
        return any(self.has(part, item) for item in key.items[part])

    def has(self, part: str, item: str) -> bool:
        """Whether the rater did an item of a part."""
        return (item, QUESTIONS[part][0]) in self.answers

    def gap(self, key: Key) -> str:
        """What lacks of the parts that the rater began, in words; empty where nothing does."""
        gaps = []
        for part, items in key.items.items():
            done = sum(self.has(part, item) for item in items)
            if 0 < done < len(items):
                gaps.append(f"{done} of {len(items)} items of the {part}")
        said = f"{self.path}: incomplete, counted as far as it goes: {', '.join(gaps)}"
        return said if gaps else ""


def read_all(paths: Sequence[Path], key: Key) -> list[Returned]:
    """Every rater's file. InputError names file, place and value where one cannot be taken."""
    if not paths:
        raise InputError("no file of ratings: name those that came back under ratings.files")
    found: dict[str, Returned] = {}
    for path in paths:
        returned = read_returned(path, key)
        if earlier := found.get(returned.rater):
            raise InputError(
                f"{path}: the rater {shown(returned.rater)} has another file, {earlier.path}"
            )
        found[returned.rater] = returned
    return [found[rater] for rater in sorted(found)]


def read_returned(path: Path, key: Key) -> Returned:
    """One file that the page exported, as JSON or as CSV."""
    try:
        text = path.read_bytes().decode("utf-8-sig")  # a spreadsheet may have put a mark before it
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    read = _document if text.lstrip().startswith("{") else _table
    page, rater, answers = read(text, path)
    if page != key.page:
        raise InputError(
            f"{path}: 'page' is {shown(page)}: the ratings of another page than {shown(key.page)}"
        )
    name = unicodedata.normalize("NFC", rater).strip() if isinstance(rater, str) else ""
    if not _is_name(name):
        raise InputError(f"{path}: 'rater' is no name: {shown(rater)}")
    given = _whole_items(_checked(answers, key), key)
    if not given:
        raise InputError(f"{path}: holds no answer, or none to every question of an item")
    return Returned(path, name, given)


def _document(text: str, path: Path) -> tuple[object, object, Iterable[Answer]]:
    try:
        document = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON that can be read: {error}") from None
    file = _object(document, str(path))
    if unknown := [name for name in file if name not in DOCUMENT]:
        raise InputError(f"{path}: unknown key {shown(unknown[0])}")
    if missing := [name for name in DOCUMENT if name not in file]:
        raise InputError(f"{path}: no {missing[0]!r}")
    if file["format"] != FORMAT:
        raise InputError(f"{path}: 'format' is {shown(file['format'])}, not {FORMAT!r}")
    return file["page"], file["rater"], _nested(file["answers"], path)


def _nested(answers: object, path: Path) -> Iterator[Answer]:
    for item, given in _object(answers, f"{path}, answers").items():
        place = f"{path}, answers.{_plain(item)}"
        for question, answer in _object(given, place).items():
            yield f"{place}.{_plain(question)}", item, question, answer


class _Pairs(list[tuple[str, Any]]):
    """The members of a JSON object as they stand there, doubled ones too."""


def _object(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, _Pairs):
        raise InputError(f"{place}: not a JSON object: {shown(value)}")
    found: dict[str, Any] = {}
    for name, entry in value:
        if name in found:
            raise InputError(f"{place}: {shown(name)} stands there twice")
        found[name] = entry
    return found


def _table(text: str, path: Path) -> tuple[object, object, Iterable[Answer]]:
    try:
        every = enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), 1)
        lines = [(number, cells) for number, cells in every if cells]  # an editor adds empty ones
    except csv.Error as error:
        raise InputError(f"{path}: neither JSON nor CSV that can be read: {error}") from None
    if not lines or lines[0][1] != COLUMNS:
        found = [cells for _, cells in lines[:1]]
        raise InputError(f"{path}, line 1: not the columns {COLUMNS}: {shown(found)}")
    if len(lines) == 1:
        raise InputError(f"{path}: holds no answer")
    answers: list[Answer] = []
    page, rater, *_ = [*lines[1][1], "", ""]
    for number, cells in lines[1:]:
        if len(cells) != len(COLUMNS) or cells[:2] != [page, rater]:
            raise InputError(f"{path}, line {number}: not one page's and rater's: {shown(cells)}")
        answers.append((f"{path}, line {number}", cells[2], cells[3], cells[4]))
    return page, rater, answers


def _checked(answers: Iterable[Answer], key: Key) -> dict[tuple[str, str], str]:
    part_of = {item: part for part, items in key.items.items() for item in items}
    found: dict[tuple[str, str], str] = {}
    for where, item, question, answer in answers:
        part = part_of.get(item)
        if part is None:
            raise InputError(f"{where}: no item of the page: {shown(item)}")
        if question not in QUESTIONS[part]:
            raise InputError(f"{where}: no question of the item: {shown(question)}")
        if not isinstance(answer, str) or answer not in ANSWERS[part]:
            known = ", ".join(ANSWERS[part])
            raise InputError(f"{where}: the answer is none of {known}: {shown(answer)}")
        if (item, question) in found:
            raise InputError(f"{where}: {item}, {question} stands there twice: {shown(answer)}")
        found[item, question] = answer
    return found


def _whole_items(answers: dict[tuple[str, str], str], key: Key) -> dict[tuple[str, str], str]:
    """The answers to items of which every question is answered."""
    whole = {
        item
        for part, items in key.items.items()
        for item in items
        if all((item, question) in answers for question in QUESTIONS[part])
    }
    return {
        (item, question): answer for (item, question), answer in answers.items() if item in whole
    }


def _is_name(value: str) -> bool:
    """The page's own rule: letters, marks, digits, spaces and . _ ' - after a letter or digit."""
    if not 0 < len(value) <= LONGEST_NAME:
        return False
    kinds = [unicodedata.category(character)[0] for character in value]
    known = (kind in "LMN" or each in " ._'-" for kind, each in zip(kinds, value, strict=True))
    return kinds[0] in "LN" and all(known)


def _plain(name: str) -> str:
    return name if re.fullmatch(r"\w{1,40}", name) else shown(name)
