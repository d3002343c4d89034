"""A job's own server: ready in time or one message, started again once, and gone with the job."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import httpx2
import psutil
import pytest
from pydantic import ValidationError

import instructions as stage1
from engines import LETTERS, Replies, Replying
from forked_job import Forked
from forking import fork_server
from refine_af.engines import choice
from refine_af.engines.choice import Completer
from refine_af.engines.own_server import StartedEngine, log_beside, to_serve
from refine_af.engines.replies import Group, Reply
from refine_af.engines.server import ServerEngine
from refine_af.errors import InputError
from refine_af.jobs import keeper
from refine_af.jobs import serving as life
from refine_af.jobs.command_line import canonical
from refine_af.jobs.last_lines import last_lines
from refine_af.jobs.serving import Endpoint, ToServe, command, serving
from refine_af.settings.sampling import Sampling
from refine_af.settings.servers import Generating, Served, Server, Start
from test_instructions import inputs, with_

HERE = Path(__file__).parent
STAND_IN = f"{sys.executable} -IS {HERE / 'stand_in_server.py'} --port {{port}} --model {{model}}"
TINY = Served(model="tiny")
UNTUNED = ToServe(Path("checkpoint"), {}, 0)


def start(options: str = "", program: str = STAND_IN, **changes: Any) -> Start:
    usual = {"adapters": None, "environment": None, "ready_s": 20.0}
    return Start(command=f"{program} {options} {{checkpoint}}", **usual | changes)


def server(options: str = "", **changes: Any) -> Server:
    own: dict[str, Any] = {"key_variable": None, "concurrency": 2, "timeout_s": 10.0, "attempts": 9}
    own["patience_s"] = 60.0
    own |= {name: changes.pop(name) for name in own if name in changes}
    return Server(start=start(options, **changes), model="tiny", **own)


def sampling() -> Sampling:
    drawn = {"temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "presence_penalty": 0.0}
    return Sampling(**drawn, max_new_tokens=10, stop=())


def engine(asked: Endpoint) -> ServerEngine:
    return ServerEngine(asked, TINY, lambda: LETTERS, sampling())


def refusal(given: Server, log: Path) -> str:
    with pytest.raises(InputError) as caught, serving(given, UNTUNED, log):
        pass
    return str(caught.value)


def lives(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_until(done: Callable[[], bool], seconds: float, what: str) -> None:
    limit = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < limit, what
        time.sleep(0.02)


# What a configuration may say


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"command": "serve {checkpoint}"}, "names no {port}"),
        ({"command": "serve --port {port}"}, "names no {checkpoint}"),
        ({"command": "serve {checkpoint} {port} {adapters}"}, "holds {adapters}, which is none of"),
        ({"command": "serve {checkpoint} {port} '"}, "No closing quotation"),
        ({"command": "  "}, "has no word"),
        ({"adapters": "--lora {rank}"}, "must have {adapters} as a word that stands alone"),
        ({"adapters": "--lora={adapters}"}, "alone for all, and '--lora={adapters}' holds it"),
        ({"adapters": "{adapters} --or={adapters}"}, "and '--or={adapters}' holds it"),
        ({"adapters": "{adapters} {tank}"}, "holds {tank}"),
        ({"ready_s": 0}, "greater than 0"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(changes: dict[str, Any], wrong: str) -> None:
    usual = {"command": "serve {checkpoint} {port}", "adapters": None, "environment": None}
    with pytest.raises(ValidationError, match=wrong.replace("{", r"\{")):
        Start(**usual | {"ready_s": 1} | changes)


def test_a_server_has_an_address_or_a_command() -> None:
    common: dict[str, Any] = {"model": "m", "key_variable": None, "concurrency": 1}
    common |= {"timeout_s": 1, "attempts": 1, "patience_s": 1}
    with pytest.raises(ValidationError, match="needs either url"):
        Server(**common)
    with pytest.raises(ValidationError, match="needs either url"):
        Server(**common, url="http://h/v1", start=start())


def test_a_command_is_split_before_it_is_filled() -> None:
    """So that no name of a folder is taken for several words, or for a placeholder."""
    given = Start(
        command='serve {checkpoint} --name "a {model}" --port={port} --config \'{"level": 3}\'',
        adapters="--rank {rank} --lora {adapters} --end",
        environment=None,
        ready_s=1,
    )
    whole = server().model_copy(update={"start": given})
    adapters = {"a": Path("/with space/{port}"), "b": Path("/b;rm")}
    words = command(whole, given, ToServe(Path("/$HOME 'x"), adapters, 16), 99)
    assert words == [
        *("serve", "/$HOME 'x", "--name", "a tiny", "--port=99", "--config", '{"level": 3}'),
        *("--rank", "16", "--lora", "a=/with space/{port}", "b=/b;rm", "--end"),
    ]
    untuned = command(whole, given, ToServe(Path("c"), {}, 0), 99)
    assert "--lora" not in untuned and untuned[1] == str(Path("c").absolute())


def test_adapters_are_not_left_out_in_silence() -> None:
    with pytest.raises(InputError, match=r"start\.adapters is null, so it cannot serve 'a'"):
        command(server(), start(), ToServe(Path("c"), {"a": Path("x")}, 8), 99)


# Its port


def test_no_two_jobs_have_one_port_and_a_server_can_take_it_again_and_again() -> None:
    with ExitStack() as held:
        ports = [held.enter_context(life._port()) for _ in range(200)]
        assert len(set(ports)) == 200
        for _ in range(2):
            with HTTPServer(("127.0.0.1", ports[0]), BaseHTTPRequestHandler):
                pass
        with socket.socket() as strange, pytest.raises(OSError, match="in use"):
            strange.bind(("127.0.0.1", ports[1]))
        others = [held.enter_context(socket.socket()) for _ in range(200)]
        for each in others:
            each.bind(("127.0.0.1", 0))
        assert not {each.getsockname()[1] for each in others} & set(ports)


def test_several_jobs_at_once_have_each_its_own_server(tmp_path: Path) -> None:
    urls: list[str] = []

    def job(number: int) -> None:
        with serving(server(), UNTUNED, tmp_path / str(number)) as asked:
            urls.append(asked.url)
            barrier.wait(30)

    barrier = threading.Barrier(3)
    jobs = [threading.Thread(target=job, args=(number,)) for number in range(3)]
    for each in jobs:
        each.start()
    for each in jobs:
        each.join()
    assert len(set(urls)) == 3


# Its start


@pytest.mark.slow
def test_it_is_asked_once_it_is_ready_and_past_all_proxies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    log = tmp_path / "deep" / "server.log"
    began = time.monotonic()
    with serving(server("--late 0.7"), UNTUNED, log) as asked:
        assert time.monotonic() - began >= 0.7
        replies = dict(engine(asked)([Group("", ["a", "b"])], [1, 2]))
    assert replies.keys() == {0, 1}
    said = log.read_text().splitlines()
    assert said[0].split()[-1] == str(Path("checkpoint").absolute())
    assert said[1].startswith("listening")
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("tiny: starting its server") and "is ready after" in told[1]


class Endless(httpx2.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        for _ in range(1000):
            yield bytes(10_000)
        pytest.fail("the body is read to its end")


def test_a_body_that_may_have_no_end_is_not_waited_for(tmp_path: Path) -> None:
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, stream=Endless()))
    asked = life._Started(server(), cast(Any, None), tmp_path / "log", "http://h")
    with httpx2.Client(transport=transport) as client:
        assert asked._ready(client)


@pytest.mark.parametrize("options", ["--late 60", "--unwell"])
def test_one_that_is_not_ready_in_time_is_told_with_its_last_lines(
    tmp_path: Path, options: str
) -> None:
    message = refusal(server(options, ready_s=0.5), tmp_path / "log")
    assert "is not ready after 0.5 s (ready_s). It said:\n" in message
    assert message.splitlines()[-1] == f"  {(tmp_path / 'log').read_text().splitlines()[-1]}"


def test_one_that_ends_at_once_is_not_started_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    message = refusal(server("--no-such-flag"), log)
    assert "has ended. It said:" in message and "unrecognized arguments" in message
    assert message.splitlines()[-1] == "  keeper: the server ended: status 2"
    assert log.read_text().count("unrecognized arguments") == 1


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    message = refusal(server(program="no-such-program {port}"), tmp_path / "log")
    assert "keeper: no-such-program: No such file or directory" in message


def test_what_it_says_is_shown_in_one_line_each_and_without_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "sk-very-secret")
    script = tmp_path / "says.py"
    script.write_text("print('\\x1b[31mred', 'x' * 999); print('key sk-very-secret')")
    own = {"program": f"{sys.executable} {script} {{port}}", "key_variable": "A_KEY"}
    message = refusal(server(**own), tmp_path / "log")
    assert "\x1b" not in message and "sk-very" not in message and "  key [key]\n" in message
    assert max(map(len, message.splitlines())) < 310


@pytest.mark.parametrize("sent", [None, "wrong"])
def test_a_key_that_it_does_not_take_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent: str | None
) -> None:
    monkeypatch.setenv("A_KEY", sent or "")
    own = {"key_variable": "A_KEY" if sent else None}
    message = refusal(server("--key right", ready_s=60.0, **own), tmp_path / "log")
    assert "answers HTTP 401: key_variable names no key of its own" in message


def test_its_key_is_the_environments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", "right")
    with serving(server("--key right", key_variable="A_KEY"), UNTUNED, tmp_path / "log") as asked:
        assert len(list(engine(asked)([Group("", ["a"])], [1]))) == 1


def test_a_program_comes_from_its_own_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the environment's libraries, and nothing of this project's."""
    monkeypatch.setenv("PYTHONPATH", "/this/project")
    program = tmp_path / "env" / "bin" / "served"
    program.parent.mkdir(parents=True)
    stand_in = shlex.join([sys.executable, "-IS", str(HERE / "stand_in_server.py")])
    program.write_text(
        f'#!/bin/sh\nenv | grep -e ^PYTHON -e ^VIRTUAL_ENV -e OFFLINE\nexec {stand_in} "$@"\n'
    )
    program.chmod(0o755)
    given = server(program="served --port {port}", environment=str(tmp_path / "env"))
    with serving(given, UNTUNED, tmp_path / "log"):
        pass
    said = (tmp_path / "log").read_text()
    assert f"VIRTUAL_ENV={tmp_path / 'env'}\n" in said and "HF_HUB_OFFLINE=1\n" in said
    assert "PYTHONPATH" not in said


