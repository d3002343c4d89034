"""config.yaml: read with every fault named, and checked before any job runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import ValidationError

from refine_af.errors import InputError, shown
from refine_af.settings.experiment import Experiment
from refine_af.workflow.moved_keys import check_moved


class _OneOfEachKey(yaml.SafeLoader):
    """Refuses a key that stands twice: YAML itself would keep the last in silence."""

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


def check_readable(path: Path) -> None:
    """InputError, with the line, unless the file is YAML with every key once."""
    try:
        loaded = yaml.load(path.read_text(encoding="utf-8"), _OneOfEachKey)
    except FileNotFoundError:
        raise InputError(
            f"{path.absolute()}: no such file; an experiment is a folder with a config.yaml"
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 at byte {error.start}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise InputError(f"{path}, line {line}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: not YAML: {error}") from None
    except OSError as error:
        raise InputError(f"{path.absolute()}: cannot be read: {error.strerror}") from None
    if not isinstance(loaded, dict):
        raise InputError(f"{path}: holds no keys")


def read_experiment(config: Mapping[str, object]) -> Experiment:
    """The experiment that `config` describes.

    Raises InputError with one line a fault: the key's path, what is wrong, and the value.
    """
    check_moved(config)
    try:
        return Experiment.model_validate(config)
    except ValidationError as error:
        faults = []
        for fault in error.errors():
            key = ".".join(str(part) for part in fault["loc"] if part != "[key]")
            hidden = fault["type"] == "missing" or _may_be_a_key(fault["loc"])
            got = "" if hidden else f"; got {shown(fault['input'])}"
            wrong = fault["msg"].removeprefix("Value error, ")
            faults.append(f"  {key or 'top level'}: {wrong}{got}")
        raise InputError("config.yaml is wrong:\n" + "\n".join(faults)) from None


def _may_be_a_key(place: tuple[int | str, ...]) -> bool:
    """Whether what stands there may be a server's key, put where its variable's name belongs."""
    told = {"url", "model", "concurrency", "timeout_s", "attempts"}
    return place[:1] == ("servers",) and place[-1] not in told
