"""Requests to an OpenAI-compatible server: as many at a time as it takes, tried again, bounded."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Generic, TypeVar

import httpx2

from refine_af.engines.server_connection import client, endpoint, key_in
from refine_af.engines.server_words import fit_to_show
from refine_af.errors import InputError
from refine_af.jobs.attempts import wait_after
from refine_af.jobs.serving import Endpoint

# After these statuses, as after any 5xx, a later attempt may succeed.
TRANSIENT = frozenset({408, 409, 425, 429})
LONGEST_RETRY_AFTER_S = 120.0
# Limits of an answer's size, in bytes: for each token, whose bytes JSON can make six times as many,
# and for all the rest.
BYTES_A_TOKEN = 1024
BYTES_BESIDE = 2**20

# The statuses of a prompt that the server's context has no room for, among other causes.
TOO_LONG = frozenset({400, 413})
MENDED = "run this again once the cause is mended, and it goes on from there."

Answer = TypeVar("Answer")
Answered = tuple[int, Answer]
Task = asyncio.Task[Answered[Answer]]


def wait_before(attempt: int, retry_after: str = "") -> float:
    """Seconds to wait before an attempt, the first being 1: 0, 0.5, 1, 2, 4, ... up to 30.

    More where the server's Retry-After header asks for it in seconds, up to 120.
    """
    theirs = float(retry_after) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", retry_after) else 0.0
    return max(wait_after(attempt - 1), min(theirs, LONGEST_RETRY_AFTER_S))


class _FaultError(Exception):
    """An attempt failed where another may succeed, after what a Retry-After header asks for."""

    def __init__(self, said: str, retry_after: str = "") -> None:
        super().__init__(said)
        self.retry_after = retry_after


class _RefusalError(Exception):
    """The server refuses a request, as it would again; `remedy` is what to do then."""

    def __init__(self, said: str, remedy: str = MENDED) -> None:
        super().__init__(said)
        self.remedy = remedy


class Requests(Generic[Answer]):
    """Every call runs an event loop of its own, which pauses while the caller has an answer.

    No threads: one that waits for a server cannot be stopped before its timeout.
    """

    def __init__(
        self,
        asked: Endpoint,
        path: str,
        read: Callable[[bytes], Answer],
        *,
        tokens: int,
        too_long: str,
    ) -> None:
        """`path` is below the server's address; `read` reads an answer's body, of `tokens` tokens.

        A ValueError of `read` says that the body is no answer: another attempt may give one.
        `too_long` is what to do where the server may have no room for a request. InputError where
        the key's environment variable is not set or the address is not valid.
        """
        self._asked, self._server = asked, asked.server
        self._read, self._tokens, self._too_long = read, tokens, too_long
        self.url = endpoint(asked.url, path)
        self._key = key_in(asked.server.key_variable)
        self._most = BYTES_BESIDE + BYTES_A_TOKEN * tokens
        self._failing: set[int] = set()

    def answers(self, requests: Iterable[tuple[int, bytes]]) -> Iterator[Answered[Answer]]:
        """The answer to every request, each by its number, as they come.

        InputError where a request is refused, its attempts are used up or the server is gone for
        good; answers come before it.
        """
        running, waiting = set[Task[Answer]](), iter(requests)
        session = client(self._key, self._server.concurrency, proxies=not self._asked.started)
        with asyncio.Runner() as runner:
            try:
                while ended := runner.run(self._next(session, waiting, running)):
                    # Replies come before a failure, which ends the call: the caller keeps them.
                    for task in sorted(ended, key=lambda task: task.exception() is not None):
                        yield task.result()
            finally:
                runner.run(_close(session, running))

    async def _next(
        self,
        session: httpx2.AsyncClient,
        requests: Iterator[tuple[int, bytes]],
        running: set[Task[Answer]],
    ) -> set[Task[Answer]]:
        """The requests that end next, while as many run as may; none once all have ended."""
        for place, body in islice(requests, self._server.concurrency - len(running)):
            running.add(asyncio.create_task(self._complete(session, place, body)))
        if not running:
            return set()
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        running -= ended
        return ended

    async def _complete(
        self, session: httpx2.AsyncClient, place: int, body: bytes
    ) -> Answered[Answer]:
        """The place and its reply; InputError after the last attempt, or where none can help."""
        attempt, fault, retry_after, remedy = 0, "", "", MENDED
        try:
            while attempt < self._server.attempts:
                if fault:
                    self._log(place, fault)
                attempt += 1
                await asyncio.sleep(wait_before(attempt, retry_after))
                retry_after = ""
                try:
                    async with asyncio.timeout(self._server.timeout_s):
                        return place, await self._ask(session, body)
                except _FaultError as error:
                    fault, retry_after = str(error), error.retry_after
                except httpx2.RequestError as error:
                    self._asked.check()
                    fault = f"{type(error).__name__} {fit_to_show(str(error), self._key)}"
                except TimeoutError:
                    fault = f"no whole answer within {self._server.timeout_s:g} s (timeout_s)"
        except _RefusalError as error:
            fault, remedy = str(error), error.remedy
        finally:
            self._failing.discard(place)
        raise InputError(
            f"{self.url}: no completion of prompt {place}, counted from 0, of {len(body)} bytes: "
            f"{fault} (attempts: {attempt}). What was answered is kept: {remedy}"
        )

    async def _ask(self, session: httpx2.AsyncClient, body: bytes) -> Answer:
        async with session.stream("POST", self.url, content=body) as response:
            content = await self._content(response)
        if response.is_redirect:  # prompts and key go where the settings say, and nowhere else
            target = fit_to_show(response.headers.get("Location", ""), self._key)
            raise _RefusalError(f"HTTP {response.status_code} to {target}")
        reason = ""
        if response.is_success:
            try:
                return self._read(content)
            except ValueError as error:
                reason = f" without a completion ({error})"
        said = f"HTTP {response.status_code}{reason}: {fit_to_show(content, self._key)}"
        if reason or response.status_code in TRANSIENT or response.is_server_error:
            raise _FaultError(said, response.headers.get("Retry-After", ""))
        raise _RefusalError(said, self._too_long if response.status_code in TOO_LONG else MENDED)

    async def _content(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        # Not decompressed: an answer that is compressed, unasked, could grow past any limit.
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self._most:
                raise _FaultError(
                    f"HTTP {response.status_code} with more than the {self._most} bytes that "
                    f"{self._tokens} tokens may take"
                )
        return bytes(content)

    def _log(self, place: int, fault: str) -> None:
        """Print the fault, unless another request is failing already: one line for all of them."""
        if not self._failing:
            print(f"{self.url}: {fault}; trying again", flush=True)
        self._failing.add(place)


async def _close(session: httpx2.AsyncClient, running: set[Task[Answer]]) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await session.aclose()
