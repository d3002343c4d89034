"""The texts that an instruction is nearest to, as a row, and the references among them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from refine_af.errors import InputError, shown
from refine_af.files.rows import read_rows


@dataclass(frozen=True)
class Neighbours:
    """The texts that an instruction of the pool, `id`, is nearest to, each with their ROUGE-L F1.

    `nearest_seed` is the id of a seed task; `nearest_reference` an instruction of the reference
    set, None where it shares no word with any. `reference_rouge_l` is None where there is no such
    set.
    """

    id: str
    nearest_seed: str
    seed_rouge_l: float
    nearest_reference: str | None
    reference_rouge_l: float | None


def read_references(path: Path) -> list[str]:
    """The different instructions of a reference set, JSON lines, in the order of their first row.

    Further keys of a row are not read, so that a data set of instances serves too. InputError
    names file, line and value where a row has no text `instruction`, and where there is none.
    """
    found: dict[str, None] = {}
    for where, row in read_rows(path):
        text = row.get("instruction")
        if not isinstance(text, str) or not text.strip():
            raise InputError(f"{where}: no text 'instruction' in {shown(row)}")
        found[text.strip()] = None
    if not found:
        raise InputError(f"{path}: holds no instruction")
    return list(found)
