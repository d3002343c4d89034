"""A language model behind an OpenAI-compatible server, asked for one completion a request."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from refine_af.engines.replies import Engine, Group, Reply
from refine_af.engines.server_answers import mended, read_answer
from refine_af.engines.server_requests import Requests
from refine_af.jobs.serving import Endpoint
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Served

# Some servers hold a seed in 32 bits, signed or not; llama.cpp reads the greatest as "any".
SEEDS = 2**31

ASKED_AGAIN = (
    "run again, this asks the same prompt with the same seed. If that is too long for the server, "
    "only this helps: the same model with a larger context, at this address or another; shorter "
    "seed instructions or a shorter prompt file; or a lower max_new_tokens. A changed setting or "
    "input starts the stage afresh."
)


def load_server(asked: Endpoint, served: Served, sampling: Sampling) -> Engine:
    """An engine that sends prefix + tail to a server, `concurrency` prompts at a time.

    What a request does not name (top-k, penalties for repetition, min-p at 0) is as the server has
    it. A prompt for which the server's context has no room ends the call: from what servers say
    then, it cannot be told for sure from a context that is too small for any prompt.

    InputError where the key's environment variable is not set or the address is not valid; from the
    engine, where a prompt is refused or the attempts are used up.
    """
    return _ServerEngine(asked, served, sampling)


class _ServerEngine(Requests[Reply]):
    loading_s = 0.0  # nothing is loaded here

    def __init__(self, asked: Endpoint, served: Served, sampling: Sampling) -> None:
        tokens = sampling.max_new_tokens
        super().__init__(asked, "completions", self._reply, tokens=tokens, too_long=ASKED_AGAIN)
        self._model, self._sampling = served.model, sampling
        self._halves = 0

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        prompts = (group.prefix + tail for group in groups for tail in group.tails)
        requests = (
            (place, self._body(prompt, seed))
            for place, (prompt, seed) in enumerate(zip(prompts, seeds, strict=True))
            if place not in answered
        )
        try:
            yield from self.answers(requests)
        finally:
            self._tell_halves()

    def _reply(self, content: bytes) -> Reply:
        reply = read_answer(content, self._sampling)
        self._halves += mended(content)[1]
        return reply

    def _body(self, prompt: str, seed: int) -> bytes:
        body: dict[str, Any] = {
            "model": self._model,
            "prompt": prompt,
            "max_tokens": self._sampling.max_new_tokens,
            "temperature": self._sampling.temperature,
            "top_p": self._sampling.top_p,
            "presence_penalty": self._sampling.presence_penalty,
            "seed": seed % SEEDS,
            "n": 1,
            "stream": False,
        }
        if self._sampling.min_p:  # not OpenAI's: vLLM, SGLang and llama.cpp know it
            body["min_p"] = self._sampling.min_p
        if self._sampling.stop:  # `transformers serve` fails at an empty list
            body["stop"] = self._sampling.stop
        # A lone surrogate becomes "?", as `encode` makes it for a model in this process.
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    def _tell_halves(self) -> None:
        if self._halves:
            print(
                f"{self.url}: {self._halves} halves of characters stood in the answers: U+FFFD "
                "stands for each",
                flush=True,
            )
        self._halves = 0
