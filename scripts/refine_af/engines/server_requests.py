"""Requests to an OpenAI-compatible server: as many at a time as it takes, tried again, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Generic, TypeVar

import httpx2

from refine_af.engines.replies import Ending
from refine_af.engines.server_attempts import MENDED, Attempts, FaultError, RefusalError
from refine_af.engines.server_connection import client, endpoint, key_in
from refine_af.engines.server_session import BYTES_BESIDE, Session, passes
from refine_af.engines.server_streams import Stream
from refine_af.engines.server_words import fit_to_show
from refine_af.jobs.serving import Endpoint

# Limit of an answer's size, in bytes for each token: JSON can make a token's six times as many, and
# a stream has an event for each.
BYTES_A_TOKEN = 1024

# The statuses of a prompt that the server's context has no room for, among other causes.
TOO_LONG = frozenset({400, 413})

Answer = TypeVar("Answer")
Answered = tuple[int, Answer]
Task = asyncio.Task[Answered[Answer]]


@dataclass(frozen=True)
class Request:
    """A request's body; `ending`, if any, may end an answer that comes as a stream."""

    body: bytes
    ending: Ending | None = None


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
        before: Callable[[Session], Awaitable[None]] | None = None,
    ) -> None:
        """`path` is below the server's address; `read` reads an answer's body, of `tokens` tokens.

        A ValueError of `read` says that the body is no answer: another attempt may give one.
        `too_long` is what to do where the server may have no room for a request. What comes
        `before` comes so in every call that has a request. InputError where the key's environment
        variable is not set or the address is not valid.
        """
        self._asked, self._server = asked, asked.server
        self._read, self._tokens, self._too_long = read, tokens, too_long
        self.url = endpoint(asked.url, path)
        self._before = before
        self._key = key_in(asked.server.key_variable)
        self._most = BYTES_BESIDE + BYTES_A_TOKEN * tokens

    def answers(self, requests: Iterable[tuple[int, Request]]) -> Iterator[Answered[Answer]]:
        """The answer to every request, each by its number, as they come.

        InputError where a request is refused, its attempts are used up or the server is gone for
        good; the answers to those that run then come before it.
        """
        waiting = iter(requests)
        first = next(waiting, None)
        if first is None:
            return
        session = Session(
            client(self._key, self._server.concurrency, proxies=not self._asked.started),
            Attempts(self._asked, self.url, self._key),
            self._key,
            self._server.timeout_s,
        )
        running = set[Task[Answer]]()
        with asyncio.Runner() as runner:
            try:
                if self._before:
                    runner.run(_awaited(self._before(session)))
                yield from self._answers(runner, session, chain([first], waiting), running)
            finally:
                runner.run(_close(session, running))

    def _answers(
        self,
        runner: asyncio.Runner,
        session: Session,
        waiting: Iterator[tuple[int, Request]],
        running: set[Task[Answer]],
    ) -> Iterator[Answered[Answer]]:
        failure: BaseException | None = None
        while ended := runner.run(self._next(session, waiting, running)):
            for task in ended:
                if task.exception() is None:
                    yield task.result()
                    continue
                failure = failure or task.exception()
                waiting = iter(())  # no further one is asked, and those that run are kept
                session.attempts.end()
        if failure:
            raise failure

    async def _next(
        self,
        session: Session,
        requests: Iterator[tuple[int, Request]],
        running: set[Task[Answer]],
    ) -> set[Task[Answer]]:
        """The requests that end next, while as many run as may; none once all have ended."""
        for place, request in islice(requests, self._server.concurrency - len(running)):
            running.add(asyncio.create_task(self._complete(session, place, request)))
        if not running:
            return set()
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        running -= ended
        return ended

    async def _complete(self, session: Session, place: int, request: Request) -> Answered[Answer]:
        """The place and its answer; InputError after the last attempt, or where none can help."""
        wanted = f"no completion of prompt {place}, counted from 0, of {len(request.body)} bytes"
        ask = lambda: self._ask(session, request)  # noqa: E731
        return place, await session.attempts.made(place, wanted, ask)

    async def _ask(self, session: Session, request: Request) -> Answer:
        reason, answered = "", b""
        async with asyncio.timeout(session.timeout_s) as limit:
            async with session.client.stream("POST", self.url, content=request.body) as response:
                try:
                    answered = await self._content(response, request.ending, limit)
                    if response.is_success:
                        return self._read(answered)
                except ValueError as error:
                    reason = f" without a completion ({error})"
        if response.is_redirect:  # prompts and key go where the settings say, and nowhere else
            target = fit_to_show(response.headers.get("Location", ""), self._key)
            raise RefusalError(f"HTTP {response.status_code} to {target}")
        said = f"HTTP {response.status_code}{reason}: {fit_to_show(answered, self._key)}"
        if reason or passes(response):
            raise FaultError(said, response.headers.get("Retry-After", ""), away=not reason)
        raise RefusalError(said, self._too_long if response.status_code in TOO_LONG else MENDED)

    async def _content(
        self, response: httpx2.Response, ending: Ending | None, limit: asyncio.Timeout
    ) -> bytes:
        """The body, of a stream the answer that its events make; each of these is a word."""
        content, loop = bytearray(), asyncio.get_running_loop()
        kind, patience = response.headers.get("Content-Type", ""), self._server.timeout_s
        stream = Stream(ending) if kind.startswith("text/event-stream") else None
        # Not decompressed: an answer that is compressed, unasked, could grow past any limit.
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self._most:
                raise FaultError(
                    f"HTTP {response.status_code} with more than the {self._most} bytes that "
                    f"{self._tokens} tokens may take"
                )
            if stream and self._heard(stream, chunk):
                limit.reschedule(loop.time() + patience)
            if stream and stream.cut:
                break
        return stream.whole() if stream and response.is_success else bytes(content)

    def _heard(self, stream: Stream, chunk: bytes) -> bool:
        try:
            return stream.heard(chunk)
        except ValueError as error:
            said = fit_to_show(stream.last, self._key)
            fault = f"a stream without a completion ({error}): {said}"
            raise FaultError(fault, away=stream.failed) from None


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


async def _close(session: Session, running: set[Task[Answer]]) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await session.client.aclose()
