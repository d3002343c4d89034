"""Prompts go to a completions server with all that is set, and come back as replies or a fault."""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import refine_af.engines.server
import refine_af.engines.server_connection
import refine_af.engines.server_requests
import refine_af.jobs.attempts
from engines import LETTERS
from fake_completions import PIECE, STREAM, Answer, FakeCompletions, completion, events, serving
from fake_server import closed_address
from refine_af.engines.form import form_of
from refine_af.engines.local import LocalEngine, model_of
from refine_af.engines.replies import Ending, Group, Reply
from refine_af.engines.rounds import Rounds
from refine_af.engines.server import ServerEngine
from refine_af.engines.server_answers import ContextError, read_answer
from refine_af.engines.server_attempts import RefusalError, wait_before
from refine_af.engines.server_requests import Request, Requests
from refine_af.engines.server_words import NOT_SHOWN, fit_to_show
from refine_af.errors import InputError
from refine_af.jobs.serving import at_address
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Served, Server
from templates import sentencepiece_tokenizer, without_begin
from tiny import make_llama

ROOT = Path(__file__).resolve().parents[1]
KEY = "sk-Tr0ub4dor/3+secret=="
# The bytes that an answer of 10 tokens may take.
MOST = 2**20 + 10 * 1024


def sampling(**changes: Any) -> Sampling:
    usual = {
        "temperature": 0.7,
        "top_p": 0.5,
        "min_p": 0.0,
        "presence_penalty": 0.25,
        "max_new_tokens": 10,
    }
    return Sampling(**{**usual, "stop": ("\n\n", "Task 9"), **changes})


Engine = Callable[..., Iterator[tuple[int, Reply]]]


def engine(url: str, *, prefix: str = "P: ", decoding: Sampling | None = None, **to: Any) -> Engine:
    """The engine, asked for the ends of prompts that begin with `prefix`."""
    usual: dict[str, Any] = {"model": "tiny", "key_variable": None, "concurrency": 4}
    usual["prompts"] = "text"
    usual["patience_s"] = 0.0 if to.get("attempts", 1) == 1 else 5.0
    form = to.pop("form", LETTERS)
    server = Server(**{"url": url, "timeout_s": 5.0, "attempts": 1, **usual, **to})
    served = Served(model=server.model, prompts=server.prompts, extra=server.extra)
    made = ServerEngine(at_address(server), served, lambda: form, decoding or sampling())
    return lambda tails, *others, **named: made([Group(prefix, tails)], *others, **named)


def answered_to(engine: Engine, *tails: str) -> dict[int, Reply]:
    return dict(engine(tails, range(len(tails))))


def refusal(engine: Engine, *tails: str) -> str:
    """What is said in place of a reply."""
    with pytest.raises(InputError) as caught:
        answered_to(engine, *(tails or ("a",)))
    return str(caught.value)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCompletions]:
    """An endpoint; attempts follow each other faster than they would."""
    monkeypatch.setattr(refine_af.jobs.attempts, "FIRST_WAIT_S", 0.01)
    with serving() as server:
        yield server


# What is sent


@pytest.mark.parametrize("slashes", ["", "/", "//"])
def test_a_request_says_all_that_is_set(fake: FakeCompletions, slashes: str) -> None:
    asked = engine(fake.url + slashes, prefix="Été\n")
    assert dict(asked(["1. ☃"], [2**62 + 5])) == {0: Reply(" echo of Été\n1. ☃", "eos", 8, 5)}
    (request,) = fake.requests
    assert request.path == "/v1/completions"
    assert request.body == {
        "model": "tiny",
        "prompt": "Été\n1. ☃",
        "max_tokens": 10,
        "temperature": 0.7,
        "top_p": 0.5,
        "min_p": 0.0,
        "presence_penalty": 0.25,
        "top_k": -1,
        "repetition_penalty": 1.0,
        "repeat_penalty": 1.0,
        "stop": ["\n\n", "Task 9"],
        "seed": 5,
        "n": 1,
        "stream": True,
        "stream_options": {"include_usage": True, "continuous_usage_stats": True},
    }
    likely = engine(fake.url, decoding=sampling(min_p=0.1))
    assert list(likely(["a"], [0])) and fake.requests[-1].body["min_p"] == 0.1
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Accept-Encoding"] == "identity"
    assert "Authorization" not in request.headers


def test_no_stop_strings_are_left_unsaid(fake: FakeCompletions) -> None:
    answered_to(engine(fake.url, decoding=sampling(stop=())), "a")
    assert "stop" not in fake.requests[0].body


def test_half_a_character_is_sent_as_a_question_mark(fake: FakeCompletions) -> None:
    answered_to(engine(fake.url), "a\ud83db")
    assert fake.prompts() == ["P: a?b"]


def test_seeds_are_sent_within_31_bits(fake: FakeCompletions) -> None:
    seeds = [0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1]
    list(engine(fake.url, concurrency=1)(["x"] * 6, seeds))
    sent = [request.body["seed"] for request in fake.requests]
    assert sent == [0, 1, 2**31 - 1, 0, 2**31 - 1, 2**31 - 1]


def test_the_key_comes_from_the_environment(
    fake: FakeCompletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    answered_to(engine(fake.url, key_variable="A_KEY"), "a")
    assert fake.requests[0].headers["Authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, "not set"),
        ("", "empty"),
        ("two words", "no key"),
        ("sk-1\n", "no key"),
        ("schlüssel", "no key"),
        ('qu"ote', "no key"),
    ],
)
def test_a_key_that_cannot_be_is_refused_before_any_request(
    fake: FakeCompletions, monkeypatch: pytest.MonkeyPatch, key: str | None, said: str
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("A_KEY", key)
    with pytest.raises(InputError, match=said) as caught:
        engine(fake.url, key_variable="A_KEY")
    assert "A_KEY" in str(caught.value)
    assert not key or key not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1/v1", "http://h:99999/v1", "http://a..b/v1", "http://:80/v1", "http://h:-1"]
)
def test_an_address_that_is_none_is_refused_before_any_request(url: str) -> None:
    with pytest.raises(InputError, match="no address") as caught:
        engine(url)
    assert url in str(caught.value)


