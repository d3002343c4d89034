"""Every stage that generates asks a server by the right name, and goes on after a kill."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import instances_kinds
import instances_replies
import superni_replies
import users
from fake_completions import Answer, FakeCompletions, completion, serving
from refine_af.errors import InputError
from refine_af.files.rows import write_records
from refine_af.settings.servers import Served, Server
from test_classification import identifying
from test_instances import asked_of, replying, write_pool
from test_superni import ASKED
from test_superni import asking as superni_asking
from test_users import asking as users_asking

POOL = [f"Name {thing} rivers" for thing in ("two", "three", "four", "five", "six")]
Stage = Callable[[Path, Path], tuple[Callable[..., None], dict[str, Any], list[Path]]]


def kinds(world: Path, out: Path) -> tuple[Callable[..., None], dict[str, Any], list[Path]]:
    given = identifying(world, write_pool(out / "pool", POOL), out)
    return instances_kinds.main, given, [given["kinds"]]


def instances(world: Path, out: Path) -> tuple[Callable[..., None], dict[str, Any], list[Path]]:
    given = asked_of(world, write_pool(out / "pool", POOL), prompts_per_round=3)
    given = replying(world, given, [0, 1], out)
    return instances_replies.main, given, given["replies"]


def refine_af(world: Path, out: Path) -> tuple[Callable[..., None], dict[str, Any], list[Path]]:
    main, given, made = instances(world, out)
    return main, given | {"method": "refine-af", "ppo": adapter(out / "ppo").parent}, made


def superni(world: Path, out: Path) -> tuple[Callable[..., None], dict[str, Any], list[Path]]:
    given = superni_asking(out, world / "llama", [0, 1], prompts_per_round=2)
    write_records(given["instances"], ASKED)
    return superni_replies.replies, given, given["predictions"]


def superni_cell(world: Path, out: Path) -> tuple[Callable[..., None], dict[str, Any], list[Path]]:
    main, given, made = superni(world, out)
    return main, given | {"cell": "refine-af_4", "adapter": adapter(out / "sft")}, made


def of_users(world: Path, out: Path) -> tuple[Callable[..., None], dict[str, Any], list[Path]]:
    given = users_asking(world, out, cell="refine-af_4", adapter=adapter(out / "sft"))
    return users.predictions, given, [given["predictions"]]


def adapter(folder: Path) -> Path:
    """A folder that stands for an adapter: a server has read its own."""
    made = folder / "adapter"
    made.mkdir(parents=True)
    (made / "adapter_config.json").write_text("{}")
    return made


STAGES: dict[str, Stage] = {
    "kinds": kinds,
    "instances, self-instruct": instances,
    "instances, refine-af": refine_af,
    "superni, base": superni,
    "superni, a cell": superni_cell,
    "users": of_users,
}


def reply_to(prompt: str) -> Answer:
    word = hashlib.sha256(prompt.encode("utf-8", "replace")).hexdigest()[:6]
    asked = "Is it classification?" in prompt
    return Answer(completion(" Yes" if asked else f" Output: {word}"))


def busy_after(count: int) -> Callable[[str], Answer]:
    """A server that answers by the prompt alone, and is overloaded after so many answers."""
    given: list[str] = []

    def answer(prompt: str) -> Answer:
        given.append(prompt)
        return reply_to(prompt) if len(given) <= count else Answer(b"busy", status=503)

    return answer


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCompletions]:
    monkeypatch.setattr("refine_af.jobs.attempts.FIRST_WAIT_S", 0.01)
    with serving() as server:
        yield server


def by_server(given: dict[str, Any], url: str, name: str = "tiny-x") -> dict[str, Any]:
    server = Server(
        url=url,
        model="tiny",
        key_variable=None,
        concurrency=1,
        timeout_s=5.0,
        attempts=1,
        patience_s=0.0,
    )
    settings = given["settings"].model_copy(update={"engine": "server"})
    return given | {
        "settings": settings,
        "server": server,
        "served": Served(model=name, prompts="text"),
    }


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_asks_a_server_once_for_each_reply(
    name: str,
    fake: FakeCompletions,
    world: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Killed or not, and what it makes is the same."""
    made = []
    for count in (99, 2):
        out = tmp_path / str(count)
        out.mkdir()
        main, given, files = STAGES[name](world, out)
        monkeypatch.setattr(fake, "answer_to", busy_after(count))
        if count == 2:
            with pytest.raises(InputError, match="busy"):
                main(**by_server(given, fake.url))
            monkeypatch.setattr(fake, "answer_to", reply_to)
        main(**by_server(given, fake.url))
        made.append([path.read_bytes() for path in files])
    assert made[0] == made[1] and all(made[0])
    bodies = [request.body for request in fake.requests]
    assert {body["model"] for body in bodies} == {"tiny-x"}
    whole = (len(bodies) - 1) // 2
    prompts = [body["prompt"] for body in bodies]
    assert whole >= 3 and len(set(prompts)) == whole
    assert prompts[: whole + 2] + prompts[whole + 3 :] == prompts[:whole] * 2, "the refused one"
    assert "replies/s" in capsys.readouterr().out or name == "kinds"


@pytest.mark.parametrize("name", STAGES)
def test_what_the_server_is_asked_for_decides_and_where_it_stands_does_not(
    name: str, fake: FakeCompletions, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fake, "answer_to", reply_to)
    main, given, _ = STAGES[name](world, tmp_path)
    main(**by_server(given, fake.url))
    asked = len(fake.requests)
    with serving() as elsewhere:
        main(**by_server(given, elsewhere.url))
        assert not elsewhere.requests
    main(**by_server(given, fake.url, "tiny-y"))
    assert len(fake.requests) == 2 * asked


@pytest.mark.parametrize("name", STAGES)
def test_an_engine_without_its_server_is_refused(name: str, world: Path, tmp_path: Path) -> None:
    main, given, _ = STAGES[name](world, tmp_path)
    asking = by_server(given, "http://localhost:1/v1")
    for lacking in ("server", "served"):
        with pytest.raises(InputError, match="engine server: got --server"):
            main(**asking | {lacking: None})
    with pytest.raises(InputError, match="engine transformers: got --server"):
        main(**asking | {"settings": given["settings"]})
