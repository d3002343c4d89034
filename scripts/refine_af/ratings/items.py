"""What people rate, under names that do not tell the method, and the key that does."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from refine_af.errors import InputError, shown
from refine_af.files.digests import sha256_of_text
from refine_af.files.documents import read_document
from refine_af.randomness import derived_seed
from refine_af.records.evaluation import UserPrediction
from refine_af.records.instances import Instance

# The paper's questions by the key of their answers: figure 6, and table IV.
RATINGS, REVIEW = "ratings", "review"
QUESTIONS = {RATINGS: ("rating",), REVIEW: ("task", "input", "output")}
ANSWERS = {RATINGS: ("A", "B", "C", "D"), REVIEW: ("yes", "no")}
KEY = ("page", "model", "methods", RATINGS, REVIEW)


@dataclass(frozen=True)
class Item:
    """What the key tells of an item: whose it is, and the instruction that it shares with others.

    `source` is the id of a user-oriented instruction, or of an instruction of the pool.
    """

    method: str
    source: str


@dataclass(frozen=True)
class Key:
    """The items of a page, by part and opaque name; `page` is the digest of what it shows."""

    page: str
    model: str
    methods: tuple[str, ...]
    items: Mapping[str, Mapping[str, Item]]


Shown = dict[str, dict[str, str]]  # what a page shows, by opaque name


def replies(
    predictions: Iterable[UserPrediction],
    *,
    model: str,
    cells: Mapping[str, str],
    seed: int,
    path: Path,
) -> tuple[Shown, dict[str, Item]]:
    """The replies of a model's cells, one for each method in `cells`, to the same instructions.

    InputError where a cell lacks a reply, has two, or has one to something else.
    """
    names = {cell: method for method, cell in cells.items()}
    found: dict[str, dict[str, UserPrediction]] = {cell: {} for cell in names}
    for line, row in enumerate(predictions, 1):
        if row.model == model and row.cell in names:
            if row.id in found[row.cell]:
                raise InputError(f"{path}, line {line}: {row.cell} answers {shown(row.id)} twice")
            found[row.cell][row.id] = row
    contexts = {row.id: _context(row) for rows in found.values() for row in rows.values()}
    for cell, rows in found.items():
        if lacking := [identity for identity in contexts if identity not in rows]:
            raise InputError(f"{path}: {model}, {cell}: no reply to {shown(lacking[0])}")
        if other := [row for row in rows.values() if _context(row) != contexts[row.id]]:
            raise InputError(
                f"{path}: {model}, {cell}: {shown(other[0].id)} is not what the other cells "
                f"were asked: {shown(other[0].instruction)}"
            )
    if not contexts:
        raise InputError(f"{path}: no reply of {model} in {', '.join(names)}")
    texts, key = {}, {}
    for cell, rows in found.items():
        for row in rows.values():
            name = _opaque(seed, model, RATINGS, names[cell], row.id)
            texts[name] = _context(row) | {"reply": row.prediction}
            key[name] = Item(names[cell], row.id)
    return texts, key


def reviewed(
    instances: Iterable[Instance], *, model: str, methods: Sequence[str], count: int, seed: int
) -> tuple[Shown, dict[str, Item]]:
    """`count` random instances of each method's data set, each of another instruction.

    An instruction's place in the lot depends on seed and id alone, so methods that share a pool
    are seen, as far as possible, on the same instructions.
    """
    of_method: dict[str, dict[str, list[Instance]]] = {
        method: defaultdict(list) for method in methods
    }
    for instance in instances:
        if instance.method in of_method:
            of_method[instance.method][instance.instruction_id].append(instance)
    texts, key = {}, {}
    for method, by_instruction in of_method.items():
        lot = sorted(by_instruction, key=lambda source: (_lot(seed, source), source))
        for source in lot[:count]:
            row = min(by_instruction[source], key=lambda each: (_lot(seed, each.id), each.id))
            name = _opaque(seed, model, REVIEW, method, row.id)
            texts[name] = {
                "instruction": row.instruction,
                "input": row.input,
                "output": row.output,
            }
            key[name] = Item(method, source)
    return texts, key


def page_data(
    model: str, parts: Mapping[str, Shown], items: Mapping[str, Mapping[str, Item]]
) -> tuple[dict[str, Any], Key]:
    """What a page shows, in the order of the opaque names, and the key to it."""
    listed = {
        part: [{"id": name, **shown[name]} for name in sorted(shown)]
        for part, shown in parts.items()
    }
    told = {"model": model, **listed}
    digest = sha256_of_text(json.dumps(told, sort_keys=True))
    methods = tuple(dict.fromkeys(item.method for of in items.values() for item in of.values()))
    return {"page": digest, **told}, Key(digest, model, methods, items)


def key_document(key: Key) -> dict[str, Any]:
    """The key as its file holds it."""
    parts = {
        part: {name: asdict(items[name]) for name in sorted(items)}
        for part, items in key.items.items()
    }
    return {"page": key.page, "model": key.model, "methods": list(key.methods), **parts}


def read_key(path: Path) -> Key:
    """The key of a file that `key_document` gave. InputError where it is none."""
    document = read_document(path)
    if tuple(document) != KEY:
        raise InputError(f"{path}: not the key of a rating page: {shown(list(document))}")
    for name in ("page", "model"):
        if not isinstance(document[name], str):
            raise InputError(f"{path}: {name!r} is no text: {shown(document[name])}")
    items = {part: _read_items(document[part], f"{path}, {part}") for part in (RATINGS, REVIEW)}
    methods = document["methods"]
    known = sorted({item.method for of in items.values() for item in of.values()})
    listed = isinstance(methods, list) and all(isinstance(each, str) for each in methods)
    if not known or not listed or sorted(methods) != known:
        raise InputError(
            f"{path}: 'methods' is {shown(methods)}: the items are those of {shown(known)}"
        )
    return Key(document["page"], document["model"], tuple(methods), items)


def _read_items(value: object, where: str) -> dict[str, Item]:
    """A part of a key; each method has an instruction at most once."""
    if not isinstance(value, dict):
        raise InputError(f"{where}: not a JSON object: {shown(value)}")
    found: dict[str, Item] = {}
    for name, item in value.items():
        if (
            not isinstance(item, dict)
            or set(item) != {"method", "source"}
            or not all(isinstance(each, str) for each in item.values())
        ):
            raise InputError(f"{where}.{name}: not a method and a source: {shown(item)}")
        found[name] = Item(**item)
    if len(set(found.values())) < len(found):
        doubled = next(item for item in found.values() if [*found.values()].count(item) > 1)
        raise InputError(f"{where}: {doubled.method} has {shown(doubled.source)} twice")
    return found


def _context(row: UserPrediction) -> dict[str, str]:
    """What a rater sees beside a reply."""
    return {"instruction": row.instruction, "input": row.input, "reference": row.reference}


def _opaque(seed: int, model: str, part: str, method: str, identity: str) -> str:
    """An item's name: a letter first, or a spreadsheet would read digits with an e as a number."""
    number = derived_seed(seed, "ratings", model, part, method, json.dumps(identity))
    return f"i{number:016x}"


def _lot(seed: int, identity: str) -> int:
    return derived_seed(seed, "review", json.dumps(identity))
