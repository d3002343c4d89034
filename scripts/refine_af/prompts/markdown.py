"""Markdown that chat models put around labels (`**Input:** a`, `## Task 11: …`), taken away.

What has no such markup stays as it is, to the byte.
"""

from __future__ import annotations

import re
from functools import lru_cache

MARK = r"(?P<mark>\*{1,3}|_{1,3}|`{1,3})"
# Of one `#` a line of Python begins.
HEAD = r"^[ \t]{0,3}#{2,6}[ \t]+"
BULLET = r"(?:^[ \t]{0,9}(?:[-+*]|\d{1,3}[.)])[ \t]+)?"
LABEL = r"(?P<label>(?:Input|Output)(?:[ \t]?\d{1,9})?|Example(?:[ \t]?\d{1,9})?\.?)"
CLASS_LABEL = r"(?P<label>Class label)"
# What a stop string cut off from the label that was to follow.
CUT = re.compile(r"[ \t]*(?:#{2,6}|[-+]?[ \t]*(?:\*\*|__))[ \t]*")


def plain_labels(text: str) -> str:
    """A reply with pairs whose labels stand without markup."""
    return _plain(text, LABEL)


def plain_class_labels(text: str) -> str:
    """The same of a reply whose pairs begin with a class label."""
    return _plain(text, CLASS_LABEL)


def plain_numbers(text: str, numbering: str) -> str:
    """A task list whose numbers, written as `numbering` says, stand without markup."""
    beginning = _numbered(numbering)
    return _uncut("\n".join(_plain_item(line, beginning) for line in text.split("\n")))


def marked_numbers(text: str, numbering: str) -> list[int]:
    """The line ends of a text after which a number follows with markup before it."""
    beginning, found, start = _numbered(numbering), [], 0
    for line in text.split("\n"):
        match = beginning.match(line)
        if match and start and match["before"].strip():
            found.append(start - 1)
        start += len(line) + 1
    return found


def _plain(text: str, label: str) -> str:
    emphasised, headed, whole = _labelled(label)
    for pattern in (emphasised, headed):
        text = pattern.sub(_plain_label, text)
    return _uncut(whole.sub(lambda found: f"{_plain_label(found)}{found['rest']}", text))


@lru_cache
def _labelled(label: str) -> list[re.Pattern[str]]:
    """A label that is emphasised, one in a heading, and one in a line that is emphasised whole."""
    patterns = [
        rf"{BULLET}(?<![\w*_`]){MARK}{label}[ \t]?"
        r"(?::(?P=mark)|(?P=mark)[ \t]?:|(?P=mark)(?=[ \t]*$))",
        rf"{HEAD}{label}[ \t]?(?::|(?=[ \t]*$))",
        rf"^[ \t]{{0,9}}{MARK}{label}[ \t]?:(?P<rest>[^\n*_`]*)(?P=mark)[ \t]*$",
    ]
    return [re.compile(pattern, re.MULTILINE) for pattern in patterns]


def _plain_label(found: re.Match[str]) -> str:
    label = found["label"]
    return label if label.startswith("Example") else f"{label}:"


def _plain_item(line: str, beginning: re.Pattern[str]) -> str:
    found = beginning.match(line)
    if found is None or found["before"].isspace() or not found["before"]:
        return line
    rest, mark = line[found.end() :], found["mark"] or ""
    closed = found["inner"] or found["outer"]
    if mark and not closed:  # the whole item is emphasised, or what stands here is no markup
        if not rest.rstrip().endswith(mark):
            return line
        rest = rest.rstrip().removesuffix(mark)
    return f"{found['number']}{found['after']}{rest}"


@lru_cache
def _numbered(numbering: str) -> re.Pattern[str]:
    """A line that begins with an item's number, with the markup before it and around it."""
    before, after = (
        r"[ \t]*".join(map(re.escape, part.split())) for part in numbering.split("{number}")
    )
    return re.compile(
        rf"(?P<before>[ \t]{{0,9}}(?:[-+*][ \t]+)?(?:#{{1,6}}[ \t]+)?{MARK}?)"
        rf"(?P<number>{before}[ \t]*\d{{1,9}})[ \t]?"
        rf"(?P<inner>(?(mark)(?P=mark))(?=[ \t]*{after}))?[ \t]?"
        rf"(?P<after>{after})(?P<outer>(?(mark)(?P=mark)))?"
    )


def _uncut(text: str) -> str:
    above, line_end, last = text.rpartition("\n")
    return above if line_end and CUT.fullmatch(last) else text
