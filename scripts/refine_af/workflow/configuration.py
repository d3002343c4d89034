"""config.yaml: read with all that it extends, every fault named, and checked before any job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from refine_af.errors import InputError, shown
from refine_af.settings.experiment import Experiment
from refine_af.workflow.faults import Key, faults_told, key_of
from refine_af.workflow.moved_keys import check_moved
from refine_af.workflow.typed_values import as_yaml, respelled

# The mappings that an experiment states as a whole: models it chose itself, and what speaks of
# them; and weights, which belong to one scorer's components.
WHOLE: set[Key] = {("models",), ("servers",), ("ratings", "files"), ("reward", "weights")}


@dataclass(frozen=True)
class Configuration:
    """What a config.yaml states, with what it extends, and where each key stands: file and line.

    `spelled` holds, by key, the text of what was read as YAML on the command line.
    """

    values: dict[str, Any]
    places: dict[Key, str]
    spelled: dict[Key, str] = field(default_factory=dict)

    def above(self, other: Configuration, whole: set[Key]) -> Configuration:
        """This configuration over another one, which gives what this one does not say.

        Mappings merge, but for those in `whole`; everything else replaces.
        """
        values = _merged(other.values, self.values, whole)
        # What is no mapping here leaves nothing of the other's keys below it.
        here = {
            key
            for key in self.places
            if key in whole or not isinstance(_at(self.values, key), Mapping)
        }
        kept = {
            key: place
            for key, place in other.places.items()
            if not any(key[: len(replaced)] == replaced for replaced in here)
        }
        return Configuration(values, {**kept, **self.places}, self.spelled)

    def place(self, key: Key) -> str:
        """The file and line of a key, or of the nearest section around it; "" where unknown."""
        return next(
            (self.places[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.places), ""
        )

    def place_of(self, message: str) -> str:
        """The same of the key that a message begins with."""
        begun = [key for key in self.places if message.startswith(".".join(key))]
        return self.places[max(begun, key=len)] if begun else ""

    def as_spelled(self, keys: Iterable[Key]) -> Configuration:
        """The same with the text of those of `keys` that were read as YAML on the command line."""
        values, spelled = self.values, dict(self.spelled)
        for key in spelled.keys() & set(keys):
            values = respelled(values, key, spelled.pop(key))
        return Configuration(values, self.places, spelled)


def read_configuration(
    path: Path,
    given: Mapping[str, Any] | None = None,
    typed: Mapping[str, Any] | None = None,
) -> Configuration:
    """The configuration that a file and all that it extends describe.

    `given` is what the command line says, over all files, and `typed` what of it --config does.
    `extends` names a file relative to the one that it stands in. InputError names file, line and
    value.
    """
    try:
        found = _extended(path, ())
    except RecursionError:
        raise InputError(f"{path}: nested too deeply to be read") from None
    if not given:
        return found
    values, spelled = as_yaml(given, typed)
    return Configuration(values, dict(_told(given, ())), spelled).above(found, set())


def read_experiment(config: Configuration | Mapping[str, Any]) -> Experiment:
    """The experiment that a configuration describes.

    Raises InputError with one line a fault: the key's path, what is wrong, the value, and where it
    stands.
    """
    if not isinstance(config, Configuration):
        config = Configuration(dict(config), {})
    check_moved(config.values, config.place)
    try:
        return Experiment.model_validate(config.values)
    except ValidationError as error:
        faults = error.errors()
    text_is_meant = config.as_spelled(map(key_of, faults))
    if len(text_is_meant.spelled) < len(config.spelled):
        return read_experiment(text_is_meant)
    raise InputError(f"config.yaml is wrong:\n{faults_told(faults, config.place)}")


def resolved(experiment: Experiment) -> str:
    """The whole experiment as one YAML text, which depends on no other file."""
    values = experiment.model_dump(mode="json")
    text: str = yaml.safe_dump(values, sort_keys=False, width=100)
    return f"# What this run was asked for: config.yaml with all that it extends.\n{text}"


class _OneOfEachKey(yaml.SafeLoader):
    """Refuses a key that stands twice: PyYAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        lines: dict[object, int] = {}
        for key_node, _ in node.value:
            if wrong := self._wrong_with(key_node, lines):
                raise yaml.constructor.ConstructorError(
                    problem=wrong, problem_mark=key_node.start_mark
                )
            lines[key_node.value] = key_node.start_mark.line + 1
        return super().construct_mapping(node, deep)

    def _wrong_with(self, key_node: yaml.Node, lines: Mapping[object, int]) -> str | None:
        if key_node.tag == "tag:yaml.org,2002:merge":
            return "`<<` merges nothing here: write the keys, or `extends`"
        key = self.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            kind = type(key).__name__
            return f"the key {shown(key)} is read as {kind}, no text: put it in quotes"
        return f"the key {key!r} stands on line {lines[key]} too" if key in lines else None


def _extended(path: Path, above: tuple[Path, ...]) -> Configuration:
    """A file's configuration over that of the file that it extends; `above` extend it."""
    found = _read(path)
    if "extends" not in found.values:
        return found
    where, named = found.places["extends",], found.values.pop("extends")
    del found.places["extends",]
    if not isinstance(named, str) or not named:
        raise InputError(f"{where}: extends: not the path of a file: {shown(named)}")
    try:
        base = path.parent / Path(named).expanduser()
        if base.is_dir():
            base /= "config.yaml"
        there = base.is_file()
    except (OSError, RuntimeError) as error:  # no such user, a name too long, a closed folder
        wrong = getattr(error, "strerror", None) or error
        raise InputError(f"{where}: extends: {shown(named)}: {wrong}") from None
    if not there:
        raise InputError(f"{where}: extends: {shown(named)}: there is no file {base}")
    line = (*above, path.resolve())
    if base.resolve() in line:
        raise InputError(f"{where}: extends: {shown(named)}: that file extends this one")
    return found.above(_extended(base, line), WHOLE)


def _read(path: Path) -> Configuration:
    """One file's own configuration, `extends` among its keys."""
    try:
        loader = _OneOfEachKey(path.read_text(encoding="utf-8"))
        try:
            node = loader.get_single_node()
            values = loader.construct_document(node) if node else None
        finally:
            loader.dispose()
    except FileNotFoundError:
        raise InputError(
            f"{path.absolute()}: no such file; an experiment is a folder with a config.yaml"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}, line {line}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    except OSError as error:
        raise InputError(f"{path.absolute()}: cannot be read: {error.strerror}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no keys")
    return Configuration(values, dict(_lines(path, node, ())))


def _at(values: Any, key: Key) -> Any:
    """What stands at a key; None where nothing does."""
    for name in key:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _lines(path: Path, node: yaml.Node | None, above: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(node, yaml.MappingNode):
        for key_node, value in node.value:
            key = (*above, str(key_node.value))
            yield key, f"{path}, line {key_node.start_mark.line + 1}"
            yield from _lines(path, value, key)


def _told(values: Mapping[str, Any], above: Key) -> Iterator[tuple[Key, str]]:
    """The place of each key that the command line gives."""
    for name, value in values.items():
        key = (*above, str(name))
        yield key, "--config or --configfile"
        if isinstance(value, Mapping):
            yield from _told(value, key)


def _merged(
    below: Mapping[str, Any], over: Mapping[str, Any], whole: set[Key], above: Key = ()
) -> dict[str, Any]:
    found = dict(below)
    for name, value in over.items():
        key = (*above, name)
        both = isinstance(value, Mapping) and isinstance(found.get(name), Mapping)
        found[name] = (
            _merged(found[name], value, whole, key) if both and key not in whole else value
        )
    return found
