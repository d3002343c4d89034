"""config.yaml: read with all that it extends, every fault named, and checked before any job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from refine_af.errors import InputError, shown
from refine_af.settings.experiment import Experiment
from refine_af.workflow.moved_keys import check_moved

Key = tuple[str, ...]

# The mappings that an experiment states as a whole: models it chose itself, and what speaks of
# them; and weights, which belong to one scorer's components.
WHOLE: set[Key] = {("models",), ("servers",), ("ratings", "files"), ("reward", "weights")}


@dataclass(frozen=True)
class Configuration:
    """What a config.yaml states, with what it extends, and where each key stands: file and line."""

    values: dict[str, Any]
    places: dict[Key, str]

    def above(self, other: Configuration, whole: set[Key]) -> Configuration:
        """This configuration over another one, which gives what this one does not say.

        Mappings merge, but for those in `whole`; everything else replaces.
        """
        values = _merged(other.values, self.values, whole)
        here = {key for key in self.places if key in whole}
        kept = {
            key: place
            for key, place in other.places.items()
            if not any(key[: len(replaced)] == replaced for replaced in here)
        }
        return Configuration(values, {**kept, **self.places})

    def place(self, key: Key) -> str:
        """The file and line of a key, or of the nearest section around it; "" where unknown."""
        return next(
            (self.places[key[:n]] for n in range(len(key), 0, -1) if key[:n] in self.places), ""
        )


def read_configuration(path: Path, given: Mapping[str, Any] | None = None) -> Configuration:
    """The configuration that a file and all that it extends describe.

    `given` is what the command line says, over all files. `extends` names a file relative to the
    one that it stands in. InputError names file, line and value.
    """
    try:
        found = _extended(path, ())
    except RecursionError:
        raise InputError(f"{path}: nested too deeply to be read") from None
    if not given:
        return found
    return Configuration(dict(given), dict(_told(given, ()))).above(found, set())


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
        faults = []
        for fault in error.errors():
            parts = tuple(str(part) for part in fault["loc"] if part != "[key]")
            hidden = fault["type"] == "missing" or _may_be_a_key(fault["loc"])
            got = "" if hidden else f"; got {shown(fault['input'])}"
            wrong = fault["msg"].removeprefix("Value error, ")
            place = config.place(parts)
            at = f" ({place})" if place else ""
            faults.append(f"  {'.'.join(parts) or 'top level'}: {wrong}{got}{at}")
        raise InputError("config.yaml is wrong:\n" + "\n".join(faults)) from None


def resolved(experiment: Experiment) -> str:
    """The whole experiment as one YAML text, which depends on no other file."""
    values = experiment.model_dump(mode="json")
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    return f"# What this run was asked for: config.yaml with all that it extends.\n{text}"


class _OneOfEachKey(yaml.SafeLoader):
    """Refuses a key that stands twice: PyYAML would keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        lines: dict[object, int] = {}
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if key in lines:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {key!r} stands on line {lines[key]} too",
                    problem_mark=key_node.start_mark,
                )
            lines[key] = line
        return super().construct_mapping(node, deep)


def _extended(path: Path, above: tuple[Path, ...]) -> Configuration:
    """A file's configuration over that of the file that it extends; `above` extend it."""
    found = _read(path)
    if "extends" not in found.values:
        return found
    where, named = found.places["extends",], found.values.pop("extends")
    del found.places["extends",]
    if not isinstance(named, str) or not named:
        raise InputError(f"{where}: extends: not the path of a file: {shown(named)}")
    base = path.parent / Path(named).expanduser()
    if base.is_dir():
        base /= "config.yaml"
    if not base.is_file():
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
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    except OSError as error:
        raise InputError(f"{path.absolute()}: cannot be read: {error.strerror}") from None
    if not isinstance(values, dict):
        raise InputError(f"{path}: holds no keys")
    for key in values:
        if not isinstance(key, str):
            raise InputError(f"{path}: the key {shown(key)} is no text")
    return Configuration(values, dict(_lines(path, node, ())))


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


def _may_be_a_key(place: tuple[int | str, ...]) -> bool:
    """Whether what stands there may be a server's key, put where its variable's name belongs.

    No message shows it.
    """
    told = {"url", "model", "concurrency", "timeout_s", "attempts"}
    return place[:1] == ("servers",) and place[-1] not in told
