"""What a program has said last, and which error ended it, for a message."""

from __future__ import annotations

import re
from pathlib import Path

from refine_af.errors import shown

LAST, EARLIER = 12, 3
READ = 16384  # bytes of a log's end that hold such lines
FAULT = re.compile(r"\b[A-Za-z]\w*(Error|Exception): \S")


def last_lines(log: Path, key: str = "") -> list[str]:
    """The last lines of a log as a message may print them, without the key.

    Where one of them names an error, they end there, since a server may say much more before it is
    gone: vLLM tells in 40 lines what it leaks. Up to three other errors come first, and what
    the keeper says of the end comes last.
    """
    with open(log, "rb") as file:
        file.seek(max(log.stat().st_size - READ, 0))
        lines = file.read().decode("utf-8", "replace").split("\n")
    told = [line.replace(key, "[key]") if key else line for line in lines if line.strip()]
    faults = [place for place, line in enumerate(told) if FAULT.search(line)]
    end = faults[-1] + 1 if faults else len(told)
    begin = max(0, end - LAST)
    earlier = list(dict.fromkeys(told[place] for place in faults if place < begin))[-EARLIER:]
    kept = [line for line in told[end:] if line.startswith("keeper: ")]
    return [shown(line.rstrip(), 300)[1:-1] for line in [*earlier, *told[begin:end], *kept]]
