"""What an OpenAI-compatible server answers in a chat, read as a judge's answer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from refine_af.engines.server_answers import mended


@dataclass(frozen=True)
class Answer:
    """A judge's words, and the probability of each digit as their first token.

    `shares` is empty where the server gives no log-probabilities.
    """

    text: str
    shares: dict[str, float]


class _Part(BaseModel):
    """Strict about what is used of an answer; its other keys are left alone."""

    model_config = ConfigDict(strict=True, frozen=True)


class _Alternative(_Part):
    token: str
    logprob: float


class _Token(_Alternative):
    top_logprobs: tuple[_Alternative, ...] = ()


class _LogProbs(_Part):
    content: list[_Token] | None = None


class _Message(_Part):
    content: str | None = None


class _Choice(_Part):
    message: _Message
    logprobs: _LogProbs | None = None


class _Whole(_Part):
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]


def read_answer(content: bytes) -> Answer:
    """The answer in a body. ValueError, which says what is wrong, where the body is none.

    The first token is the first that is more than space. A digit with spaces around it is that
    digit; its probabilities add up.
    """
    try:
        (choice,) = _Whole.model_validate_json(mended(content)[0]).choices
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise ValueError(f"{where}: {first['msg']}") from None
    tokens = choice.logprobs.content if choice.logprobs else None
    first_token = next((token for token in tokens or () if token.token.strip()), None)
    shares: dict[str, float] = {}
    for entry in _likely(first_token) if first_token else ():
        name = entry.token.strip()
        if len(name) == 1 and name in "0123456789" and math.isfinite(entry.logprob):
            shares[name] = shares.get(name, 0.0) + math.exp(min(entry.logprob, 0.0))
    return Answer(choice.message.content or "", dict(sorted(shares.items())))


def _likely(token: _Token) -> list[_Alternative]:
    """The likely tokens in a place; a server may leave the one that it took out of them."""
    listed = list(token.top_logprobs)
    return listed if any(entry.token == token.token for entry in listed) else [*listed, token]
