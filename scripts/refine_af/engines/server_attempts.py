"""Attempts at a request: another one where it may help, as long as patience and count allow."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx2

from refine_af.engines.server_words import fit_to_show
from refine_af.errors import InputError
from refine_af.jobs.attempts import wait_after
from refine_af.jobs.serving import Endpoint

LONGEST_RETRY_AFTER_S = 120.0
MENDED = "run this again once the cause is mended, and it goes on from there."
Found = TypeVar("Found")


def wait_before(attempt: int, retry_after: str = "") -> float:
    """Seconds to wait before an attempt, the first being 1: 0, 0.5, 1, 2, 4, ... up to 30.

    More where the server's Retry-After header asks for it in seconds, up to 120.
    """
    theirs = float(retry_after) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", retry_after) else 0.0
    return max(wait_after(attempt - 1), min(theirs, LONGEST_RETRY_AFTER_S))


class FaultError(Exception):
    """An attempt failed where another may succeed, after what a Retry-After header asks for.

    `away` says that the server is not there, or too busy: it may be there again in a while.
    """

    def __init__(self, said: str, retry_after: str = "", *, away: bool = False) -> None:
        super().__init__(said)
        self.retry_after, self.away = retry_after, away


class RefusalError(Exception):
    """The server refuses a request, as it would again; `remedy` is what to do then."""

    def __init__(self, said: str, remedy: str = MENDED) -> None:
        super().__init__(said)
        self.remedy = remedy


@dataclass
class _Tried:
    """What has become of one request so far: attempts, those of no use, and since when away."""

    attempts: int = 0
    useless: int = 0
    away_since: float | None = None


class Attempts:
    """The attempts at all requests of one call; once it is ended, none is made again."""

    def __init__(self, asked: Endpoint, url: str, key: str) -> None:
        self._asked, self._server, self._url, self._key = asked, asked.server, url, key
        self._ended = asyncio.Event()
        self._failing: set[int] = set()

    def end(self) -> None:
        """Let those that run come to their end, and make no further one."""
        self._ended.set()

    async def made(self, number: int, wanted: str, ask: Callable[[], Awaitable[Found]]) -> Found:
        """What `ask` gives at last.

        InputError where it is refused, no attempt is left, or the server is gone for good.

        `number` tells requests apart, and `wanted` says in a message what was asked for.
        """
        tried, remedy = _Tried(), MENDED
        try:
            while True:
                tried.attempts += 1
                try:
                    return await ask()
                except (FaultError, httpx2.RequestError, TimeoutError) as error:
                    fault = self._read(error)
                wait = wait_before(tried.attempts + 1, fault.retry_after)
                if not self._may_help(tried, fault, wait) or self._ended.is_set():
                    break
                self._log(number, fault)
                if await self._ends_within(wait):
                    break
                self._asked.check()
            said = str(fault)
        except RefusalError as error:
            said, remedy = str(error), error.remedy
        finally:
            self._failing.discard(number)
        raise InputError(
            f"{self._url}: {wanted}: {said} (attempts: {tried.attempts}). What was answered is "
            f"kept: {remedy}"
        )

    def _read(self, error: Exception) -> FaultError:
        if isinstance(error, FaultError):
            return error
        if isinstance(error, TimeoutError):
            return FaultError(f"no word for {self._server.timeout_s:g} s (timeout_s)")
        words = fit_to_show(str(error), self._key)
        return FaultError(f"{type(error).__name__} {words}", away=True)

    def _may_help(self, tried: _Tried, fault: FaultError, wait: float) -> bool:
        """Whether another attempt after so long a wait is within what the settings allow."""
        if not fault.away:
            tried.useless += 1
            tried.away_since = None
            return tried.useless < self._server.attempts
        now = time.monotonic()
        tried.away_since = now if tried.away_since is None else tried.away_since
        return now + wait - tried.away_since <= self._server.patience_s

    async def _ends_within(self, wait: float) -> bool:
        try:
            return await asyncio.wait_for(self._ended.wait(), wait)
        except TimeoutError:
            return False

    def _log(self, number: int, fault: FaultError) -> None:
        """Print the fault, unless another request is failing already: one line for all of them."""
        if not self._failing:
            print(f"{self._url}: {fault}; trying again", flush=True)
        self._failing.add(number)
