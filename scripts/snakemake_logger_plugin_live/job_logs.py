"""What jobs left in their logs, made fit to print: a log may hold any byte."""

import re
import unicodedata
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TAIL = 65536  # bytes read from a log's end
HEAD = 128  # and from its beginning, for the first line of refine_af.jobs.record
MESSAGE_LINES = 12
MESSAGE_WIDTH = 400

_START = re.compile(rb"SLURM's job \d+ began: .*\n")
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|.?)", re.DOTALL)


def plain(text: str) -> str:
    """`text` on one line, without escape sequences, control or direction characters."""
    kept = []
    for sign in _ESCAPE.sub("", text):
        category = unicodedata.category(sign)
        if sign.isspace():
            kept.append(" ")
        elif not category.startswith("C"):
            kept.append(sign)
    return "".join(kept).strip()


def fitted(text: str, width: int) -> str:
    """`text` cut, with an ellipsis, to at most `width` columns of a terminal."""
    if sum(map(_columns, text)) <= width:
        return text
    kept, used = [], 1
    for sign in text:
        used += _columns(sign)
        if used > width:
            break
        kept.append(sign)
    return "".join(kept) + "…" if width > 0 else ""


def start_of(logs: Iterable[str]) -> bytes:
    """What a job's log says of its start on SLURM, in its first line; nothing where it does not."""
    for log in logs:
        with suppress(OSError), open(log, "rb") as file:
            if told := _START.match(file.read(HEAD)):
                return told[0]
    return b""


def last_progress(logs: Iterable[str]) -> str:
    """The latest `progress: …` of a job, without the word; empty where there is none."""
    for log in logs:
        for line in reversed(tail_of(log)):
            if line.startswith("progress: "):
                return fitted(line.removeprefix("progress: "), MESSAGE_WIDTH)
    return ""


def last_message(logs: Iterable[str]) -> list[str]:
    """A failed job's own words: from its last `error: …` on, or else its log's last lines."""
    for log in logs:
        said = (fitted(line, MESSAGE_WIDTH) for line in tail_of(log))
        lines = [line for line in said if line and not line.startswith("progress: ")]
        for start in range(len(lines) - 1, -1, -1):
            if lines[start].startswith("error: "):
                return lines[start : start + MESSAGE_LINES]
        if lines:
            return lines[-MESSAGE_LINES:]
    return []


def tail_of(log: str) -> list[str]:
    """The lines at a log's end, fit to print; none where there is no log."""
    try:
        with open(log, "rb") as file:
            file.seek(max(0, Path(log).stat().st_size - TAIL))
            found = file.read(TAIL)
    except OSError:
        return []
    text = found.decode("utf-8", errors="replace")
    return [plain(line) for line in re.split(r"[\r\n]+", text)]


def _columns(sign: str) -> int:
    if unicodedata.category(sign) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1
