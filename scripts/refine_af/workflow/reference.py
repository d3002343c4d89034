"""What config.yaml may say, for people and for editors: a page, and a JSON schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from refine_af.settings.experiment import Experiment

Node = dict[str, Any]  # a part of a JSON schema
Shipped = Sequence[tuple[str, Any]]  # values with a label each, "" where there is but one
HEAD = """\
# Configuration

Every key of config.yaml: what it may hold, what the paper's experiment says, and what it means.
`make docs` writes this page from the fields of `scripts/refine_af/settings/`, and with it
`config.schema.json`, by which an editor completes and checks a config.yaml as you write it.

`<name>` stands for a name of your own. A whole number is at most 1,000,000,000, another number at
most 1,000,000 from zero, where nothing else is said. The names of sources are those at the head of
config.yaml; a value of more than {longest} characters is cut short here.
"""
LONGEST = 60
COLUMNS = "| key | may be | shipped | what it is |\n|---|---|---|---|\n"
EXTENDS = "Another config.yaml, of which this one states only what differs."
CALLED = {  # pydantic keeps these names where a validator runs before the bound
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
}
GUARDS = {"integer": 10**9, "number": 10**6}  # the bounds that the page states once, in HEAD
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
KINDS = {"integer": "whole number", "number": "number", "string": "text", "null": "`null`"}
KINDS |= {"object": "mapping"}


def schema() -> Node:
    """The JSON schema of a config.yaml: unknown keys are forbidden, and none is required.

    So a file that extends another, and says only what differs, is valid too.
    """
    whole: Node = _plain(Experiment.model_json_schema())
    extends = {"type": "string", "description": EXTENDS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **whole,
        "properties": {"extends": extends, **whole["properties"]},
    }


def names_below(key: Sequence[str]) -> list[str]:
    """The keys that the section `key` knows, the top level's where that is empty."""
    whole: Node = Experiment.model_json_schema()
    node = whole
    for name in key:
        section = _section(node, whole) or node
        node = section.get("properties", {}).get(name) or _named(section) or {}
    return list((_section(node, whole) or node).get("properties", {}))


def page(shipped: Mapping[str, Any]) -> str:
    """The keys in Markdown, a table a section, with their values in the config.yaml `shipped`."""
    whole = schema()
    parts = [HEAD.format(longest=LONGEST)]
    for key, node in whole["properties"].items():
        rows = list(_rows(key, node, [("", shipped[key])] if key in shipped else [], whole))
        said = ""
        if rows[0][1] == "section":
            said = f"{rows.pop(0)[-1]}\n\n"
        lines = "".join(f"| {' | '.join(map(_cell, row))} |\n" for row in rows)
        parts.append(f"## {key}\n\n{said}{COLUMNS}{lines}")
    return "\n".join(parts)


def _plain(node: Any) -> Any:
    """A part of pydantic's schema without titles and `required`, with every bound by its name."""
    if isinstance(node, list):
        return [_plain(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    made = {key: _plain(value) for key, value in _known(node).items() if key not in CALLED}
    made |= {name: node[key] for key, name in CALLED.items() if key in node}
    for tighter, looser in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if tighter in made:
            made.pop(looser, None)
    if "patternProperties" in made:  # pydantic lets other names pass
        made["additionalProperties"] = False
    if made.get("type") == "array" and "minLength" in made:
        made["minItems"] = made.pop("minLength")
    return made


def _known(node: Node) -> Node:
    """Its entries but titles and `required`, which may be names of properties too."""
    left_out = ("title", "required")
    return {
        key: value
        for key, value in node.items()
        if key not in left_out or not isinstance(value, str | list)
    }


def _rows(key: str, node: Node, shipped: Shipped, whole: Node) -> Iterator[tuple[str, ...]]:
    """A key's row of the table, and those of all keys below it."""
    said = node.get("description", "")
    if section := _section(node, whole):
        null = {"type": "null"} in node.get("anyOf", [])
        given = [(label, value) for label, value in shipped if value is not None]
        told = "`null`" if shipped and not given else ""
        yield f"`{key}`", "section or `null`" if null else "section", told, said
        yield from _below(key, section, given, whole)
    elif (named := _named(node)) and (section := _section(named, whole)):
        entries = [entry for _, value in shipped for entry in value.items()]
        told = ", ".join(_code(name) for name, _ in entries) or ("`{}`" if shipped else "")
        yield f"`{key}`", "sections by name", told, said
        yield from _below(f"{key}.<name>", section, entries, whole)
    elif named:
        yield f"`{key}`", f"by name: {_kind(named)}", _told(shipped), said
    else:
        yield f"`{key}`", _kind(node), _told(shipped), said


def _below(key: str, section: Node, shipped: Shipped, whole: Node) -> Iterator[tuple[str, ...]]:
    for name, node in section["properties"].items():
        values = [(label, value[name]) for label, value in shipped]
        yield from _rows(f"{key}.{name}", node, values, whole)
    if isinstance(further := section["additionalProperties"], dict):
        values = [
            (name, entry)
            for _, value in shipped
            for name, entry in value.items()
            if name not in section["properties"]
        ]
        yield f"`{key}.<name>`", _kind(further), _told(values), "The same, for each other name."


def _section(node: Node, whole: Node) -> Node | None:
    """The section that a key holds, or may hold."""
    for entry in [node, *node.get("anyOf", [])]:
        if "$ref" in entry:
            found: Node = whole["$defs"][entry["$ref"].rpartition("/")[2]]
            return found
    return None


def _named(node: Node) -> Node | None:
    """What stands under each name of a key that has names of the user's."""
    return next(iter(node.get("patternProperties", {}).values()), None)


def _kind(node: Node) -> str:
    """What a value may be, in words."""
    if "anyOf" in node:
        return " or ".join(map(_kind, node["anyOf"]))
    if "enum" in node:
        return " or ".join(map(_code, node["enum"]))
    if node["type"] == "boolean":
        return "`true` or `false`"
    if places := node.get("prefixItems"):  # all of one kind
        return f"list of {len(places)}, each {_kind(places[0])}"
    if node["type"] == "array":
        least = " of at least one" if node.get("minItems") else ""
        return f"list{least}, each {_kind(node['items'])}"
    like = f" like `{node['pattern']}`" if "pattern" in node else ""
    bounds = [
        f"{sign} {node[bound]:,}"
        for bound, sign in BOUNDS.items()
        if bound in node and abs(node[bound]) != GUARDS.get(node["type"])
    ]
    return ", ".join([KINDS[node["type"]] + like, *bounds])


def _told(shipped: Shipped) -> str:
    """The values as config.yaml spells them."""
    texts = [
        f"{_code(label)}: {_code(_text(v))}" if label else _code(_text(v)) for label, v in shipped
    ]
    return "<br>".join(texts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    return f"`{text}`"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if isinstance(value, float):
        text = text.replace("e-0", "e-")
    elif isinstance(value, str) and yaml.safe_load(text) != text:
        text = json.dumps(text, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
