"""Markdown in which no text can be markup."""

from __future__ import annotations

import re


def fenced(text: str, language: str) -> str:
    """`text` as a block of code, whatever it holds."""
    fence = "`" * max(3, longest_run(text) + 1)
    return f"{fence}{language}\n{text}\n{fence}\n"


def code(text: str) -> str:
    """`text`, which may hold anything, as code on one line."""
    plain = " ".join(text.split())
    mark = "`" * (longest_run(plain) + 1)
    return f"{mark} {plain} {mark}" if "`" in plain else f"`{plain}`"


def longest_run(text: str) -> int:
    """Of backticks in a row."""
    return max(map(len, re.findall("`+", text)), default=0)
