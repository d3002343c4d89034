"""A language model behind an OpenAI-compatible server, asked for one completion a request."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Any

import httpx2

from refine_af.engines.replies import Engine, Group, Reply
from refine_af.engines.server_answers import mended, read_answer
from refine_af.engines.server_connection import client, completions_url, key_in
from refine_af.engines.server_words import fit_to_show
from refine_af.errors import InputError
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Server

# After these statuses, as after any 5xx, a later attempt may succeed.
TRANSIENT = frozenset({408, 409, 425, 429})
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
LONGEST_RETRY_AFTER_S = 120.0
# Some servers hold a seed in 32 bits, signed or not; llama.cpp reads the greatest as "any".
SEEDS = 2**31
# Limits of an answer's size, in bytes: for each token, whose bytes JSON can make six times as many,
# and for all the rest.
BYTES_A_TOKEN = 1024
BYTES_BESIDE = 2**20

# The statuses of a prompt that the server's context has no room for, among other causes.
TOO_LONG = frozenset({400, 413})
MENDED = "run this again once the cause is mended, and it goes on from there."
ASKED_AGAIN = (
    "run again, this asks the same prompt with the same seed. If that is too long for the server, "
    "only this helps: the same model with a larger context, at this address or another; shorter "
    "seed instructions or a shorter prompt file; or a lower max_new_tokens. A changed setting or "
    "input starts the stage afresh."
)

Answered = tuple[int, Reply]
Tasks = set[asyncio.Task[Answered]]


def load_server(server: Server, sampling: Sampling) -> Engine:
    """An engine that sends prefix + tail to `server`, `server.concurrency` prompts at a time.

    What a request cannot name (top-k, min-p, penalties for repetition) is as the server has it. A
    prompt for which the server's context has no room ends the call: from what servers say then, it
    cannot be told for sure from a context that is too small for any prompt.

    InputError where the key's environment variable is not set or the address is not valid; from the
    engine, where a prompt is refused or the attempts are used up.
    """
    return _ServerEngine(server, sampling)


def wait_before(attempt: int, retry_after: str = "") -> float:
    """Seconds to wait before an attempt, the first being 1: 0, 0.5, 1, 2, 4, ... up to 30.

    More where the server's Retry-After header asks for it in seconds, up to 120.
    """
    theirs = float(retry_after) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", retry_after) else 0.0
    own = min(FIRST_WAIT_S * 2.0 ** min(attempt - 2, 30), LONGEST_WAIT_S) if attempt > 1 else 0.0
    return max(own, min(theirs, LONGEST_RETRY_AFTER_S))


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


class _ServerEngine:
    """Every call runs an event loop of its own, which pauses while the caller has a reply.

    No threads: one that waits for a server cannot be stopped before its timeout.
    """

    loading_s = 0.0  # nothing is loaded here

    def __init__(self, server: Server, sampling: Sampling) -> None:
        self._server = server
        self._sampling = sampling
        self._url = completions_url(server.url)
        self._key = key_in(server.key_variable)
        self._most = BYTES_BESIDE + BYTES_A_TOKEN * sampling.max_new_tokens
        self._failing: set[int] = set()
        self._halves = 0

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[Answered]:
        prompts = (group.prefix + tail for group in groups for tail in group.tails)
        requests = (
            (place, self._body(prompt, seed))
            for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
            if place not in answered
        )
        session, running = client(self._key, self._server.concurrency), Tasks()
        with asyncio.Runner() as runner:
            try:
                while ended := runner.run(self._next(session, requests, running)):
                    # Replies come before a failure, which ends the call: the caller keeps them.
                    for task in sorted(ended, key=lambda task: task.exception() is not None):
                        yield task.result()
            finally:
                runner.run(_close(session, running))
                self._tell_halves()

    async def _next(
        self, session: httpx2.AsyncClient, requests: Iterator[tuple[int, bytes]], running: Tasks
    ) -> Tasks:
        """The requests that end next, while as many run as may; none once all have ended."""
        for place, body in islice(requests, self._server.concurrency - len(running)):
            running.add(asyncio.create_task(self._complete(session, place, body)))
        if not running:
            return Tasks()
        ended, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        running -= ended
        return ended

    async def _complete(self, session: httpx2.AsyncClient, place: int, body: bytes) -> Answered:
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
                    fault = f"{type(error).__name__} {fit_to_show(str(error), self._key)}"
                except TimeoutError:
                    fault = f"no whole answer within {self._server.timeout_s:g} s (timeout_s)"
        except _RefusalError as error:
            fault, remedy = str(error), error.remedy
        finally:
            self._failing.discard(place)
        raise InputError(
            f"{self._url}: no completion of prompt {place}, counted from 0, of {len(body)} bytes: "
            f"{fault} (attempts: {attempt}). What was answered is kept: {remedy}"
        )

    async def _ask(self, session: httpx2.AsyncClient, body: bytes) -> Reply:
        async with session.stream("POST", self._url, content=body) as response:
            content = await self._content(response)
        if response.is_redirect:  # prompts and key go where the settings say, and nowhere else
            target = fit_to_show(response.headers.get("Location", ""), self._key)
            raise _RefusalError(f"HTTP {response.status_code} to {target}")
        reason = ""
        if response.is_success:
            try:
                reply = read_answer(content, self._sampling)
                self._halves += mended(content)[1]
                return reply
            except ValueError as error:
                reason = f" without a completion ({error})"
        said = f"HTTP {response.status_code}{reason}: {fit_to_show(content, self._key)}"
        if reason or response.status_code in TRANSIENT or response.is_server_error:
            raise _FaultError(said, response.headers.get("Retry-After", ""))
        raise _RefusalError(said, ASKED_AGAIN if response.status_code in TOO_LONG else MENDED)

    async def _content(self, response: httpx2.Response) -> bytes:
        content = bytearray()
        # Not decompressed: an answer that is compressed, unasked, could grow past any limit.
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self._most:
                raise _FaultError(
                    f"HTTP {response.status_code} with more than the {self._most} bytes that "
                    f"{self._sampling.max_new_tokens} tokens may take"
                )
        return bytes(content)

    def _body(self, prompt: str, seed: int) -> bytes:
        body: dict[str, Any] = {
            "model": self._server.model,
            "prompt": prompt,
            "max_tokens": self._sampling.max_new_tokens,
            "temperature": self._sampling.temperature,
            "top_p": self._sampling.top_p,
            "presence_penalty": self._sampling.presence_penalty,
            "seed": seed % SEEDS,
            "n": 1,
            "stream": False,
        }
        if self._sampling.stop:  # `transformers serve` fails at an empty list
            body["stop"] = self._sampling.stop
        # A lone surrogate becomes "?", as `encode` makes it for a model in this process.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    def _tell_halves(self) -> None:
        if self._halves:
            print(
                f"{self._url}: {self._halves} halves of characters stood in the answers: U+FFFD "
                "stands for each",
                flush=True,
            )
        self._halves = 0

    def _log(self, place: int, fault: str) -> None:
        """Print the fault, unless another request is failing already: one line for all of them."""
        if not self._failing:
            print(f"{self._url}: {fault}; trying again", flush=True)
        self._failing.add(place)


async def _close(session: httpx2.AsyncClient, running: Tasks) -> None:
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await session.aclose()
