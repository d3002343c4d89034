"""What a person did wrong, said in one message that names the file, line or key, and the value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable


class InputError(Exception):
    """A wrong setting, file or environment; the message is all that the user sees."""


def shown(value: object, limit: int = 80) -> str:
    """`value` as a message may print it: quoted, on one line, cut at `limit` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def doubled(entries: Iterable[object]) -> list[str]:
    """The entries that a list holds more than once, as sorted texts."""
    return sorted(str(entry) for entry, times in Counter(entries).items() if times > 1)
