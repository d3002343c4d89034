"""Lines that stay and, on a terminal, a block of live lines beneath them that is redrawn."""

import os
from collections.abc import Sequence
from typing import TextIO

from snakemake_logger_plugin_live.job_logs import fitted


class Screen:
    """Writes to a stream; a reader who has gone away does not disturb the run."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._drawn: list[str] = []
        self.live = stream.isatty() and os.environ.get("TERM") not in (None, "dumb")

    def size(self) -> tuple[int, int]:
        """Columns and rows of the terminal, 80 and 24 where it does not tell."""
        try:
            found = os.get_terminal_size(self._stream.fileno())
        except (OSError, ValueError):
            return 80, 24
        return found.columns or 80, found.lines or 24

    def show(self, lasting: Sequence[str], block: Sequence[str]) -> None:
        """Print `lasting` above the live block, which becomes `block` (on a terminal)."""
        columns, rows = self.size()
        wanted = [fitted(line, columns - 1) for line in block[: rows - 1]] if self.live else []
        if not lasting and wanted == self._drawn:
            return
        erased = f"\r\x1b[{len(self._drawn)}A\x1b[J" if self._drawn else ""
        text = erased + "".join(f"{line}\n" for line in [*lasting, *wanted])
        self._drawn = wanted
        encoding = self._stream.encoding or "ascii"
        try:
            self._stream.write(text.encode(encoding, "replace").decode(encoding))
            self._stream.flush()
        except (BrokenPipeError, ValueError):  # ValueError: the stream is closed
            self.live = False
            self._drawn = []
