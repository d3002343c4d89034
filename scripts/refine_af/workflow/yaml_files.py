"""One YAML file of an experiment: its values, where each stands, and every fault named."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from refine_af.errors import InputError, shown
from refine_af.files.documents import SURROGATE

Key = tuple[str, ...]

TAG = "tag:yaml.org,2002:"
KINDS = {f"{TAG}{kind}" for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
# What ends a line in YAML 1.1, and in no editor.
LINE_ENDS = re.compile("[\x85\u2028\u2029]")
# YAML 1.1 reads 010 as 8 and 1:30 as 90; YAML 1.2, as editors do, reads 10 and a text.
AMBIGUOUS = re.compile(r"[-+]?(0[0-7_]+|[0-9][0-9_]*(:[0-9]+)+(\.[0-9_]*)?)")
MOST = 20_000  # values of a file; with aliases a short one can hold any number


def read_yaml(path: Path) -> tuple[dict[str, Any], dict[Key, str]]:
    """The values of a file, and the file and line of each key and entry; of the whole the file.

    InputError names file, line and value at the first fault.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            f"{path.absolute()}: no such file; an experiment is a folder with a config.yaml"
        ) from None
    except OSError as error:
        raise InputError(f"{path.absolute()}: cannot be read: {error.strerror}") from None
    text = _text_of(path, content)
    try:
        node, values = _loaded(text)
        whole = _size(node, {}) if node else 0
    except RecursionError:
        raise InputError(f"{path}: nested too deeply to be read") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise InputError(
            f"{path}, line {line}: holds U+{ord(text[error.position]):04X}, no character of YAML"
        ) from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}, line {line}: {error.problem or 'not YAML'}") from None
    if whole > MOST:
        raise InputError(f"{path}: holds more than {MOST:,} values, or an alias within itself")
    if not isinstance(node, yaml.MappingNode):
        line = node.start_mark.line + 1 if node else 1
        raise InputError(f"{path}, line {line}: holds no keys")
    return values, {(): str(path), **dict(_places(path, node, ()))}


def plain_value(text: str) -> Any:
    """What YAML takes a plain text for: a number, yes or no, null, or that text."""
    try:
        value = _loaded(text)[1]
    except (yaml.YAMLError, RecursionError):
        return text
    return value if value is None or isinstance(value, bool | int | float) else text


class _Loader(yaml.SafeLoader):
    """Plain values, lists and sections alone, of which no key stands twice.

    A date is a text, as in YAML 1.2; so are `=` and `<<` where they are values.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012  (as PyYAML has it)
        first: [(tag, pattern) for tag, pattern in resolvers if tag in KINDS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        if wrong := _wrong_with(node):
            raise yaml.constructor.ConstructorError(problem=wrong, problem_mark=node.start_mark)
        try:
            value = super().construct_object(node, deep=deep)
            if isinstance(value, int):
                str(value)  # no message can print what has more digits than Python writes
        except (ValueError, KeyError):
            kind = node.tag.removeprefix(TAG)
            raise yaml.constructor.ConstructorError(
                problem=f"{shown(node.value)} cannot be read as {kind}",
                problem_mark=node.start_mark,
            ) from None
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        lines: dict[object, int] = {}
        for key_node, _ in node.value:
            if wrong := self._wrong_with_key(key_node, lines):
                raise yaml.constructor.ConstructorError(
                    problem=wrong, problem_mark=key_node.start_mark
                )
            lines[key_node.value] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merges nothing: a key is what it says."""

    def _wrong_with_key(self, key_node: yaml.Node, lines: Mapping[object, int]) -> str | None:
        key = self.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            kind = type(key).__name__
            return f"the key {shown(key)} is read as {kind}, no text: put it in quotes"
        if key == "<<":
            return "`<<` merges nothing here: write the keys, or `extends`"
        return f"the key {shown(key)} stands on line {lines[key]} too" if key in lines else None


def _wrong_with(node: yaml.Node) -> str | None:
    if node.tag not in KINDS:
        tag = node.tag.replace(TAG, "!!")
        return f"the tag {shown(tag)} is not read: write a plain value, a list or a section"
    if isinstance(node, yaml.ScalarNode) and SURROGATE.search(node.value):
        return f"{shown(node.value)} holds half a character"
    plain = isinstance(node, yaml.ScalarNode) and node.style is None
    if plain and node.tag != f"{TAG}str" and AMBIGUOUS.fullmatch(node.value):
        value = yaml.safe_load(node.value)
        return (
            f"{node.value} is read as {value} by one YAML and otherwise by another: write the "
            "number without zeros or colons before it, or the text in quotes"
        )
    return None


def _text_of(path: Path, content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InputError(f"{path}, line {line}: not UTF-8 at byte {error.start}") from None
    if odd := LINE_ENDS.search(text):
        line = text.count("\n", 0, odd.start()) + 1
        code = f"{ord(odd[0]):04X}"
        raise InputError(
            f"{path}, line {line}: holds U+{code}, which ends a line in YAML: write \\u{code} "
            "within double quotes"
        )
    return text


def _loaded(text: str) -> tuple[yaml.Node | None, Any]:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        return node, loader.construct_document(node) if node else None
    finally:
        loader.dispose()


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """The values that a node holds, those behind each alias among them."""
    if id(node) not in sizes:
        sizes[id(node)] = MOST  # while it is counted: what holds itself is too large
        sizes[id(node)] = 1 + sum(_size(part, sizes) for _, part, _ in _parts(node))
    return sizes[id(node)]


def _places(path: Path, node: yaml.Node, above: Key) -> Iterator[tuple[Key, str]]:
    for name, part, start in _parts(node):
        key = (*above, name)
        yield key, f"{path}, line {start.line + 1}"
        yield from _places(path, part, key)


def _parts(node: yaml.Node) -> Iterator[tuple[str, yaml.Node, yaml.Mark]]:
    """What stands directly in a node: the key or the number of each, and where it begins."""
    if isinstance(node, yaml.MappingNode):
        for key_node, part in node.value:
            yield str(key_node.value), part, key_node.start_mark
    elif isinstance(node, yaml.SequenceNode):
        for number, part in enumerate(node.value):
            yield str(number), part, part.start_mark
