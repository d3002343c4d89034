"""What may be asked for on the command line, and what is said of all else."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from refine_af.errors import InputError

Axes = Mapping[str, Sequence[str]]  # by wildcard, its values in this experiment
SHOWN = 6
CONSTRAINT = re.compile(r"(?<=\w),[^}]*(?=\})")  # of a wildcard, as in {name,a|b}
WILDCARD = re.compile(r"\{(\w+)\}")
REPLICATE = "(?:_r[0-9]+)?"  # the first one has no ending
PLURALS = {"checkpoint": "checkpoints of the hub"}
SEE = "`snakemake --list` tells what else there is"


class Targets:
    """The files that the rules make, by rule, as patterns with {wildcards}.

    A rule without files is a name for others. `axes` gives the values of a rule's wildcards.
    """

    def __init__(self, rules: Mapping[str, Sequence[str]], axes: Callable[[str], Axes]) -> None:
        self._rules = {
            name: [CONSTRAINT.sub("", pattern) for pattern in patterns]
            for name, patterns in rules.items()
        }
        self._axes = axes

    def check(self, targets: Iterable[str]) -> None:
        """InputError where no rule makes a target, with what there is."""
        for target in targets:
            if target in self._rules:
                fault = self._of_rule(target)
            else:
                fault = self._of_path(Path(os.path.relpath(target)).as_posix())
            if fault:
                raise InputError(fault)

    def _of_rule(self, rule: str) -> str:
        if not any(map(WILDCARD.search, self._rules[rule])):
            return ""
        files = list(self._files(rule))
        one = f"name one of its files, as {files[0]}" if files else "it has none here"
        return (
            f"{rule}: this rule makes several files: {one}, or ask for all of a kind: {self._names}"
        )

    @property
    def _names(self) -> str:
        """The rules that are but names for others."""
        return ", ".join(name for name, files in self._rules.items() if not files)

    def _files(self, rule: str) -> Iterator[str]:
        """Every file that a rule makes in this experiment."""
        axes = self._axes(rule)
        for pattern in self._rules[rule]:
            names = list(dict.fromkeys(WILDCARD.findall(pattern)))
            for values in itertools.product(*(axes.get(name, ()) for name in names)):
                filled = dict(zip(names, values, strict=True))
                yield pattern.format_map(filled)

    def _of_path(self, path: str) -> str:
        """What is wrong with a path as a target; empty where a rule makes it, or it is a file."""
        matches = [
            (len(wrong), -len(WILDCARD.sub("", pattern)), wrong)
            for rule, patterns in self._rules.items()
            for pattern in patterns
            if (wrong := self._unknown(rule, pattern, path)) is not None
        ]
        if matches:
            _, _, wrong = min(matches, key=lambda match: match[:2])
            return f"{path}: {'; '.join(wrong)}" if wrong else ""
        if Path(path).is_file():
            return ""
        return self._of_folder(path) or self._of_nothing(path)

    def _unknown(self, rule: str, pattern: str, path: str) -> list[str] | None:
        """What no axis of a rule knows of a path that fits its pattern; None where it fits not."""
        parts = WILDCARD.split(pattern)
        regex = "".join(
            f"(?P<{part}>{REPLICATE if part == 'replicate' else '[^/]+?'})"
            if odd % 2
            else re.escape(part)
            for odd, part in enumerate(parts)
        )
        found = re.fullmatch(regex, path)
        if found is None:
            return None
        axes = self._axes(rule)
        return [
            f"{value!r} is none of the {PLURALS.get(name, name + 's')} {listed(axes.get(name, ()))}"
            for name, value in found.groupdict().items()
            if value not in axes.get(name, ())
        ]

    def _of_folder(self, path: str) -> str:
        files = (file for rule in self._rules for file in self._files(rule))
        below = [file for file in files if path == "." or file.startswith(f"{path}/")]
        if not below:
            return ""
        return (
            f"{path}: a folder of several targets: name one, as {listed(below, 3)}, or ask for "
            f"all of a kind: {self._names}"
        )

    def _of_nothing(self, path: str) -> str:
        known = [*self._rules, *(file for rule in self._rules for file in self._files(rule))]
        near = get_close_matches(path, known, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        return f"{path}: no rule makes it, nor is one called so; {meant}{SEE}"


def listed(names: Sequence[str], most: int = SHOWN) -> str:
    """The first names that say something, and how many more there are."""
    names = list(filter(None, names))
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more if names else "(there are none)"
