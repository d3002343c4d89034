"""Values of the command line: Snakemake hands over what is nested in --config as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refine_af.workflow.yaml_files import Key, plain_value


def as_yaml(given: Any, typed: Any, above: Key = ()) -> tuple[Any, dict[Key, str]]:
    """`given` with the texts that `typed` holds as well read as YAML, and how those were spelled.

    `given` is all that the command line says, and `typed` what of it --config does: a text in a
    file of --configfile is meant as one.
    """
    if isinstance(typed, Mapping) and isinstance(given, Mapping):
        pairs = [(str(name), given[name], typed.get(name)) for name in given]
        read = [as_yaml(value, of, (*above, name)) for name, value, of in pairs]
        values: Any = dict(zip(given, (value for value, _ in read), strict=True))
    elif isinstance(typed, list) and typed == given:
        read = [as_yaml(entry, entry, (*above, str(at))) for at, entry in enumerate(given)]
        values = [value for value, _ in read]
    elif isinstance(typed, str) and typed == given:
        scalar = plain_value(typed)
        return scalar, {} if scalar == typed else {above: typed}
    else:
        return given, {}
    return values, {key: text for _, spelled in read for key, text in spelled.items()}


def respelled(values: Any, key: Key, text: str) -> Any:
    """`values` with a key's value as it was spelled."""
    if not key:
        return text
    first, *rest = key
    if isinstance(values, list):
        at = int(first)
        return [*values[:at], respelled(values[at], tuple(rest), text), *values[at + 1 :]]
    return {**values, first: respelled(values[first], tuple(rest), text)}
