"""A server while it is being asked: one client, and the attempts at all that is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import httpx2

from refine_af.engines.server_attempts import Attempts, FaultError

# After these statuses, as after any 5xx, a later attempt may succeed.
TRANSIENT = frozenset({408, 409, 425, 429})
BYTES_BESIDE = 2**20  # of an answer, beside what its tokens may take
ITSELF = -1  # the number of what is asked of the server itself, and not of its model


@dataclass(frozen=True)
class Session:
    """`timeout_s` are the seconds that the server may go without a word."""

    client: httpx2.AsyncClient
    attempts: Attempts
    key: str
    timeout_s: float

    async def got(self, address: str, wanted: str) -> tuple[int, bytes]:
        """The status and the beginning of the body at an address, once the server is there."""

        async def ask() -> tuple[int, bytes]:
            content = bytearray()
            async with asyncio.timeout(self.timeout_s):
                async with self.client.stream("GET", address) as response:
                    async for chunk in response.aiter_raw():
                        content += chunk
                        if len(content) > BYTES_BESIDE:
                            break
            if passes(response):
                raise FaultError(f"HTTP {response.status_code}", away=True)
            return response.status_code, bytes(content)

        return await self.attempts.made(ITSELF, wanted, ask)


def passes(response: httpx2.Response) -> bool:
    """Whether the server is away or too busy, which may pass."""
    return response.status_code in TRANSIENT or response.is_server_error
