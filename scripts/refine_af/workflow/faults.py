"""What is wrong with a configuration, a line a fault: key, reason, value, and where it stands."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from refine_af.errors import shown
from refine_af.workflow.reference import names_below
from refine_af.workflow.yaml_files import Key

SECTION = {"model_type", "dict_type"}  # pydantic's names of these faults
LONGEST = 80
EMPTY = {"too_short", "string_too_short"}


def key_of(fault: Mapping[str, Any]) -> Key:
    """The key that a fault of pydantic's speaks of."""
    return tuple(str(part) for part in fault["loc"] if part != "[key]")


def dotted(key: Key) -> str:
    """A key as messages name it; a part that is odd or long is quoted and cut."""
    return ".".join(
        part if part.isprintable() and 0 < len(part) <= LONGEST else shown(part) for part in key
    )


def begins(message: str, text: str) -> bool:
    """Whether a message begins with a key's text, and not with that of a longer name."""
    return message.startswith(text) and not (text and re.match(r"[\w-]", message[len(text) :]))


def faults_told(found: Iterable[Mapping[str, Any]], place_of: Callable[[str], str]) -> str:
    """The faults that pydantic found, a line each.

    `place_of` tells where the key stands that a text begins with. A key that is nearly one that is
    missing stands for both, and a list's fault is not told again of the list.
    """
    faults = [(key_of(fault), fault) for fault in found if not _follows(fault)]
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
        # What compares several keys of a section names one of them first.
        within = ".".join(filter(None, [dotted(key), wrong if section else ""]))
        at = f" ({where})" if (where := place_of(within)) else ""
        said = f"{dotted(key)}: {wrong}" if key else wrong
        lines.append(f"  {said}{got}{at}")
    if any(len(key) == 1 for key in missing - spoken_for):
        lines.append("A config.yaml that says only what differs names the other by `extends:`.")
    return "\n".join(lines)


def _follows(fault: Mapping[str, Any]) -> bool:
    """Whether a list is only too short because its entries are wrong, which is told of them."""
    return fault["type"] == "too_short" and bool(fault["input"])


def _reason(fault: Mapping[str, Any], meant: str | None) -> str:
    if fault["type"] == "missing":
        return "is required, and nothing states it"
    if fault["type"] == "extra_forbidden":
        return "there is no such key" + (f"; did you mean {meant!r}?" if meant else "")
    if fault["type"] in SECTION:
        return "is to be a section, with keys of its own"
    if fault["type"] == "tuple_type":
        return "is to be a list"
    if fault["type"] in EMPTY:
        return "is empty"
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
    told = {
        "model",
        "concurrency",
        "timeout_s",
        "attempts",
        "patience_s",
        "ready_s",
    }  # a refused address may hold one
    return place[:1] in {("servers",), ("server",)} and place[-1] not in told
