"""Which servers the replies of a log came from, kept beside it."""

from __future__ import annotations

import json
from pathlib import Path

from refine_af.files.journal import Journal


class Origins:
    """Notes in `<log>.servers.jsonl` where another server answers, and says so.

    Its lines say what the server told of itself, and the line of the log that its replies begin in.
    """

    def __init__(self, log: Path) -> None:
        self._path = log.with_suffix(".servers.jsonl")
        self._last = ""
        if self._path.exists():
            with Journal(self._path) as journal:
                told = [row.get("server") for _, row in journal.rows]
            self._last = json.dumps(told[-1], sort_keys=True) if told else ""

    def note(self, origin: str, line: int) -> None:
        """Note who gave the reply in a line of the log; "" is a model in this process."""
        if not origin or origin == self._last:
            return
        if self._last:
            print(
                f"another server than the one before gives the replies from line {line} on: "
                f"{origin}, where it was {self._last}",
                flush=True,
            )
        self._last = origin
        with Journal(self._path) as journal:
            journal.append([{"first_line": line, "server": json.loads(origin)}])
            journal.sync()
