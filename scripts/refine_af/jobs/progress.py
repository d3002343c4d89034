"""How far a job is: a bar on a terminal, plain lines in a log file."""

from __future__ import annotations

import sys
import time

DAY = 24 * 3600
YEAR = 365 * DAY


class Progress:
    """Counts to `total` of `what`; in a log every line begins with `progress:`."""

    def __init__(self, total: int, what: str) -> None:
        self.total = total
        self._what = what
        self._done = 0
        self._skipped = 0
        self._start = time.monotonic()
        self._shown = 0.0
        self._momentary = False
        self.left = ""  # what is to be said of the time left, where a job knows it better
        self._terminal = sys.stdout.isatty()
        self._show("")

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` more; `note` is a figure of the moment, such as `reward 0.41`."""
        self._done += n
        every = 0.1 if self._terminal else 2.0
        # A figure of the moment does not stay: what it spoke of is over.
        old = self._momentary or time.monotonic() - self._shown >= every
        if self._done >= self.total or old:
            self._show(note)

    def skip(self, n: int) -> None:
        """Count `n` that an earlier run did: the time left is estimated without them."""
        self._done += n
        self._skipped += n
        self._start = time.monotonic()
        if n:
            self._show("")

    def line(self, text: str) -> None:
        """A line that stays, above the bar of a terminal."""
        print(f"\r\x1b[K{text}" if self._terminal else text, flush=True)

    def show(self, note: str) -> None:
        """Show a figure of the moment between two counts, where the last one is old."""
        if time.monotonic() - self._shown >= (0.1 if self._terminal else 10.0):
            self._show(note)
            self._momentary = True

    def _show(self, note: str) -> None:
        self._shown, self._momentary = time.monotonic(), False
        parts = [f"{self._done}/{self.total} {self._what}"]
        if note:
            parts.append(note)
        done = self._done - self._skipped
        if self.left and self._done < self.total:
            parts.append(self.left)
        elif done and self._done < self.total:
            passed = self._shown - self._start
            parts.append(f"{duration(passed / done * (self.total - self._done))} left")
        line = " · ".join(parts)
        if not self._terminal:
            print(f"progress: {line}", flush=True)
            return
        filled = 20 * self._done // max(1, self.total)
        end = "\n" if self._done >= self.total else ""
        print(f"\r\x1b[K[{'█' * filled}{'░' * (20 - filled)}] {line}", end=end, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words: `40 s`, `3 min 20 s`, `2 h 5 min`, `12 days`, `over 10 years`."""
    if seconds >= 10 * YEAR:
        return "over 10 years"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 10 * DAY:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // DAY:,} days"
