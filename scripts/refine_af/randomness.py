"""Random numbers that depend on what they are for, and never on what was drawn before."""

from __future__ import annotations

import hashlib


def derived_seed(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, such as ("instructions", round, request), from a seed."""
    # A separator keeps the purposes ("1", "2") and ("12",) apart.
    text = "\x1f".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
