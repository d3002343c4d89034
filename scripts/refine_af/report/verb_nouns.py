"""The verbs and nouns of a run's instructions, read back with every fault named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from refine_af.errors import InputError
from refine_af.files.documents import read_document
from refine_af.files.rows import as_records
from refine_af.records.diversity import PairCounts, ParserUsed
from refine_af.report.files import count, existing, read_table


@dataclass(frozen=True)
class Diversity:
    """Counts of pairs, which parser they are by, and the pairs: `verb`, `noun`, `instructions`.

    The pairs come with the commonest first.
    """

    counts: PairCounts
    parser: ParserUsed
    pairs: pd.DataFrame


def read_diversity(folder: Path) -> Diversity:
    """What the stage left in its folder. InputError where the parts do not belong together."""
    path = folder / "summary.json"
    document = read_document(existing(path))
    if not isinstance(stated := document.pop("parser", None), dict):
        raise InputError(f"{path}: no object 'parser'")
    (counts,) = as_records([(str(path), document)], PairCounts)
    (parser,) = as_records([(f"{path}, parser", stated)], ParserUsed)
    pairs = read_table(folder / "pairs.csv", {"verb": str, "noun": str, "instructions": count})
    found = (len(pairs), int(pairs["instructions"].sum()))
    if found != (counts.unique_pairs, counts.with_pair):
        raise InputError(
            f"{folder / 'pairs.csv'}: {found[0]} pairs of {found[1]} instructions, where "
            f"summary.json tells of {counts.unique_pairs} of {counts.with_pair}"
        )
    return Diversity(counts, parser, pairs)