def test_an_environment_that_nobody_made_is_named_before_anything_is_started(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "absent", tmp_path / "empty"):
        message = refusal(server(environment=str(folder)), tmp_path / "log")
        assert message.startswith(f"tiny: start.environment: {folder}: ")
        assert "`make vllm` makes one" in message
    assert not (tmp_path / "log").exists()


def test_what_a_server_says_after_its_error_does_not_hide_it(tmp_path: Path) -> None:
    """As vLLM ends: a trace a process, the cause in the first of them, and then what it leaks."""
    log = tmp_path / "log"
    cause = "(Worker) ValueError: LoRA rank 16 is greater than max_lora_rank 8."
    trace = [f"(APIServer) File {number}" for number in range(20)]
    follows = "(APIServer) RuntimeError: Engine core initialization failed."
    leaks = [f' - leaked function "f{number}"' for number in range(40)]
    ended = "keeper: the server ended: status 1"
    log.write_text("\n".join(["loading", cause, cause, *trace, follows, *leaks, ended, ""]))
    assert last_lines(log) == [cause, *trace[-11:], follows, ended]
    log.write_text("\n".join([*leaks, ended, ""]))
    assert last_lines(log) == [*leaks[-11:], ended]


# A crash


def pids(family: Path) -> list[list[int]]:
    return [[int(word) for word in line.split()] for line in family.read_text().splitlines()]


