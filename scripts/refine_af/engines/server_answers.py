"""What an OpenAI-compatible server answers to a prompt, read as a reply."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from refine_af.engines.replies import Finish, Reply
from refine_af.settings.sampling import Sampling

# How far a count may exceed `max_new_tokens`. Some servers count one or two more (the end-of-text
# token, one just begun), some as many as they draft at a time, and some have a least length above a
# small limit: 64 is more than any of these. A greater count cannot be this text's.
TOKENS_BEYOND = 64


# Reasons that some servers give for an end of text, or for a stop string, and nothing else; and
# that of a stream which a prompt's ending has ended here.
ENDS: dict[str, Finish] = {"eos": "eos", "eos_token": "eos", "stop_sequence": "stop", "cut": "cut"}
# An escape in JSON: two halves of a character, a half, or any other.
ESCAPE = re.compile(
    rb"\\(?:(?P<whole>u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


class _Part(BaseModel):
    """Strict about what is used of an answer; its other keys are left alone."""

    model_config = ConfigDict(strict=True, frozen=True)


class _Usage(_Part):
    prompt_tokens: Annotated[int, Field(ge=0, lt=2**31)]  # 0 where the server does not count them
    completion_tokens: Annotated[int, Field(ge=0, lt=2**31)]


class _Choice(_Part):
    text: str
    # Filters and aborts are ends too: refused, a prompt that always meets one would end the stage.
    finish_reason: Literal[
        "stop", "length", "content_filter", "abort", "eos", "eos_token", "stop_sequence", "cut"
    ]
    stop_reason: Any = None  # where vLLM names the stop string that ended the text
    matched_stop: Any = None  # where SGLang does


class _Answer(_Part):
    choices: Annotated[list[_Choice], Field(min_length=1, max_length=1)]
    usage: _Usage

    @model_validator(mode="after")
    def counts_its_text(self) -> _Answer:
        """The answer. ValueError where it counts no token for a text."""
        if self.choices[0].text and not self.usage.completion_tokens:
            raise ValueError("a text of 0 tokens")
        return self


class ContextError(Exception):
    """A server's context cut a reply, of so many tokens, before its length limit."""

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens)
        self.tokens = tokens


def read_answer(content: bytes, sampling: Sampling, stops: Collection[int] = frozenset()) -> Reply:
    """The reply in an answer's body, with stop strings and length limit enforced here too.

    Some servers leave stop strings in, go on after them, or say "stop" of a text that the limit
    cut. A reply is cut at its first stop string; without one it is cut by length where the server
    says that it broke off or counts `max_new_tokens`. `stops` are tokens that count as stop
    strings. ContextError where it broke off before. ValueError, which says what is wrong, where the
    body is no completion: the finish reason and possible token counts must be there, since a guess
    would go unnoticed.
    """
    try:
        answer = _Answer.model_validate_json(mended(content)[0])
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        raise ValueError(f"{where}: {first['msg']}") from None
    (choice,), tokens = answer.choices, answer.usage.completion_tokens
    if tokens > sampling.max_new_tokens + TOKENS_BEYOND:
        limit = f"max_new_tokens is {sampling.max_new_tokens}"
        raise ValueError(f"usage.completion_tokens: {tokens}, where {limit}")
    places = [place for stop in sampling.stop if (place := choice.text.find(stop)) >= 0]
    return Reply(
        text=choice.text[: min(places, default=None)],
        finish="stop" if places else _finish(choice, tokens, sampling, stops),
        prompt_tokens=answer.usage.prompt_tokens,
        tokens=tokens,
    )


def _finish(choice: _Choice, tokens: int, sampling: Sampling, stops: Collection[int]) -> Finish:
    """What ended a text without a stop string in it."""
    stopping = (*sampling.stop, *stops)
    if choice.stop_reason in stopping or choice.matched_stop in stopping:
        return "stop"
    if choice.finish_reason == "length" and tokens < sampling.max_new_tokens:
        raise ContextError(tokens)
    if choice.finish_reason in ENDS:
        return ENDS[choice.finish_reason]
    cut = choice.finish_reason == "length" or tokens >= sampling.max_new_tokens
    filtered = choice.finish_reason in ("content_filter", "abort") and tokens
    # Where no stop string is found, "stop" counts as the end of text: not every server (llama.cpp)
    # says which of the two it was.
    return "length" if cut or filtered else "eos"


def fingerprint_in(content: bytes) -> str:
    """What an answer says of the system that made it; empty where it says nothing."""
    said = json.loads(mended(content)[0]).get("system_fingerprint")
    return said if isinstance(said, str) else ""


def mended(content: bytes) -> tuple[bytes, int]:
    """An answer's body with U+FFFD for each escaped half of a character, and how many those are.

    A server that cuts a text by bytes or tokens may cut through one.
    """
    halves = sum(found["half"] is not None for found in ESCAPE.finditer(content))
    if not halves:
        return content, 0
    return ESCAPE.sub(lambda found: rb"\ufffd" if found["half"] else found[0], content), halves