PROXY = "names no proxy"


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9", "names a SOCKS proxy"),
        ("ALL_PROXY", "http://é x", PROXY),
        ("HTTP_PROXY", "http://user:s3cretpw@127.0.0.1:99999", PROXY),
        ("HTTPS_PROXY", "user:s3cretpw@127.0.0.1:-1", PROXY),
        ("http_proxy", "http://user:s3cr/etpw@127.0.0.1:1", PROXY),
        ("https_proxy", "http://user:s3cretpw@a..b:1", PROXY),
        ("all_proxy", "ftp://user:s3cretpw@127.0.0.1:1", PROXY),
        ("HTTP_PROXY", "http://:80", PROXY),
        ("SSL_CERT_FILE", "/nope", "'/nope'"),
        ("SSL_CERT_FILE", __file__, "no certificates can be read"),
    ],
)
@pytest.mark.parametrize("url", ["http://10.255.255.1/v1", "https://10.255.255.1/v1"])
def test_what_the_environment_has_wrong_is_named_without_a_password(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, said: str, url: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv(variable, value)
    message = refusal(engine(url))
    assert variable.upper() in message and said in message
    assert "s3c" not in message and "etpw" not in message
    assert "completion of" not in message  # before any request


def test_an_environment_that_is_well_changes_nothing(
    fake: FakeCompletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:p%40ss@proxy.example:3128")
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    assert answered_to(engine(fake.url), "a")[0].text == " echo of P: a"


# What an answer means


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        pytest.param(completion(" Sort."), (" Sort.", "eos", 5), id="the end of text"),
        pytest.param(
            completion(" Sort.", stop_reason="\n\n"),
            (" Sort.", "stop", 5),
            id="vLLM: a stop string",
        ),
        pytest.param(
            completion(" Sort.", stop_reason=2), (" Sort.", "eos", 5), id="vLLM: an end-of-text id"
        ),
        pytest.param(
            completion(" Sort.", matched_stop="Task 9"),
            (" Sort.", "stop", 5),
            id="SGLang: the same",
        ),
        pytest.param(
            completion(" Sort.", matched_stop=2), (" Sort.", "eos", 5), id="SGLang: a token"
        ),
        pytest.param(
            completion(" Sort.", stop_reason="other"), (" Sort.", "eos", 5), id="no stop string"
        ),
        pytest.param(
            completion(" a\n\nb", finish_reason="stop"), (" a", "stop", 5), id="one left in"
        ),
        pytest.param(
            completion(" aTask 9 b\n\nc", finish_reason="length", completion_tokens=10),
            (" a", "stop", 10),
            id="gone on after the first of two",
        ),
        pytest.param(completion("\n\n"), ("", "stop", 5), id="a stop string alone"),
        pytest.param(
            completion(" a", completion_tokens=10), (" a", "length", 10), id="the limit, unsaid"
        ),
        pytest.param(
            completion(" a", completion_tokens=11), (" a", "length", 11), id="past the limit"
        ),
        pytest.param(
            completion(" a", completion_tokens=74), (" a", "length", 74), id="64 past the limit"
        ),
        pytest.param(
            completion(" a", finish_reason="content_filter"), (" a", "length", 5), id="a filter"
        ),
        pytest.param(
            completion("", finish_reason="content_filter", completion_tokens=0),
            ("", "eos", 0),
            id="a filter that leaves nothing",
        ),
        pytest.param(completion(" a", finish_reason="abort"), (" a", "length", 5), id="an abort"),
        pytest.param(completion(" a", finish_reason="eos"), (" a", "eos", 5), id="eos"),
        pytest.param(
            completion(" a", finish_reason="eos_token", completion_tokens=10),
            (" a", "eos", 10),
            id="an end of text at the limit",
        ),
        pytest.param(
            completion(" a", finish_reason="stop_sequence"), (" a", "stop", 5), id="stop_sequence"
        ),
        pytest.param(
            completion(" a\n\nb", finish_reason="eos_token"), (" a", "stop", 5), id="eos behind one"
        ),
        pytest.param(
            completion(" a\n\nb", finish_reason="content_filter"),
            (" a", "stop", 5),
            id="a filter behind a stop string",
        ),
        pytest.param(
            completion(" a", completion_tokens=9), (" a", "eos", 9), id="one token below the limit"
        ),
        pytest.param(
            completion(" a", stop_reason="\n\n", completion_tokens=10),
            (" a", "stop", 10),
            id="a stop string at the limit",
        ),
        pytest.param(completion("", completion_tokens=0), ("", "eos", 0), id="nothing to say"),
    ],
)
def test_an_answer_is_read_with_stops_and_limit_enforced(
    answer: bytes, reply: tuple[str, Any, int]
) -> None:
    text, finish, tokens = reply
    assert read_answer(answer, sampling()) == Reply(text, finish, 7, tokens)


def without(key: str) -> bytes:
    answer = json.loads(completion(" a"))
    (answer if key in answer else answer["choices"][0]).pop(key)
    return json.dumps(answer).encode()


def with_choices(count: int) -> bytes:
    answer = json.loads(completion(" a"))
    return json.dumps(answer | {"choices": answer["choices"] * count}).encode()


# What comes in place of an answer, and where the message says that the fault is.
BROKEN = {
    "no JSON": (b"<html>busy</html>", "body: Invalid JSON"),
    "nothing": (b"", "body: Invalid JSON"),
    "half": (completion(" a")[:80], "body: Invalid JSON"),
    "not UTF-8": (completion(" a").replace(b" a", b"\xff"), "body: Invalid JSON"),
    "too deep": (b"[" * 100_000, "body: Invalid JSON"),
    "a list": (b"[]", "body: "),
    "null": (b"null", "body: "),
    "an error": (b'{"error": {"message": "model is busy"}}', "choices: Field required"),
    "choices missing": (without("choices"), "choices: Field required"),
    "no choices": (with_choices(0), "choices: "),
    "two choices": (with_choices(2), "choices: "),
    "no object for a choice": (b'{"choices": [1]}', "choices.0: "),
    "text missing": (without("text"), "choices.0.text: Field required"),
    "text of null": (completion(" a", text=None), "choices.0.text: "),
    "text of a number": (completion(" a", text=3), "choices.0.text: "),
    "text of a list": (completion(" a", text=["a"]), "choices.0.text: "),
    "reason missing": (without("finish_reason"), "choices.0.finish_reason: Field required"),
    "reason of null": (completion(" a", finish_reason=None), "choices.0.finish_reason: "),
    "another reason": (completion(" a", finish_reason="tool"), "choices.0.finish_reason: "),
    "usage missing": (without("usage"), "usage: Field required"),
    "usage of null": (without("usage")[:-1] + b', "usage": null}', "usage: "),
    "tokens of text": (completion(" a", completion_tokens="5"), "usage.completion_tokens: "),
    "tokens of yes": (completion(" a", completion_tokens=True), "usage.completion_tokens: "),
    "half a token": (completion(" a", completion_tokens=5.5), "usage.completion_tokens: "),
    "not a number": (completion(" a", completion_tokens=float("nan")), "usage.completion_tokens: "),
    "fewer than none": (completion(" a", completion_tokens=-1), "usage.completion_tokens: "),
    "absurdly many": (completion(" a", completion_tokens=10**30), "usage.completion_tokens: "),
    "65 past the limit": (
        completion(" a", completion_tokens=75),
        "usage.completion_tokens: 75, where max_new_tokens is 10",
    ),
    "two thousand million": (completion(" a", completion_tokens=2 * 10**9), "usage.completion_t"),
    "a text of no tokens": (completion(" a", completion_tokens=0), "body: Value error, a text"),
    "fewer prompt tokens than none": (
        completion(" a", prompt_tokens=-1),
        "usage.prompt_tokens: ",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_is_no_completion_is_asked_for_again_and_then_refused(
    fake: FakeCompletions, kind: str
) -> None:
    body, said = BROKEN[kind]
    fake.answers["P: a"] = [Answer(body), Answer(body)]
    message = refusal(engine(fake.url, attempts=2))
    assert f"HTTP 200 without a completion ({said}" in message and "(attempts: 2)" in message
    assert kind != "an error" or "model is busy" in message
    assert len(message) < 1000
    assert fake.prompts() == ["P: a", "P: a"]


def test_what_is_no_completion_may_be_followed_by_one(fake: FakeCompletions) -> None:
    fake.answers = {f"P: {kind}": [Answer(body)] for kind, (body, _) in BROKEN.items()}
    replies = answered_to(engine(fake.url, attempts=2), *BROKEN)
    assert [replies[place].text for place in range(len(BROKEN))] == [
        f" echo of P: {kind}" for kind in BROKEN
    ]
    assert len(fake.requests) == 2 * len(BROKEN)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
ODD = SCALARS | JSON
CHOICES = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text() | ODD,
        "finish_reason": st.sampled_from(["stop", "length"]) | ODD,
        "stop_reason": st.sampled_from(["\n\n", None]) | ODD,
        "matched_stop": ODD,
        "index": ODD,
    },
)
COUNTS = st.integers(-2, 12) | ODD
ANSWERS = JSON | st.fixed_dictionaries(
    {"choices": st.lists(CHOICES, max_size=2) | ODD},
    optional={
        "usage": st.fixed_dictionaries({"prompt_tokens": COUNTS, "completion_tokens": COUNTS}) | ODD
    },
)
BODIES = st.binary() | ANSWERS.map(lambda value: json.dumps(value).encode())


