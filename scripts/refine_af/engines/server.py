"""A language model behind an OpenAI-compatible server, asked for one completion a request."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

from refine_af.engines.encoded import TokenPrompt, encoded, with_room
from refine_af.engines.form import Form
from refine_af.engines.replies import Group, Reply
from refine_af.engines.server_answers import ContextError, fingerprint_in, mended, read_answer
from refine_af.engines.server_attempts import RefusalError
from refine_af.engines.server_identity import context_of, identified
from refine_af.engines.server_requests import Request, Requests
from refine_af.engines.server_session import Session
from refine_af.errors import InputError
from refine_af.jobs.serving import Endpoint
from refine_af.models.encoding import encode, special_names
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Served

# Some servers hold a seed in 32 bits, signed or not; llama.cpp reads the greatest as "any".
SEEDS = 2**31
# What would add to the sampling that is asked for, switched off by the names that servers have for
# it: vLLM and SGLang repetition_penalty, llama.cpp repeat_penalty.
NEUTRAL = {"top_k": -1, "repetition_penalty": 1.0, "repeat_penalty": 1.0}
STREAMED = {
    "stream": True,
    "stream_options": {"include_usage": True, "continuous_usage_stats": True},
}

ASKED_AGAIN = (
    "run again, this asks the same prompt with the same seed. If that is too long for the server, "
    "only this helps: the same model with a larger context, at this address or another; shorter "
    "seed instructions or a shorter prompt file; or a lower max_new_tokens. A changed setting or "
    "input starts the stage afresh. If the server knows no token ids or no key of the request, see "
    "`prompts` and `extra` under servers in config.yaml."
)
CONTEXT = "start the server with a larger context, or lower max_new_tokens, which starts afresh."


class ServerEngine:
    """Sends prompts to a server, `concurrency` at a time, as token ids where it takes them.

    `origin` says which server answered last, in one line of JSON.
    """

    def __init__(
        self,
        asked: Endpoint,
        served: Served,
        form: Callable[[], Form],
        sampling: Sampling,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`form` gives the form in which the served checkpoint is asked.

        InputError where the key's environment variable is not set or the address is not valid, or
        the settings take away what the sampling needs.
        """
        self._asked, self._served, self._sampling = asked, served, sampling
        self._form, self._clock = form, clock
        self._identity: dict[str, Any] = {}
        self._halves, self._longest, self._compared = 0, 0, False
        self.loading_s, self.origin = 0.0, ""
        self._check_extra()
        self._requests = Requests(
            asked,
            "completions",
            self._read,
            tokens=sampling.max_new_tokens,
            too_long=ASKED_AGAIN,
            before=self._identify,
        )

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        asked: dict[int, TokenPrompt] = {}
        for own in encoded(self._known().tokenizer, groups, seeds, self._known().chat):
            fitting, without_room = with_room(own, self._sampling, self._known().room)
            for prompt in without_room:
                if prompt.place not in answered:
                    yield prompt.place, Reply("", "length", len(prompt), 0)
            asked |= {prompt.place: prompt for prompt in fitting if prompt.place not in answered}
        self._longest = max(map(len, asked.values()), default=0)
        requests = (
            (place, Request(self._body(asked[place]), asked[place].ending))
            for place in sorted(asked)
        )
        try:
            for place, reply in self._requests.answers(requests):
                yield place, self._counted(reply, asked[place])
        finally:
            self._tell_halves()

    def _known(self) -> Form:
        began = self._clock()
        form = self._form()
        self.loading_s += self._clock() - began
        return form

    async def _identify(self, session: Session) -> None:
        url = self._asked.url.rstrip("/")
        self._identity = await identified(session, url, self._served.model)
        context = context_of(self._identity)
        needed = self._longest + self._sampling.max_new_tokens
        if context and needed > context[1]:
            raise InputError(
                f"{url}: a prompt of {self._longest} tokens and max_new_tokens "
                f"{self._sampling.max_new_tokens} exceed the server's context of {context[1]} "
                f"tokens ({context[0]}): {CONTEXT}"
            )

    def _read(self, content: bytes) -> Reply:
        try:
            reply = read_answer(content, self._sampling, self._stop_tokens())
        except ContextError as error:
            wanted = f"{error.tokens} of {self._sampling.max_new_tokens} tokens (max_new_tokens)"
            said = f"the server's context cut a reply after {wanted}"
            raise RefusalError(said, CONTEXT) from None
        self._halves += mended(content)[1]
        told = self._identity | {"system_fingerprint": fingerprint_in(content)}
        self.origin = json.dumps(told, sort_keys=True)
        return reply

    def _stop_tokens(self) -> frozenset[int]:
        """The special tokens that a stop string names: a text does not show them."""
        if self._served.prompts == "text":
            return frozenset()
        named = special_names(self._known().tokenizer)
        return frozenset(named[stop] for stop in self._sampling.stop if stop in named)

    def _body(self, prompt: TokenPrompt) -> bytes:
        drawn, ends = self._sampling, self._known().ends
        body: dict[str, Any] = (
            NEUTRAL
            | STREAMED
            | {
                "model": self._served.model,
                "prompt": prompt.text,
                "max_tokens": drawn.max_new_tokens,
                "temperature": drawn.temperature,
                "top_p": drawn.top_p,
                "min_p": drawn.min_p,
                "presence_penalty": drawn.presence_penalty,
                "seed": prompt.seed % SEEDS,
                "n": 1,
                "stop": drawn.stop or None,  # `transformers serve` fails at an empty list
                "ignore_eos": None if ends else True,
            }
        )
        if self._served.prompts == "tokens":
            stops = self._stop_tokens()
            body["prompt"] = [*prompt.head, *prompt.tail]
            body["stop_token_ids"] = sorted(ends | stops) or None
        body |= self._served.extra
        said = {name: value for name, value in body.items() if value is not None}
        # A lone surrogate becomes "?", as `encode` makes it for a model in this process.
        return json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")

    def _counted(self, reply: Reply, prompt: TokenPrompt) -> Reply:
        """The reply, with its prompt's tokens where the server does not count them.

        InputError where the server has read others than those that it was sent.
        """
        if not reply.prompt_tokens:
            return replace(reply, prompt_tokens=len(prompt))
        if self._served.prompts == "tokens" and reply.prompt_tokens != len(prompt):
            raise InputError(
                f"{self._requests.url}: the server has read {reply.prompt_tokens} tokens where it "
                f"was sent {len(prompt)} token ids: it adds its own, or takes no ids. Say prompts: "
                "text under servers in config.yaml"
            )
        self._compare(reply, prompt)
        return reply

    def _compare(self, reply: Reply, prompt: TokenPrompt) -> None:
        """Say it once where the server makes other tokens of a text than the checkpoint does."""
        if self._compared or self._served.prompts == "tokens":
            return
        self._compared = True
        own = len(encode(self._known().tokenizer, prompt.text, start=True))
        if own != reply.prompt_tokens:
            print(
                f"{self._requests.url}: the server has read {reply.prompt_tokens} tokens of a "
                f"prompt of which the checkpoint's tokenizer makes {own}: it may begin texts "
                "otherwise, or serve another model",
                flush=True,
            )

    def _check_extra(self) -> None:
        for name in ("min_p", "presence_penalty"):
            wanted = getattr(self._sampling, name)
            if wanted and name in self._served.extra:
                raise InputError(
                    f"servers, extra.{name}: null, where sampling.{name} is {wanted:g}: say 0 "
                    "there, or ask a server that has it"
                )

    def _tell_halves(self) -> None:
        if self._halves:
            print(
                f"{self._requests.url}: {self._halves} halves of characters stood in the answers: "
                "U+FFFD stands for each",
                flush=True,
            )
        self._halves = 0
