"""Columns as a file of Parquet that `datasets` loads with their kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from refine_af.exports.formats import Kind


def write_parquet(
    path: Path, columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, Kind]
) -> None:
    """Write columns of these kinds as one Parquet file: the same bytes for the same values."""
    from datasets import Dataset, Features, disable_progress_bars

    disable_progress_bars()
    features = Features({name: _feature(kind) for name, kind in kinds.items()})
    Dataset.from_dict(dict(columns), features=features).to_parquet(path)


def _feature(kind: Kind) -> Any:
    from datasets import Value

    if isinstance(kind, str):
        return Value(kind)
    if isinstance(kind, list):
        return [_feature(entry) for entry in kind]
    return {name: _feature(entry) for name, entry in kind.items()}