@pytest.mark.slow
def test_after_a_crash_it_is_started_once_more_and_no_reply_is_lost(tmp_path: Path) -> None:
    crashes, family, log = (tmp_path / name for name in ("crashes", "family", "log"))
    crashes.write_text("5\n")
    tails = [str(number) for number in range(12)]
    given = server(f"--crashes {crashes} --family {family}")
    with serving(given, UNTUNED, log) as asked:
        replies = dict(engine(asked)([Group("", tails)], range(12)))
        first, second = pids(family)
        assert not any(map(lives, first[:3])) and all(map(lives, second))
    assert sorted(replies) == list(range(12))
    assert "keeper: the server ended: status 3; it is started once more\n" in log.read_text()
    assert not any(map(lives, second))


@pytest.mark.slow
def test_after_a_second_crash_the_job_ends_with_its_words(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.write_text("3\n4\n")
    given = server(f"--crashes {crashes}")
    came = []
    with pytest.raises(InputError) as caught, serving(given, UNTUNED, tmp_path / "log") as asked:
        for place, _ in engine(asked)([Group("", ["x"] * 12)], range(12)):
            came.append(place)
    assert 4 <= len(came) < 12
    message = str(caught.value)
    assert "tiny: the server that this job started has ended. It said:\n" in message
    assert message.splitlines()[-2:] == ["  out of memory", "  keeper: the server ended: status 3"]


@pytest.mark.slow
def test_stage_1_goes_on_after_a_crash_of_its_own_server(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are those of a run whose server did not crash, and nothing is asked for twice."""
    given = inputs(world)
    sizes = {"engine": "server", "segment_size": 60, "prompts_per_round": 8}
    made = []
    for name, counts in [("whole", ""), ("restarted", "11\n"), ("ended", "5\n9\n")]:
        place = tmp_path / name
        place.mkdir()
        monkeypatch.setattr(choice, "log_beside", partial(Path, place / "server.log"))
        (place / "crashes").write_text(counts)
        whole = given | {
            "settings": with_(given["settings"], **sizes),
            "server": server(f"--crashes {place / 'crashes'}"),
            "served": Served(model="tiny"),
            "earlier": [],
            "number": 0,
            "progress": place / "kept",
            "segment": place / "segment",
        }
        if name == "ended":
            with pytest.raises(InputError, match=r"has ended\. It said"):
                stage1.segment(**whole)
            (log,) = place.glob("kept/*/replies.jsonl")
            assert len(log.read_text().splitlines()) >= 10
        stage1.segment(**whole)
        made.append((place / "segment" / "instructions.jsonl").read_bytes())
        assert (place / "server.log").read_text().count("listening") == 1 + (name == "restarted")
    assert made[0] == made[1] == made[2]


# What it serves


def test_the_adapter_of_a_request_is_served_by_its_name(tmp_path: Path) -> None:
    backbone, adapter, tuned = (tmp_path / name for name in ("backbone", "adapter", "tuned"))
    for folder in (adapter, tuned):
        folder.mkdir()
    (tuned / "config.json").write_text("{}")
    assert to_serve(backbone, None, "m") == ToServe(backbone, {}, 0)
    assert to_serve(backbone, tuned, "m-full") == ToServe(tuned, {}, 0, "m-full")
    for rank, served in [(1, 8), (8, 8), (9, 16), (16, 16), (33, 64)]:
        (adapter / "adapter_config.json").write_text(json.dumps({"r": rank}))
        assert to_serve(backbone, adapter, "m-ppo") == ToServe(backbone, {"m-ppo": adapter}, served)
    wrong: object
    for wrong in ({"r": 0}, {"r": "8"}, {}):
        (adapter / "adapter_config.json").write_text(json.dumps(wrong))
        with pytest.raises(InputError, match="tells no rank"):
            to_serve(backbone, adapter, "m-ppo")


def test_a_tuned_model_goes_by_its_own_name() -> None:
    whole = server("--alias {model}")
    assert whole.start is not None
    words = command(whole, whole.start, ToServe(Path("/tuned"), {}, 0, "tiny-refine-af_100"), 99)
    assert words[-2:] == ["tiny-refine-af_100", "/tuned"]


def test_what_a_server_says_stands_beside_the_log(tmp_path: Path) -> None:
    log, other = tmp_path / "2.log", tmp_path / "output"
    for file in (log, other):
        file.touch()
    link = tmp_path / "link"
    link.symlink_to(log)
    assert log_beside(link) == tmp_path / "2.server.log"
    for output in (other, tmp_path / "gone.log", Path("/dev/null")):
        place = log_beside(output)
        assert place.name == "server.log" and not place.exists()
        place.parent.rmdir()


def test_nothing_is_started_before_a_reply_is_missing() -> None:
    seconds = iter([10.0, 70.0])
    engine = StartedEngine(lambda: Replying(echoed), clock=lambda: next(seconds))
    assert engine.loading_s == 0.0
    for _ in range(2):
        assert len(list(engine([Group("", ["a"])], [1]))) == 1
    assert engine.loading_s == 60.0


@pytest.mark.parametrize("key", [None, "schlüssel", "sk-1\n"])
def test_nothing_is_started_with_a_key_that_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("A_KEY", key)
    monkeypatch.setattr(choice, "serving", lambda *_: pytest.fail("a server was started"))
    settings = Generating(engine="server", quantization="none")
    asked = Completer(tmp_path, None, server(key_variable="A_KEY"), TINY, chat=False)
    with choice.engines_of(settings, asked) as engines:
        replies = engines(sampling())([Group("", ["a"])], [1])
        with pytest.raises(InputError, match=r"variable A_KEY \(key_variable\)"):
            next(iter(replies))


def echoed(tails: Sequence[str], seeds: Sequence[int], answered: Collection[int]) -> Replies:
    yield 0, Reply(tails[0], "eos", 1, 1)


# Its end


ENDS = {
    "return": (0, None),
    "error": (1, None),
    "SIGTERM": (143, signal.SIGTERM),
    "SIGINT": (130, signal.SIGINT),
    "SIGKILL": (-signal.SIGKILL, signal.SIGKILL),
}
TOGETHER = ["SIGKILL, and its keeper", "SIGKILL, and its keeper's guard"]


@pytest.mark.slow
@pytest.mark.parametrize("end", [*ENDS, "SIGTERM, deaf", "SIGKILL, deaf", *TOGETHER])
def test_no_process_is_left_however_the_job_ends(tmp_path: Path, end: str) -> None:
    """Neither server nor keeper, the server's child nor one in a session of its own.

    Nor where the keeper, or the guard that has it as a child, is killed together with the job.
    """
    end, _, more = end.partition(", ")
    status, sign = ENDS[end]
    family = tmp_path / "family"
    given = server(f"--family {family} {'--deaf' if more == 'deaf' else ''}")
    job = started(given, tmp_path, "wait" if sign else end)
    wait_until(lambda: "http" in (tmp_path / "said").read_text(), 120, "not ready")
    (family_of,) = pids(family)
    if sign:
        family_of.append(psutil.Process(family_of[3]).ppid())
        also = {"and its keeper": [family_of[3]], "and its keeper's guard": [family_of[4]]}
        for process in [*also.get(more, []), job.pid]:
            os.kill(process, sign)
    assert job.wait() == status
    if sign == signal.SIGKILL:  # no other job ends before its server has ended
        limit = keeper.GRACE_S + 20  # of a machine that is busy
        wait_until(lambda: not any(map(lives, family_of)), limit, "a process is left")
    assert not any(map(lives, family_of))


@pytest.mark.slow
def test_nothing_is_left_where_the_guard_is_killed_while_the_keeper_ends_a_server(
    tmp_path: Path,
) -> None:
    family = tmp_path / "family"
    job = started(server(f"--family {family} --deaf"), tmp_path, "wait")
    wait_until(lambda: "http" in (tmp_path / "said").read_text(), 120, "not ready")
    (family_of,) = pids(family)
    guard = psutil.Process(family_of[3]).ppid()
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    time.sleep(keeper.GRACE_S / 2)  # the keeper waits for the server, which is deaf
    os.kill(guard, signal.SIGKILL)
    limit = keeper.GRACE_S + 20
    wait_until(lambda: not any(map(lives, [*family_of, guard])), limit, "a process is left")


def started(given: Server, place: Path, how: str) -> Forked:
    words = ["--server", canonical(given), "--log", str(place / "log"), "--how", how]
    with open(place / "said", "wb") as said, open(os.devnull) as empty:
        return Forked(
            fork_server(imported=("pydantic", "httpx2", "psutil")),
            [str(HERE / "serving_job.py"), *words],
            cwd=str(place),
            environment=os.environ,
            files=(empty.fileno(), said.fileno(), said.fileno()),
        )


def test_a_keeper_that_is_killed_takes_the_server_along(tmp_path: Path) -> None:
    family = tmp_path / "family"
    with (
        pytest.raises(InputError, match="has ended"),
        serving(server(f"--family {family}"), UNTUNED, tmp_path / "log") as asked,
    ):
        (ours,) = pids(family)
        os.kill(ours[3], signal.SIGKILL)
        wait_until(lambda: not lives(ours[0]), 5, "the server outlived its keeper")
        list(engine(asked)([Group("", ["a"])], [1]))
    assert not any(map(lives, ours))


def test_a_lock_of_a_gpu_is_held_until_the_server_is_gone(tmp_path: Path) -> None:
    """on_gpus.py hands its locks on as descriptors that are inherited."""
    lock = os.open(tmp_path / "gpu", os.O_RDWR | os.O_CREAT)
    os.set_inheritable(lock, True)
    try:
        with serving(server(), UNTUNED, tmp_path / "log"):
            me = psutil.Process()
            (held,) = [each for each in me.children() if "keeper.py" in " ".join(each.cmdline())]
            (kept_by,) = held.children()
            (ours,) = kept_by.children()
            assert str(tmp_path / "gpu") in {file.path for file in kept_by.open_files()}
            assert str(tmp_path / "gpu") not in {file.path for file in ours.open_files()}
    finally:
        os.close(lock)
