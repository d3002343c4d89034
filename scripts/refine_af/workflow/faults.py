"""What is wrong with a configuration, a line a fault: key, reason, value, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from refine_af.errors import shown
from refine_af.workflow.reference import names_below

Key = tuple[str, ...]


def key_of(fault: Mapping[str, Any]) -> Key:
    """The key that a fault of pydantic's speaks of."""
    return tuple(str(part) for part in fault["loc"] if part != "[key]")


def faults_told(found: Iterable[Mapping[str, Any]], place: Callable[[Key], str]) -> str:
    """The faults that pydantic found, a line each; `place` tells where a key stands.

    A key that is nearly one that is missing stands for both.
    """
    faults = [(key_of(fault), fault) for fault in found]
    missing = {key for key, fault in faults if fault["type"] == "missing"}
    meant = {
        key: _meant(key, missing) for key, fault in faults if fault["type"] == "extra_forbidden"
    }
    spoken_for = {(*key[:-1], name) for key, name in meant.items()}
    lines = []
    for key, fault in faults:
        if key in missing and key in spoken_for:
            continue
        wrong = _reason(fault, meant.get(key))
        section = fault["type"] == "value_error" and isinstance(fault["input"], Mapping)
        hidden = fault["type"] == "missing" or section or _may_be_a_secret(fault["loc"])
        got = "" if hidden else f"; got {shown(fault['input'])}"
        # What compares several keys names one of them first.
        named = re.match(r"[\w.-]*", wrong)
        first = tuple(named[0].strip(".").split(".")) if section and named else ()
        at = f" ({where})" if (where := place((*key, *first))) else ""
        lines.append(f"  {'.'.join(key) or 'config'}: {wrong}{got}{at}")
    if any(len(key) == 1 for key in missing - spoken_for):
        lines.append("A config.yaml that says only what differs names the other by `extends:`.")
    return "\n".join(lines)


def _reason(fault: Mapping[str, Any], meant: str | None) -> str:
    if fault["type"] == "missing":
        return "is required, and nothing states it"
    if fault["type"] == "extra_forbidden":
        return "there is no such key" + (f"; did you mean {meant!r}?" if meant else "")
    return str(fault["msg"].removeprefix("Value error, "))


def _meant(key: Key, missing: set[Key]) -> str | None:
    """The known key that an unknown one resembles; those that are missing come first."""
    *section, name = key
    beside = [each[-1] for each in missing if each[:-1] == tuple(section)]
    for names in (beside, names_below(section)):
        if near := get_close_matches(name, names, n=1, cutoff=0.6):
            return near[0]
    return None


def _may_be_a_secret(place: tuple[int | str, ...]) -> bool:
    """Whether what stands there may be a server's key, put where its variable's name belongs.

    No message shows it.
    """
    told = {"model", "concurrency", "timeout_s", "attempts"}  # a refused address may hold one
    return place[:1] in {("servers",), ("server",)} and place[-1] not in told
