"""A page in one HTML file that loads nothing, and runs nothing but its own script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping
from typing import Any

from refine_af.errors import InputError
from refine_af.files.documents import SURROGATE

SLOT = re.compile(r"\{\{(\w+)\}\}")
SLOTS = ("data", "script")
# What a page begins with; its title, the end of the head and the body are its own.
HEAD = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{{policy}}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<style>{{style}}</style>
"""
LEVEL = 9  # of zlib: the smallest


def page(markup: str, style: str, script: str, *, data: str) -> str:
    """The document: HEAD and `markup`, their slots filled in one pass, so that none fills another.

    `markup` begins with the title, and holds the slots `data` and `script`. The content security
    policy names style and script by digest. `data`, as `embedded` or `packed` gives it, stands in a
    block that is never run and that no text in it can end.
    """
    found = sorted(SLOT.findall(markup))
    if found != sorted(SLOTS):
        raise InputError(f"the page's markup has the slots {found}, not {sorted(SLOTS)}")
    for name, text in (("style", style), ("script", script)):
        if f"</{name}" in text.lower() or "<!--" in text:
            raise InputError(f"the page's {name} holds a tag that would end it")
    texts = {"policy": policy(style, script), "style": style, "data": data, "script": script}
    return SLOT.sub(lambda slot: texts[slot[1]], HEAD + markup)


def policy(style: str, script: str) -> str:
    """A content security policy that allows this style and this script, and nothing else."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    )


def embedded(data: Mapping[str, Any]) -> str:
    """JSON in ASCII without <, > and &: no text in it is markup to a parser of HTML."""
    text = json.dumps(data, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def packed(data: Mapping[str, Any]) -> str:
    """JSON in UTF-8, deflated, in base64, whose letters are no markup: about a third of the size.

    A browser's `DecompressionStream("deflate")` unpacks it. Half a character (a lone surrogate),
    which UTF-8 cannot hold, stays escaped.
    """
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    text = SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return base64.b64encode(zlib.compress(text.encode("utf-8"), LEVEL)).decode("ascii")


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