@given(BODIES)
@example(completion(" a\n\n"))
def test_any_body_is_a_reply_or_a_fault_that_is_named(body: bytes) -> None:
    decoding = sampling()
    try:
        reply = read_answer(body, decoding)
    except ContextError as cut:
        assert 0 <= cut.tokens < decoding.max_new_tokens
        return
    except ValueError as fault:
        assert len(str(fault)) < 300
        return
    assert not any(stop in reply.text for stop in decoding.stop)
    assert reply.prompt_tokens >= 0 and reply.tokens >= (reply.text != "")
    assert reply.finish != "eos" or reply.tokens < decoding.max_new_tokens
    reply.text.encode()


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(BODIES | st.just(completion(" a")), min_size=8, max_size=8))
def test_any_answers_of_a_server_end_in_replies_or_one_refusal(bodies: list[bytes]) -> None:
    with serving() as fake:
        fake.answers = {f"P: {i}": [Answer(body)] for i, body in enumerate(bodies)}
        try:
            replies = answered_to(engine(fake.url), *map(str, range(8)))
        except InputError as fault:
            assert fake.url in str(fault)
        else:
            assert replies.keys() == set(range(8))


# What goes wrong on the way


FINE = Answer(completion(" fine"))


@pytest.mark.parametrize(
    "first",
    [
        *(Answer(b"{}", status) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
        Answer(way="close"),
        Answer(FINE.body, way="cut"),
        Answer(b"no HTTP at all\r\n\r\n", way="raw"),
        Answer(FINE.body, headers={"Content-Encoding": "gzip"}, way="cut"),
        Answer(FINE.body, way="stall"),
        Answer(FINE.body, way="drip"),
        Answer(way="endless"),
    ],
    ids=lambda answer: f"{answer.way} {answer.status}",
)
def test_a_fault_that_may_pass_is_followed_by_another_attempt(
    fake: FakeCompletions, first: Answer
) -> None:
    fake.answers["P: a"] = [first, FINE]
    start = time.monotonic()
    assert answered_to(engine(fake.url, attempts=2, timeout_s=1.0), "a")[0].text == " fine"
    assert time.monotonic() - start < 15
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(FINE.body, way="stall"), "no word for 0.2 s (timeout_s)"),
        (Answer(FINE.body, way="drip"), "no word for 0.2 s (timeout_s)"),
        (Answer(way="endless"), f"more than the {MOST} bytes that 10 tokens"),
    ],
    ids=lambda part: getattr(part, "way", None),
)
def test_after_the_last_attempt_the_message_says_what_and_how_often(
    fake: FakeCompletions, answer: Answer, said: str
) -> None:
    fake.answers["P: a"] = [answer] * 3
    message = refusal(engine(fake.url, attempts=3, timeout_s=0.2))
    assert f"{fake.url}/completions" in message
    assert said in message
    assert "(attempts: 3)" in message
    assert "kept" in message and "goes on from there" in message
    assert len(fake.requests) == 3


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"{}", 503), "HTTP 503"),
        (Answer(b"{}", 429), "HTTP 429"),
        (Answer(way="close"), "disconnected"),
        (Answer(FINE.body, way="cut"), "RemoteProtocolError 'peer closed connection"),
        (
            Answer(b'data: {"error": {"code": 500}}\n\n', headers=STREAM, way="pieces"),
            """(the server tells of an error): '{"error": {"code": 500}}'""",
        ),
    ],
    ids=lambda part: getattr(part, "way", None),
)
def test_a_server_that_is_away_is_waited_for_as_long_as_is_said(
    fake: FakeCompletions, answer: Answer, said: str
) -> None:
    fake.answers["P: a"] = [answer] * 99
    start = time.monotonic()
    message = refusal(engine(fake.url, attempts=1, patience_s=0.2))
    assert said in message and time.monotonic() - start > 0.1
    assert len(fake.requests) > 2, "whatever the attempts that an answer may take"
    assert f"(attempts: {len(fake.requests)})" in message
    fake.answers["P: a"] = [answer] * 5
    assert answered_to(engine(fake.url, patience_s=5.0), "a")[0].text == " echo of P: a"


def test_a_server_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refine_af.jobs.attempts, "FIRST_WAIT_S", 0.01)
    address = closed_address()
    message = refusal(engine(f"{address}/v1", patience_s=0.1))
    assert f"{address}/v1/completions: no list of its models" in message
    assert "ConnectError" in message and "(attempts: 1)" not in message


def test_a_server_that_takes_no_connection_shows_before_the_deadline(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(refine_af.engines.server_connection, "CONNECT_S", 0.2)
    with socket.socket() as busy, ExitStack() as waiting:
        busy.bind(("127.0.0.1", 0))
        busy.listen(0)
        for _ in range(3):  # what fills its queue of connections
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(busy.getsockname())
        start = time.monotonic()
        url = f"http://127.0.0.1:{busy.getsockname()[1]}/v1"
        assert "ConnectTimeout" in refusal(engine(url, timeout_s=60))
        assert time.monotonic() - start < 15


TOO_LONG = "maximum context length is 16 tokens. However, you requested 10 output tokens"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422])
def test_what_a_server_refuses_is_asked_once_and_its_words_are_shown(
    fake: FakeCompletions, status: int
) -> None:
    body = json.dumps({"error": {"message": f"This model's {TOO_LONG}" + "x" * 500}}).encode()
    fake.answers["P: b"] = [Answer(body, status)]
    message = refusal(engine(fake.url, attempts=5, concurrency=1), "a", "b", "c")
    assert f"HTTP {status}" in message and TOO_LONG in message
    assert "prompt 1, counted from 0" in message and "(attempts: 1)" in message
    again = "asks the same prompt with the same seed" in message and "max_new_tokens" in message
    assert again == (status in (400, 413))
    assert "once the cause is mended" not in message if again else "goes on from there" in message
    assert len(message) < 1000
    assert fake.prompts() == ["P: a", "P: b"]


def test_a_refusal_after_a_fault_ends_the_attempts(fake: FakeCompletions) -> None:
    fake.answers["P: a"] = [Answer(b"", 503), Answer(b"gone", 404)]
    message = refusal(engine(fake.url, attempts=5))
    assert "HTTP 404" in message and "(attempts: 2)" in message


def test_another_address_is_not_followed(fake: FakeCompletions) -> None:
    elsewhere = fake.url.replace("/v1", "/v2/completions")
    fake.answers["P: a"] = [Answer(b"", 307, {"Location": elsewhere})]
    message = refusal(engine(fake.url, attempts=5))
    assert "HTTP 307" in message and elsewhere in message
    assert len(fake.requests) == 1


def test_an_endless_body_is_not_read_to_its_end(fake: FakeCompletions) -> None:
    for status in (200, 400):
        fake.answers["P: a"] = [Answer(status=status, way="endless")]
        fake.sent = 0
        refusal(engine(fake.url))
        # The last piece may be on its way, uncounted; more lies in the connection's buffers.
        assert MOST - len(PIECE) <= fake.sent < MOST + 16 * 2**20


