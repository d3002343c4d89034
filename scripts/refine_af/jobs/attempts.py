"""How long to wait where another attempt may succeed."""

from __future__ import annotations

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0


def wait_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row: 0, 0.5, 1, 2, 4, ... up to 30."""
    return min(FIRST_WAIT_S * 2.0 ** min(failures - 1, 30), LONGEST_WAIT_S) if failures else 0.0
