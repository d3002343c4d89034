"""config.yaml: read with all that it extends, every fault named, and checked before any job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from refine_af.errors import InputError, shown
from refine_af.settings.experiment import Experiment
from refine_af.workflow.faults import begins, dotted, faults_told, key_of
from refine_af.workflow.moved_keys import check_moved
from refine_af.workflow.typed_values import as_yaml, respelled
from refine_af.workflow.yaml_files import Key, read_yaml

# The mappings that an experiment states as a whole: models it chose itself, and what speaks of
# them; and weights, which belong to one scorer's components.
WHOLE: set[Key] = {("models",), ("servers",), ("ratings", "files"), ("reward", "weights")}
COMMAND_LINE = "--config"  # the place of what it gives


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
            if not any(key[:length] in here for length in range(len(key) + 1))
        }
        return Configuration(values, {**kept, **self.places}, self.spelled)

    @property
    def files(self) -> list[str]:
        """The files that it was read from, as seen from where they were read."""
        files = (place.rsplit(", line ", 1)[0] for place in self.places.values())
        return sorted({file for file in files if file != COMMAND_LINE})

    def place_of(self, message: str) -> str:
        """The file and line of the key that a message begins with, or of the nearest around it.

        The file alone where nothing states that key; "" where the values come from no file.
        """
        begun = {text: key for key in self.places if begins(message, text := dotted(key))}
        return self.places[begun[max(begun, key=len)]] if begun else ""

    def as_spelled(self, keys: Iterable[Key]) -> Configuration:
        """The same with the text of those of `keys` that were read as YAML on the command line."""
        values, spelled = self.values, dict(self.spelled)
        for key in spelled.keys() & set(keys):
            values = respelled(values, key, spelled.pop(key))
        return Configuration(values, self.places, spelled)


def read_configuration(
    path: Path, files: Sequence[Path] = (), typed: Mapping[str, Any] | None = None
) -> Configuration:
    """The configuration that a file and all that it extends describe.

    `files` are those of --configfile, each over what came before, and `typed` is what --config
    says, over all of them. `extends` names a file relative to the one that it stands in. InputError
    names file, line and value.
    """
    found = _extended(path, ())
    for file in files:
        values, places = read_yaml(file)
        del places[()]
        found = Configuration(values, places).above(found, set())
    if not typed:
        return found
    values, spelled = as_yaml(typed)
    return Configuration(values, dict(_told(typed, ())), spelled).above(found, set())


def read_experiment(config: Configuration | Mapping[str, Any]) -> Experiment:
    """The experiment that a configuration describes.

    Raises InputError with one line a fault: the key's path, what is wrong, the value, and where it
    stands.
    """
    if not isinstance(config, Configuration):
        config = Configuration(dict(config), {})
    check_moved(config.values, config.place_of)
    try:
        return Experiment.model_validate(config.values)
    except ValidationError as error:
        faults = error.errors()
    # What --config says is text where text is right, and a number or the like elsewhere.
    wrong = {key_of(fault) for fault in faults}
    still = _wrong_keys(config.as_spelled(wrong))
    text_is_meant = config.as_spelled(wrong - still)
    if len(text_is_meant.spelled) < len(config.spelled):
        return read_experiment(text_is_meant)
    raise InputError(f"config.yaml is wrong:\n{faults_told(faults, config.place_of)}")


def _wrong_keys(config: Configuration) -> set[Key]:
    try:
        Experiment.model_validate(config.values)
    except ValidationError as error:
        return {key_of(fault) for fault in error.errors()}
    return set()


def resolved(experiment: Experiment) -> str:
    """The whole experiment as one YAML text, which depends on no other file."""
    values = experiment.model_dump(mode="json")
    text: str = yaml.safe_dump(values, sort_keys=False, width=100)
    return f"# What this run was asked for: config.yaml with all that it extends.\n{text}"


def _extended(path: Path, above: tuple[Path, ...]) -> Configuration:
    """A file's configuration over that of the file that it extends; `above` extend it."""
    found = Configuration(*read_yaml(path))
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


def _at(values: Any, key: Key) -> Any:
    """What stands at a key; None where nothing does."""
    for name in key:
        values = values.get(name) if isinstance(values, Mapping) else None
    return values


def _told(values: Mapping[str, Any], above: Key) -> Iterator[tuple[Key, str]]:
    """The place of each key that --config gives."""
    for name, value in values.items():
        key = (*above, str(name))
        yield key, COMMAND_LINE
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