def test_an_answer_within_the_bound_is_read(fake: FakeCompletions) -> None:
    text = "x" * (MOST - len(completion("")))
    fake.answers["P: a"] = [Answer(completion(text))]
    assert answered_to(engine(fake.url), "a")[0].text == text
    fake.answers["P: a"] = [Answer(completion(text + "x"))]
    assert "more than" in refusal(engine(fake.url))


def test_a_compressed_body_is_not_blown_up(fake: FakeCompletions) -> None:
    import gzip

    body = gzip.compress(completion(" a" * 10_000_000))
    assert len(body) < MOST
    fake.answers["P: a"] = [Answer(body, headers={"Content-Encoding": "gzip"})]
    assert "Invalid JSON" in refusal(engine(fake.url))


# The key


def telling(said: str, key: str = KEY) -> list[str]:
    """The pieces of 8 characters that `said` tells of the key, in whatever case."""
    parts = [key[start : start + 8] for start in range(max(len(key) - 7, 1))]
    return [part for part in parts if part.lower() in said.lower()]


@pytest.mark.parametrize(
    "echo",
    [
        Answer(json.dumps({"error": f"no such key: {KEY}"}).encode(), 401),
        Answer(json.dumps({"error": KEY}).replace("/", "\\/").encode(), 401),
        Answer(
            json.dumps({"error": KEY.replace("+", "<>")}).replace("<>", "\\u002b").encode(), 403
        ),
        Answer(f"Bearer {KEY} was refused".encode(), 401),
        Answer((KEY * 40).encode(), 400),
        Answer(("x" * 290 + KEY).encode(), 400),
        Answer(b"", 302, {"Location": f"http://other/?token={KEY}"}),
        Answer(f"Bearer {KEY}".encode(), 500),
        Answer(json.dumps({"choices": KEY}).encode()),
        Answer(f"HTTP/1.1 {KEY} {KEY}\r\n\r\n".encode(), way="raw"),
        Answer(f"{KEY}: {KEY}\r\n\r\n".encode(), way="raw"),
        Answer(b"", 307, {"Location": f"http://other/?token={quote(KEY, safe='')}"}),
        Answer(b"", 307, {"Location": f"http://other/?token={quote(quote(KEY, safe=''))}"}),
    ],
    ids=range(13),
)
def test_the_key_is_in_no_message_and_no_log(
    fake: FakeCompletions,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    echo: Answer,
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    fake.answers["P: a"] = [echo] * 99
    message = refusal(engine(fake.url, key_variable="A_KEY", attempts=2, patience_s=0.1))
    said = "".join([message, *capfd.readouterr()])
    assert not telling(said)
    assert fake.requests[-1].headers["Authorization"] == f"Bearer {KEY}"


def test_where_the_key_stood_is_shown(
    fake: FakeCompletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", KEY)
    fake.answers["P: a"] = [Answer(f"{KEY} is wrong".encode(), 401)]
    assert "'[key] is wrong'" in refusal(engine(fake.url, key_variable="A_KEY"))


def escaped(text: str) -> str:
    """JSON as some programs write it, in which no piece of the key is left as it is."""
    return json.dumps({"error": text}).replace("+", "\\u002B").replace("/", "\\/")


def spelled(text: str) -> str:
    return "".join(f"\\u{ord(part):04X}" for part in text)


SAID = f"Bad key {KEY} here"
# How a server may echo a key, and what is then shown of it.
ECHOES: dict[str, tuple[str | bytes, str]] = {
    "as it is": (SAID, "'Bad key [key] here'"),
    "JSON": (json.dumps({"error": SAID}), """'{"error": "Bad key [key] here"}'"""),
    "events": (f"data: {escaped(SAID)}\n\n", """'data: {"error": "Bad key [key] here"}'"""),
    "JSON lines": (f"{escaped(SAID)}\n{{}}", """'{"error": "Bad key [key] here"} {}'"""),
    "JSON cut short": (escaped(SAID)[:-2], """'{"error": "Bad key [key] here'"""),
    "JSON in JSON": (escaped(escaped(SAID)), "Bad key [key] here"),
    "JSON in JSON in JSON": (escaped(escaped(escaped(SAID))), "Bad key [key] here"),
    "JSON, every character": (spelled(SAID), "'Bad key [key] here'"),
    "URL": (quote(SAID, safe=""), "'Bad key [key] here'"),
    "URL in URL": (quote(quote(SAID, safe=""), safe=""), "'Bad key [key] here'"),
    "URL in JSON": (escaped(quote(SAID, safe="")), "Bad key [key] here"),
    "HTML": (SAID.replace("+", "&#43;").replace("/", "&#x2F;"), "'Bad key [key] here'"),
    "Python": (SAID.replace("+", "\\x2b"), "'Bad key [key] here'"),
    "UTF-16": (SAID.encode("utf-16-le"), "'Bad key [key] here'"),
    "UTF-16, its mark": (SAID.encode("utf-16"), "Bad key [key] here'"),
    "UTF-32": (SAID.encode("utf-32-be"), "'Bad key [key] here'"),
    "capitals": (SAID.upper(), NOT_SHOWN),
    "cut short": (f"Bad key {KEY[:-3]}", NOT_SHOWN),
    "its beginning": (f"Bad key {KEY[:8]}***", NOT_SHOWN),
    "its middle": (f"Bad key ***{KEY[9:17]}***", NOT_SHOWN),
    "cut where the words end": ("x" * 299 + KEY[:-1], NOT_SHOWN),
    "beside the whole": (f"{SAID}, {KEY[:-1]}", NOT_SHOWN),
    "base64 of the header": (b64encode(f"Bearer {KEY}".encode()), NOT_SHOWN),
    "base64 of the key": (b64encode(KEY.encode()), NOT_SHOWN),
    "base64 in JSON": (escaped(b64encode(f"k:{KEY}".encode()).decode()), NOT_SHOWN),
    "base64 for URLs": (urlsafe_b64encode(f"k: {KEY}".encode()), NOT_SHOWN),
    "base64 in capitals": (b64encode(f"Bearer {KEY}".encode()).upper(), NOT_SHOWN),
}


@pytest.mark.parametrize("kind", ECHOES)
def test_an_echo_of_the_key_is_undone_or_not_shown(
    fake: FakeCompletions, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    echo, shown = ECHOES[kind]
    body = echo.encode() if isinstance(echo, str) else echo
    monkeypatch.setenv("A_KEY", KEY)
    fake.answers["P: a"] = [Answer(body, 401)]
    message = refusal(engine(fake.url, key_variable="A_KEY"))
    assert "HTTP 401" in message and shown in message.replace("\\", "")
    assert not telling(message)
    assert not telling(message, b64encode(f"Bearer {KEY}".encode()).decode())
    assert NOT_SHOWN in message or "[key]" in message


@pytest.mark.parametrize("before", range(4))
@pytest.mark.parametrize("after", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("encode", [b64encode, urlsafe_b64encode])
def test_base64_of_a_short_key_tells_wherever_it_began(
    before: int, after: str, encode: Any
) -> None:
    said = encode(b"~" * before + b"s?>~e9k" + after.encode())
    assert fit_to_show(said, "s?>~e9k") == NOT_SHOWN


@pytest.mark.parametrize(
    ("key", "said", "shown"),
    [
        ("hush", "hush, HUSH", NOT_SHOWN),
        ("hush", "hush hus", "'[key] hus'"),
        ("key", "no key", "'no [key]'"),  # which the mark itself holds
        ("k", "OK", NOT_SHOWN),
        ("a%41b+c", "no a%41b+c", "'no [key]'"),  # escapes of the key's own
        ("a%41b+c", "no a%2541b%2Bc", "'no [key]'"),
        ("a&amp;b", "no a&amp;b", "'no [key]'"),
        ("%00", "anything", NOT_SHOWN),  # nothing that could be looked for
        ("", "any \\u00e9 %41", "'any é A'"),
        ("", b"caf\xe9", "'caf\ufffd'"),
        ("", '{\n  "a": 1\n}', """'{ "a": 1 }'"""),
        ("", "\\ud83d\\ude00 \\ud83d", "'\U0001f600 \ufffd'"),
        ("", "x" * 1000, "'" + "x" * 298 + "…"),
    ],
)
def test_words_fit_to_show(key: str, said: str | bytes, shown: str) -> None:
    assert fit_to_show(said, key) == shown


KEYS = st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'\\"))
WAYS = st.sampled_from(
    [
        lambda text: json.dumps(text),
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: "".join(f"\\u{ord(part):04x}" for part in text),
        lambda text: "".join(f"\\x{ord(part):02x}" for part in text),
        lambda text: quote(text, safe=""),
        lambda text: "".join(f"%{ord(part):02X}" for part in text),
        lambda text: "".join(f"&#{ord(part)};" for part in text),
        lambda text: text.encode("utf-16-le").decode("latin-1"),
        lambda text: text.swapcase(),
        lambda text: text[:-1],
    ]
)


@given(KEYS.filter(lambda key: len(key) >= 8), st.lists(WAYS, max_size=3))
def test_no_key_is_told_in_whatever_ways_it_is_escaped(key: str, ways: list[Any]) -> None:
    echo = f" {key} "
    for way in ways:
        echo = way(echo)
    said = fit_to_show(echo.encode("latin-1", "replace"), key)
    # What `[key]` and quotation marks hold is no echo.
    assert said == NOT_SHOWN or not telling(said[1:-1].replace("[key]", " "), key)


@given(st.text(st.sampled_from("\\u%&#x;05/2amp[key]") | st.characters()) | st.binary(), KEYS)
def test_any_words_can_be_shown(said: str | bytes, key: str) -> None:
    shown = fit_to_show(said, key)
    assert len(shown) <= 300 and shown.isprintable()


@pytest.mark.parametrize(
    "said",
    [
        "%" + "25" * 10**6,
        "\\" * 10**6,
        "&amp;" * 10**6,
        "\\x5c" * 10**6,
        "\\" * 2000 + "%" + "25" * 10**6,
    ],
    ids=range(5),
)
def test_words_that_unfold_for_long_are_cut_first(said: str) -> None:
    start = time.process_time()
    fit_to_show(said, KEY)
    assert time.process_time() - start < 2


# Waiting, and the log


def test_waits_double_from_half_a_second_to_half_a_minute() -> None:
    assert [wait_before(attempt) for attempt in range(1, 10)] == [0, 0.5, 1, 2, 4, 8, 16, 30, 30]
    assert wait_before(10**9) == 30


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("7", 7),
        ("1.5", 1.5),
        ("0", 0.5),
        ("100000", 120),
        ("", 0.5),
        ("-5", 0.5),
        ("nan", 0.5),
        ("9" * 5000, 0.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.5),
    ],
)
def test_a_server_may_ask_for_a_longer_wait(retry_after: str, wait: float) -> None:
    assert wait_before(2, retry_after) == wait


def test_a_wait_that_the_server_asks_for_is_kept(fake: FakeCompletions) -> None:
    fake.answers["P: a"] = [Answer(b"{}", 429, {"Retry-After": "0.4"}), Answer(way="close")]
    answered_to(engine(fake.url, attempts=3), "a")
    first, second, third = (request.came for request in fake.requests)
    assert 0.4 <= second - first < 0.8
    assert third - second < 0.3  # what one answer asked for does not hold for the next


def test_a_request_in_trouble_is_logged_once(
    fake: FakeCompletions, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answers["P: b"] = [Answer(b"loading", 503)] * 3
    answered_to(engine(fake.url, attempts=4), "a", "b", "c")
    assert capsys.readouterr().out == (
        f"{fake.url}/completions: HTTP 503: 'loading'; trying again\n"
    )


def test_many_requests_in_trouble_at_a_time_are_logged_once(
    fake: FakeCompletions, capsys: pytest.CaptureFixture[str]
) -> None:
    busy = Answer(b"busy", 429, {"Retry-After": "0.3"})
    for tail in "abcdefgh":
        fake.answers[f"P: {tail}"] = [busy]
    answered_to(engine(fake.url, attempts=2, concurrency=8), *"abcdefgh")
    assert capsys.readouterr().out.count("trying again") == 1


def test_trouble_that_comes_again_is_logged_again(
    fake: FakeCompletions, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = engine(fake.url, attempts=2)
    for _ in range(2):
        fake.answers["P: a"] = [Answer(b"loading", 503)]
        answered_to(asked, "a")
    assert capsys.readouterr().out.count("trying again") == 2


def test_all_well_is_not_worth_a_line(
    fake: FakeCompletions, capsys: pytest.CaptureFixture[str]
) -> None:
    answered_to(engine(fake.url), *"abc")
    assert capsys.readouterr() == ("", "")


# An answer that comes as a stream


def test_a_stream_is_the_answer_that_its_events_make(fake: FakeCompletions) -> None:
    fake.answers = {
        "P: a": [events(" Sort", " it.", finish_reason="stop")],
        "P: b": [events(" a", "\n", "\nb", finish_reason="stop", stop_reason=None)],
        "P: c": [events(" a", finish_reason="stop", stop_reason="\n\n")],
        "P: d": [events(*["x"] * 10, finish_reason="length")],
        "P: e": [events("", " a", finish_reason="eos_token")],
    }
    replies = answered_to(engine(fake.url), *"abcde")
    assert [(replies[n].text, replies[n].finish, replies[n].tokens) for n in range(5)] == [
        (" Sort it.", "eos", 2),
        (" a", "stop", 3),
        (" a", "stop", 1),
        ("x" * 10, "length", 10),
        (" a", "eos", 2),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'data: {"choices": [{"text": " a"}]}\n\n', "choices.0.finish_reason: "),
        (b'data: {"choices": [{"text": 3}]}\n\n', "choices.0.text: "),
        (b"data: <html>\n\n", "Invalid JSON"),
        (b"data: [DONE]\n\n", "choices.0.finish_reason: "),
        (b"", "choices.0.finish_reason: "),
        (b": waits\n\n", "choices.0.finish_reason: "),
    ],
)
def test_a_stream_that_makes_no_answer_is_asked_for_again(
    fake: FakeCompletions, body: bytes, said: str
) -> None:
    fake.answers["P: a"] = [Answer(body, headers=STREAM, way="pieces")] * 2
    message = refusal(engine(fake.url, attempts=2))
    assert "without a completion (" in message and said in message and "(attempts: 2)" in message
    assert answered_to(engine(fake.url), "a")[0].text == " echo of P: a"


def test_a_stream_may_take_longer_than_the_server_may_be_silent(fake: FakeCompletions) -> None:
    fake.answers["P: a"] = [events(*"abcdef", pause=0.15, finish_reason="stop")]
    start = time.monotonic()
    assert answered_to(engine(fake.url, timeout_s=0.6), "a")[0].text == "abcdef"
    assert time.monotonic() - start > 0.8
    stalls = events("a", "b", finish_reason="stop")
    waits = b": waits\n\n" * 40
    fake.answers["P: a"] = [
        Answer(stalls.body[:50] + b"\n\n" + waits, headers=STREAM, way="pieces", pause=0.1)
    ]
    assert "no word for 0.6 s" in refusal(engine(fake.url, timeout_s=0.6)), "a comment is no word"


def ended_at(word: str) -> Ending:
    return Ending("!", lambda text: text.find(word) if word in text else None)


def test_a_reply_that_its_prompts_ending_ends_is_cut_at_the_server(fake: FakeCompletions) -> None:
    """The connection is closed, by which a server knows that nothing more is wanted."""
    many = [" x"] * 500
    fake.answers["P: a"] = [events(" go", " on", "!", *many, pause=0.01, finish_reason="stop")]
    made = ending_engine(fake.url)
    ((place, reply),) = made([Group("P: ", ["a"], ended_at(" on!"))], [0])
    assert (place, reply) == (0, Reply(" go", "cut", 4, 3))
    assert soon_ended(fake) and fake.sent < 400
    whole = ending_engine(fake.url)([Group("P: ", ["b"], ended_at("never"))], [0])
    assert dict(whole)[0].finish == "eos"


def ending_engine(url: str) -> ServerEngine:
    limits = {"key_variable": None, "concurrency": 1, "timeout_s": 5.0, "attempts": 1}
    server = Server.model_validate({"url": url, "model": "tiny", "patience_s": 0.0, **limits})
    served = Served(model="tiny", prompts="text")
    return ServerEngine(
        at_address(server), served, lambda: LETTERS, sampling(max_new_tokens=600, stop=())
    )


# Prompts as tokens, and what else a request says


def ids(text: str) -> list[int]:
    return list(map(ord, text))


def test_prompts_go_as_token_ids_with_the_ends_of_a_text(fake: FakeCompletions) -> None:
    asked = engine(fake.url, prompts="tokens")
    assert answered_to(asked, "a")[0] == Reply(" echo of P: a", "eos", 4, 5)
    (request,) = fake.requests
    assert request.body["prompt"] == ids("P: a") and request.body["stop_token_ids"] == [0]
    assert "ignore_eos" not in request.body
    on = engine(fake.url, prompts="tokens", form=replace(LETTERS, ends=frozenset()))
    answered_to(on, "a")
    assert fake.requests[-1].body["ignore_eos"] is True
    assert "stop_token_ids" not in fake.requests[-1].body


def test_a_server_that_reads_other_tokens_is_found_out(
    fake: FakeCompletions, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answers["P: a"] = [Answer(completion(" b", prompt_tokens=5))] * 2
    message = refusal(engine(fake.url, prompts="tokens"))
    assert "has read 5 tokens where it was sent 4 token ids" in message
    asked = engine(fake.url)
    assert answered_to(asked, "a", "b")[0].prompt_tokens == 5
    said = "has read 5 tokens of a prompt of which the checkpoint's tokenizer makes 4"
    assert capsys.readouterr().out.count(said) == 1
    fake.answers["P: a"] = [Answer(completion(" b", prompt_tokens=0))]
    assert answered_to(asked, "a")[0].prompt_tokens == 4, "which it does not count"


def test_a_prompt_without_room_is_not_asked(fake: FakeCompletions) -> None:
    tight = replace(LETTERS, room=15)
    replies = answered_to(engine(fake.url, form=tight), "ab", "abc", "a")
    assert replies[1] == Reply("", "length", 6, 0)
    assert sorted(fake.prompts()) == ["P: a", "P: ab"]
    with pytest.raises(InputError, match="tokens that begin every prompt, with max_new_tokens 10"):
        answered_to(engine(fake.url, prefix="P: P: ", form=tight), "a")


def test_a_reply_that_the_servers_context_cuts_ends_the_stage(fake: FakeCompletions) -> None:
    short = completion(" a", finish_reason="length", completion_tokens=4)
    fake.answers["P: b"] = [Answer(short)]
    message = refusal(engine(fake.url, attempts=5), "a", "b")
    assert "the server's context cut a reply after 4 of 10 tokens (max_new_tokens)" in message
    assert "larger context" in message and "(attempts: 1)" in message


def test_extra_keys_are_sent_and_null_takes_one_away(fake: FakeCompletions) -> None:
    extra = {"top_k": 7, "repeat_penalty": None, "samplers": ["top_p"], "stream": False}
    answered_to(engine(fake.url, extra=extra), "a")
    body = fake.requests[0].body
    assert (body["top_k"], body["samplers"], body["stream"]) == (7, ["top_p"], False)
    assert "repeat_penalty" not in body and body["repetition_penalty"] == 1.0
    with pytest.raises(InputError, match=r"extra\.min_p: null, where sampling\.min_p is 0\.1"):
        engine(fake.url, decoding=sampling(min_p=0.1), extra={"min_p": None})
    for own in ({"temperature": 1}, {"min_p": 0.2}):
        with pytest.raises(ValidationError):
            engine(fake.url, extra=own)


# Which server answers


def models(*names: str, **more: object) -> tuple[int, bytes]:
    rows = [{"id": name, "created": 7, "permission": [{"id": "x"}], **more} for name in names]
    return 200, json.dumps({"object": "list", "data": rows}).encode()


def test_a_model_that_the_server_does_not_list_is_refused_before_any_prompt(
    fake: FakeCompletions,
) -> None:
    fake.pages["/v1/models"] = models("tiny", "tiny-ppo")
    asked = engine(fake.url, model="tiny-refine-af_5000")
    message = refusal(asked)
    assert "serves no model 'tiny-refine-af_5000', and these: 'tiny', 'tiny-ppo'" in message
    assert not fake.requests
    assert answered_to(engine(fake.url, model="tiny-ppo"), "a")


@pytest.mark.parametrize(
    ("name", "said"),
    [("max_model_len", {"max_model_len": 14}), ("meta.n_ctx", {"meta": {"n_ctx": 14}})],
)
def test_a_context_that_is_too_small_is_told_before_any_prompt(
    fake: FakeCompletions, name: str, said: dict[str, object]
) -> None:
    """By vLLM and by llama-server, which divides it among the requests that it takes at a time."""
    fake.pages["/v1/models"] = models("tiny", **said)
    assert len(answered_to(engine(fake.url), "a")) == 1
    message = refusal(engine(fake.url), "a", "ab")
    assert "a prompt of 5 tokens and max_new_tokens 10 exceed" in message
    assert f"context of 14 tokens ({name}): start the server" in message
    assert len(fake.requests) == 1


def test_an_address_without_v1_is_told_where_the_api_is(fake: FakeCompletions) -> None:
    fake.pages["/v1/models"] = models("tiny")
    bare = fake.url.removesuffix("/v1")
    assert f"{bare}: the API is at {bare}/v1" in refusal(engine(bare))
    assert not fake.requests


def test_a_server_that_lists_nothing_is_asked_all_the_same(fake: FakeCompletions) -> None:
    for page in ((404, b""), (200, b"<html>"), (200, b'{"data": []}'), (405, b"{}")):
        fake.pages["/v1/models"] = page
        assert answered_to(engine(fake.url), "a")
    fake.pages["/v1/models"] = (401, b"who are you")
    assert "HTTP 401: 'who are you': the key" in refusal(engine(fake.url))


def test_a_server_that_starts_late_is_waited_for(fake: FakeCompletions) -> None:
    fake.pages["/v1/models"] = [(503, b"loading"), (503, b"loading"), models("tiny")]
    assert answered_to(engine(fake.url, patience_s=20.0), "a")
    assert fake.looks == ["/v1/models"] * 3 + ["/version"]


def test_the_server_is_kept_beside_the_replies_and_another_one_is_told(
    fake: FakeCompletions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.pages["/v1/models"] = models("tiny", root="/m", max_model_len=4096)
    fake.pages["/version"] = (200, b'{"version": "0.32.0"}')
    log = tmp_path / "replies.jsonl"
    for number, told in enumerate(["fp-1", "fp-1", "fp-2"]):
        body = json.loads(completion(" b")) | {"system_fingerprint": told}
        fake.answers["P: a"] = [Answer(json.dumps(body).encode())]
        with closing(Rounds(log, ending_engine(fake.url))) as rounds:
            rounds.written(number, [Group("P: ", ["a"])], [0], lambda _: None)
        assert (told == "fp-2") == ("another server" in capsys.readouterr().out)
    rows = [json.loads(line) for line in (tmp_path / "replies.servers.jsonl").open()]
    assert [row["first_line"] for row in rows] == [1, 3]
    assert rows[0]["server"] == {
        "model": {"id": "tiny", "root": "/m", "max_model_len": 4096},
        "version": {"version": "0.32.0"},
        "system_fingerprint": "fp-1",
    }


# Many prompts


def test_replies_belong_to_their_prompts_in_whatever_order_they_come(
    fake: FakeCompletions,
) -> None:
    gates = [threading.Event() for _ in range(5)]
    for place, gate in enumerate(gates):
        fake.answers[f"P: {place}"] = [Answer(completion(f" {place}"), gate=gate)]
    came = []
    gates[4].set()
    for place, reply in engine(fake.url, concurrency=5)(
        [str(place) for place in range(5)], range(5)
    ):
        came.append((place, reply.text))
        gates[place - 1].set()
    assert came == [(4, " 4"), (3, " 3"), (2, " 2"), (1, " 1"), (0, " 0")]


@pytest.mark.parametrize("concurrency", [1, 3, 16])
def test_as_many_requests_run_as_may_and_no_more(
    fake: FakeCompletions, concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake.thought, echo, limit = 0.05, fake.answer_to, time.monotonic() + 20

    def together(prompt: str) -> Answer:
        """An answer once as many are asked for as may be."""
        while fake.most_at_once < concurrency and time.monotonic() < limit:
            time.sleep(0.01)
        return echo(prompt)

    monkeypatch.setattr(fake, "answer_to", together)
    tails = [str(place) for place in range(4 * concurrency)]
    replies = answered_to(engine(fake.url, concurrency=concurrency), *tails)
    assert replies.keys() == set(range(4 * concurrency))
    assert fake.most_at_once == concurrency
    assert fake.connections == concurrency  # each is used again
    assert sorted(fake.prompts()) == sorted(f"P: {tail}" for tail in tails)


def test_what_is_answered_is_not_asked(fake: FakeCompletions) -> None:
    came = dict(engine(fake.url)(list("abcd"), [10, 11, 12, 13], answered={0, 2}))
    assert {place: reply.text for place, reply in came.items()} == {
        1: " echo of P: b",
        3: " echo of P: d",
    }
    sent = {request.body["prompt"]: request.body["seed"] for request in fake.requests}
    assert sent == {"P: b": 11, "P: d": 13}


def test_nothing_to_ask_is_no_request(fake: FakeCompletions) -> None:
    asked = engine(fake.url)
    assert list(asked([], [])) == []
    assert list(asked(["a"], [1], answered={0})) == []
    assert not fake.connections


def test_an_engine_is_asked_again(fake: FakeCompletions) -> None:
    asked = engine(fake.url)
    fake.answers["P: a"] = [Answer(b"", 400)]
    assert "HTTP 400" in refusal(asked)
    assert answered_to(asked, "a", "b")[1].text == " echo of P: b"
    assert answered_to(asked, "c")[0].text == " echo of P: c"


def test_what_runs_is_answered_before_the_refusal(fake: FakeCompletions) -> None:
    """What failed and would be tried again is not, and no further prompt is asked."""
    gate = threading.Event()
    fake.answers["P: bad"] = [Answer(b"{}", 400, gate=gate)]
    fake.answers["P: slow"] = [Answer(FINE.body, after=1.0)]
    fake.answers["P: busy"] = [Answer(b"{}", 503)] * 99
    came, asked = [], ["bad", "slow", "busy", "a", "b", "c", "never", "never"]
    with pytest.raises(InputError, match="HTTP 400"):
        for place, _ in engine(fake.url, patience_s=60)(asked, range(8)):
            came.append(place)
            if len(came) == 2:
                gate.set()
                fake.thought = 30.0
    assert came[-1] == 1 and sorted(came) == [1, 3, 4]
    assert "P: never" not in fake.prompts()


def test_of_answers_that_come_together_the_good_ones_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All three are there at the first look, since nothing on their way takes time."""

    async def ask(self: Any, session: object, request: Request) -> Reply:
        if b"bad" in request.body:
            raise RefusalError("HTTP 400")
        return Reply("", "eos", 1, 1)

    async def nobody(*_: object) -> dict[str, Any]:
        return {}

    monkeypatch.setattr(Requests, "_ask", ask)
    monkeypatch.setattr(refine_af.engines.server, "identified", nobody)
    came = []
    with pytest.raises(InputError, match="HTTP 400"):
        for place, _ in engine("http://h/v1")(["bad", "good", "good"], range(3)):
            came.append(place)
    assert sorted(came) == [1, 2]


def test_two_refusals_are_one_message(
    fake: FakeCompletions, capfd: pytest.CaptureFixture[str]
) -> None:
    for tail in "abcd":
        fake.answers[f"P: {tail}"] = [Answer(b"{}", 400, after=0.1)]
    assert "HTTP 400" in refusal(engine(fake.url), *"abcd")
    gc.collect()  # where asyncio would complain of an exception that nobody has looked at
    assert capfd.readouterr() == ("", "")


def soon_ended(fake: FakeCompletions) -> bool:
    """Whether every request that came is over, within ten seconds."""
    for _ in range(1000):
        if all(request.ended for request in fake.requests):
            return True
        time.sleep(0.01)
    return False


def test_a_caller_who_stops_early_ends_what_runs(fake: FakeCompletions) -> None:
    fake.answers = {f"P: {tail}": [Answer(FINE.body, way="stall")] for tail in "bcd"}
    fake.answers["P: a"] = [Answer(FINE.body, after=0.5)]
    for place, _ in engine(fake.url, timeout_s=60)(list("abcdef"), range(6)):
        assert place == 0
        start = time.monotonic()
        break
    assert time.monotonic() - start < 15
    assert soon_ended(fake)
    assert sorted(fake.prompts()) == ["P: a", "P: b", "P: c", "P: d"]


def test_replies_that_nobody_takes_are_not_asked_for(fake: FakeCompletions) -> None:
    engine(fake.url)(["a"], [1])
    assert not fake.connections


PROGRAM = """
import sys
sys.path[:0] = ["scripts", "tests"]
from engines import LETTERS
from refine_af.jobs.command_line import run
from refine_af.engines.replies import Group
from refine_af.engines.server import ServerEngine
from refine_af.jobs.serving import at_address
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Served, Server

def ask(*, url: str, stop_early: str) -> None:
    limits = {"concurrency": 4, "timeout_s": 60, "attempts": 9, "patience_s": 9}
    server = Server(url=url, model="m", key_variable=None, **limits)
    drawn = {"temperature": 1, "top_p": 1, "min_p": 0, "presence_penalty": 0}
    sampling = Sampling(**drawn, max_new_tokens=4, stop=())
    asked = ServerEngine(at_address(server), Served(model="m"), lambda: LETTERS, sampling)
    for _ in asked([Group("", ["a", "b", "c"])], [0, 1, 2]):
        print("came", flush=True)
        if stop_early == "yes":
            break

run(ask)
"""


def program(url: str, stop_early: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM, "--url", url, "--stop-early", stop_early]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


@pytest.mark.parametrize(
    ("sign", "status"), [(None, 0), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_job_ends_at_once_while_its_server_is_silent(
    fake: FakeCompletions, sign: signal.Signals | None, status: int
) -> None:
    fake.answers = {prompt: [Answer(FINE.body, way="stall")] for prompt in "bc"}
    process = program(fake.url, "no" if sign else "yes")
    assert process.stdout
    assert process.stdout.readline() == "came\n"
    start = time.monotonic()
    if sign:
        process.send_signal(sign)
    rest, _ = process.communicate(timeout=60)
    assert (process.returncode, rest) == (status, "")
    assert time.monotonic() - start < 15


def test_the_engine_needs_no_model_libraries() -> None:
    slow = "{'torch', 'transformers', 'numpy', 'tokenizers', 'pandas', 'huggingface_hub'}"
    code = f"import sys, refine_af.engines.server; print(*{slow} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("\n", "")


# A real server


@dataclass
class Running:
    """`transformers serve`, a checkpoint for it, and what it has logged so far."""

    url: str
    checkpoint: Path
    log: Path


@pytest.fixture(scope="module")
def served(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The tiny world's Llama, which draws where the temperature says so."""
    folder = tmp_path_factory.mktemp("served")
    checkpoint = shutil.copytree(world / "llama", folder / "llama")
    generation = json.loads((checkpoint / "generation_config.json").read_text())
    (checkpoint / "generation_config.json").write_text(
        json.dumps(generation | {"do_sample": True, "top_k": 0})
    )
    address = closed_address()
    program = str(Path(sys.executable).with_name("transformers"))
    (folder / "hub").mkdir()  # the models that it lists are those of the hub's cache, of all things
    command = [program, "serve"]  # any checkpoint that a request names
    command += ["--host", "127.0.0.1", "--port", address.rpartition(":")[2], "--device", "cpu"]
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=os.environ | {"HF_HOME": str(folder), "HF_HUB_OFFLINE": "1"},
        )
    try:
        server = Running(f"{address}/v1", checkpoint, folder / "log")
        wait_for(f"{address}/health", process, server.log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Until the server answers; a failure with its log where it ended or takes over a minute."""
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(log.read_text())


PROMPT = "Task 6: Sort river stone.\nTask 7:"
GREEDY = {
    "temperature": 0.0,
    "top_p": 1.0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "max_new_tokens": 40,
}


# Keys that it refuses.
LACKING: dict[str, Any] = dict.fromkeys(("top_k", "min_p", "repetition_penalty", "repeat_penalty"))


def of_served(
    served: Running,
    *,
    prefix: str = PROMPT,
    prompts: str = "text",
    extra: dict[str, Any] = LACKING,
    **decoding: Any,
) -> Engine:
    return engine(
        served.url,
        prefix=prefix,
        model=str(served.checkpoint),
        prompts=prompts,
        decoding=sampling(**{**GREEDY, "stop": (), **decoding}),
        concurrency=1,
        timeout_s=30,
        extra=extra,
        form=form_of(served.checkpoint, chat=False, end_of_text=True),
    )


def test_transformers_serve_gives_the_models_own_greedy_reply(served: Running) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(served.checkpoint)
    model = AutoModelForCausalLM.from_pretrained(served.checkpoint)
    tails = [" List", " Count the", " N"]
    replies = answered_to(of_served(served), *tails)
    for place, tail in enumerate(tails):
        ids = tokenizer(PROMPT + tail, return_tensors="pt")["input_ids"]
        whole = model.generate(ids, do_sample=False, max_new_tokens=40)[0]
        text = tokenizer.decode(whole[ids.shape[1] :], skip_special_tokens=True)
        assert replies[place] == Reply(text, "length", ids.shape[1], 40)


def test_transformers_serve_leaves_stop_strings_in_and_we_do_not(served: Running) -> None:
    whole = answered_to(of_served(served), " List")[0].text
    stop = ".Task"
    assert stop in whole
    raw = json.dumps(
        {
            "model": str(served.checkpoint),
            "prompt": PROMPT + " List",
            "max_tokens": 40,
            "temperature": 0,
            "stop": [stop],
        }
    )
    request = urllib.request.Request(
        f"{served.url}/completions", raw.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["choices"][0]["text"].endswith(stop)
    reply = answered_to(of_served(served, stop=(stop, "never")), " List")[0]
    assert (reply.text, reply.finish) == (whole[: whole.index(stop)], "stop")
    assert 0 < reply.tokens < 40


def test_transformers_serve_draws_by_the_seed(served: Running) -> None:
    draw = of_served(served, temperature=1.0)
    replies = dict(draw([" List"] * 3, [2**62 + 1, 2, 2**62 + 1]))
    assert replies[0] == replies[2]
    assert replies[0].text != replies[1].text


def kinds_of_tokenizers(served: Running, folder: Path) -> dict[str, Path]:
    """Checkpoints that begin a text with a token or with none, and whose first word has a space."""
    bare = shutil.copytree(served.checkpoint, folder / "bare")
    without_begin(bare)
    sentencepiece_tokenizer().save_pretrained(folder / "tokenizer")
    make_llama(folder / "pieces", folder / "tokenizer")
    made = {"begins": served.checkpoint, "bare": bare, "pieces": folder / "pieces"}
    real = os.environ.get("REFINE_AF_MODEL")
    return made | ({"real": Path(real)} if real else {})


def test_both_engines_read_the_same_tokens_and_write_the_same(
    served: Running, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Greedy, by text, token counts and what ended it, whatever the tokenizer does at a start."""
    tails = ["Task: Sort the list.\nOutput:", " the", "Sort.\n\n"]
    drawn = sampling(**GREEDY | {"max_new_tokens": 12, "stop": ()})
    begun = set()
    for folder in kinds_of_tokenizers(served, tmp_path).values():
        mine = LocalEngine(model_of(folder, None, "none"), drawn)([Group("", tails)], range(3))
        form = form_of(folder, chat=False, end_of_text=True)
        begun.add(tuple(form.tokenizer.encode("Sort"))[:1] == (form.tokenizer.bos_token_id,))
        at = Running(served.url, folder, served.log)
        theirs = of_served(at, prefix="", max_new_tokens=12)(tails, range(3))
        assert dict(mine) == dict(theirs), folder
    assert begun == {True, False}
    assert "the server has read" not in capsys.readouterr().out


def test_transformers_serve_is_refused_token_ids_in_its_own_words(served: Running) -> None:
    message = refusal(of_served(served, prompts="tokens", extra=LACKING | {"stop_token_ids": None}))
    assert "HTTP 400" in message and "prompt must be a string" in message
    assert "see `prompts` and `extra` under servers in config.yaml" in message


def test_a_lone_half_of_a_character_is_replaced_and_counted(
    fake: FakeCompletions, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.answers["P: a"] = [Answer(completion(" a \ud83d b \ude00\ud83d"))]
    fake.answers["P: b"] = [Answer(completion(" \U0001f600 \\ud83d"))]
    replies = answered_to(engine(fake.url), "a", "b")
    assert replies[0].text == " a \ufffd b \ufffd\ufffd"
    assert replies[1].text == " \U0001f600 \\ud83d", "a whole one, and a backslash that is text"
    assert "3 halves of characters stood in the answers" in capsys.readouterr().out


def test_a_server_that_does_not_count_a_prompts_tokens_is_heard() -> None:
    assert read_answer(completion(" a", prompt_tokens=0), sampling()) == Reply(" a", "eos", 0, 5)
