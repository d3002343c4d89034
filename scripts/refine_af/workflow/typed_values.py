"""Values of the command line: Snakemake hands over what is nested in --config as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refine_af.workflow.yaml_files import Key, plain_value


def as_yaml(typed: Any, above: Key = ()) -> tuple[Any, dict[Key, str]]:
    """What --config says with each text read as YAML, and how those were spelled, by key."""
    if isinstance(typed, Mapping):
        read = {str(name): as_yaml(value, (*above, str(name))) for name, value in typed.items()}
        values: Any = {name: value for name, (value, _) in read.items()}
        parts = list(read.values())
    elif isinstance(typed, list):
        parts = [as_yaml(entry, (*above, str(at))) for at, entry in enumerate(typed)]
        values = [value for value, _ in parts]
    elif isinstance(typed, str):
        scalar = plain_value(typed)
        return scalar, {} if scalar == typed else {above: typed}
    else:
        return typed, {}
    return values, {key: text for _, spelled in parts for key, text in spelled.items()}


def respelled(values: Any, key: Key, text: str) -> Any:
    """`values` with a key's value as it was spelled."""
    if not key:
        return text
    first, *rest = key
    if isinstance(values, list):
        at = int(first)
        return [*values[:at], respelled(values[at], tuple(rest), text), *values[at + 1 :]]
    return {**values, first: respelled(values[first], tuple(rest), text)}
