"""What a server said, as a message may print it: on one line, cut, and without the key."""

from __future__ import annotations

import html
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import unquote

from refine_af.errors import shown

# Characters of a server's words that a message prints, and those that are looked at for it.
SHOWN = 300
READ = 4096
# Of a key, so many characters on end are no chance, and too few to be of use.
PIECE = 8
NOT_SHOWN = "(words not shown: they hold part of the key)"
# As JSON has them and programs print them; of JSON in JSON, with many backslashes.
ESCAPE = re.compile(r"(?<!\\)\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|/)")


def fit_to_show(said: bytes | str, key: str) -> str:
    """The beginning of `said`, quoted; `[key]` where `key` stood; nothing of it beside a piece.

    Servers, and what stands between, echo a key in escapes of many kinds, cut short, in capitals,
    or as base64 of the header. Escapes are undone first; what is then left of the key is looked for
    in pieces, since no list of the ways to write it would be whole. An empty `key` is none.
    """
    text = said if isinstance(said, str) else said.decode("utf-8", "replace")
    text = _plain(text[:READ])
    if not key:
        return shown(text, SHOWN)
    # A zero, of which `_plain` leaves none: "[key]" itself may hold a piece of a short key.
    bare = text.replace(_plain(key), "\0")
    # A piece may begin at the last character that is shown.
    seen = bare[: SHOWN + PIECE].casefold()
    if any(piece in seen for piece in _pieces(key)):
        return NOT_SHOWN
    return shown(bare.replace("\0", "[key]"), SHOWN)


def _plain(text: str) -> str:
    """Text without zeros, escapes of JSON, URLs and HTML, and runs of spaces and line ends.

    Each turn makes it shorter, so that there is a last one.
    """
    before = None
    while text != before:
        before, text = text, ESCAPE.sub(_character, text.replace("\0", ""))
        text = html.unescape(unquote(text))
    text = " ".join(text.split())
    # Two halves that JSON escapes one by one are one character.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(escape: re.Match[str]) -> str:
    number = escape[1] or escape[2]
    return chr(int(number, 16)) if number else "/"


def _pieces(key: str) -> set[str]:
    """What tells of a key: all its pieces, and those of its base64, wherever that began."""
    forms = [_plain(key)]
    for encode in (b64encode, urlsafe_b64encode):
        for before in range(3):
            # Characters that hold bits of the key alone, whatever stands before and after it.
            first, last = -(-before * 8 // 6), (before + len(key)) * 8 // 6
            form = encode(b"\0" * before + key.encode())[first:last].decode()
            if len(form) >= PIECE:  # any text has shorter ones
                forms.append(form)
    folded = [form.casefold() for form in forms]
    return {
        form[start : start + PIECE]
        for form in folded
        for start in range(max(len(form) - PIECE, 0) + 1)
    }
