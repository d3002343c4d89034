"""What a server said, as a message may print it: on one line, cut, and without the key."""

from __future__ import annotations

import html
import re
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import unquote

from refine_af.errors import shown

# How many characters of a server's words a message prints, and how many are read for that.
SHOWN = 300
READ = 4096
# So many characters of a key in a row are no coincidence, and too few to be of use.
PIECE = 8
NOT_SHOWN = "(words not shown: they hold part of the key)"
# Escapes as JSON has them and programs print them; JSON within JSON has several backslashes.
ESCAPE = re.compile(r"(?<!\\)\\+(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|/)")


def fit_to_show(said: bytes | str, key: str) -> str:
    """The beginning of `said`, quoted, `[key]` for `key`; NOT_SHOWN where a piece of it is left.

    Servers, and what stands between, echo a key in escapes of many kinds, cut short, in capitals,
    or as base64 of the header. Escapes are undone first; what is then left of the key is looked for
    in pieces, since no list of the ways to write it would be whole. An empty `key` hides nothing.
    """
    text = said if isinstance(said, str) else said.decode("utf-8", "replace")
    text = _plain(text[:READ])
    if not key:
        return shown(text, SHOWN)
    # NUL stands in, of which `_plain` leaves none: "[key]" itself may hold a piece of a short key.
    bare = text.replace(_plain(key), "\0")
    # A piece may begin at the last character that is shown.
    seen = bare[: SHOWN + PIECE].casefold()
    if any(piece in seen for piece in _pieces(key)):
        return NOT_SHOWN
    return shown(bare.replace("\0", "[key]"), SHOWN)


def _plain(text: str) -> str:
    """Text without NULs, escapes of JSON, URLs and HTML, and runs of spaces and line ends.

    Each turn of the loop but the last shortens the text, so there is a last one.
    """
    before = None
    while text != before:
        before, text = text, ESCAPE.sub(_character, text.replace("\0", ""))
        text = html.unescape(unquote(text))
    text = " ".join(text.split())
    # JSON escapes a character beyond 16 bits as two halves: join them.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(escape: re.Match[str]) -> str:
    number = escape[1] or escape[2]
    return chr(int(number, 16)) if number else "/"


def _pieces(key: str) -> set[str]:
    """What gives a key away: its pieces, and those of its base64, wherever that began."""
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
