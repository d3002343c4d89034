"""Kill -9 at any write, then run again: the files are those of an uninterrupted run."""

from __future__ import annotations

import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import instructions as stage1
from fake_completions import Answer, completion, serving
from killing import draws, killed, landed_from, writes
from orphans import side_by_side
from refine_af.errors import InputError
from refine_af.settings.servers import Served, Server
from test_instructions import RESULTS, flags, inputs, with_
from tiny import ROOT, WORDS


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


@pytest.fixture(scope="module")
def asked(world: Path) -> dict[str, Any]:
    """A segment of some rounds; its places are relative to where it runs."""
    given = inputs(world)
    rules = {"segment_size": 24, "prompts_per_round": 2, "end_after_similar": 1}
    settings = with_(given["settings"], **rules, filter={"loop": 2})
    places = {"earlier": [], "number": 0, "progress": Path("kept"), "segment": Path("segment")}
    return given | {"settings": settings} | places


@pytest.fixture(scope="module")
def whole(
    asked: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """Where an uninterrupted run took place, and its writes."""
    root = tmp_path_factory.mktemp("whole")
    return root, writes("instructions", *flags(asked), root=root)


def log_of(root: Path) -> Path:
    (log,) = root.glob("kept/*/replies.jsonl")
    return log


def test_every_reply_is_on_disk_before_the_next_round(whole: tuple[Path, list[str]]) -> None:
    root, made = whole
    rounds = [json.loads(line)["round"] for line in log_of(root).read_text().splitlines()]
    assert len(set(rounds)) >= 4, "several rounds"
    assert rounds == sorted(rounds)
    replies = [place for place, name in enumerate(made) if name.endswith("replies.jsonl")]
    assert '"finish": "cut"' in log_of(root).read_text(), "some replies end early"
    synced = [place for place in replies if made[place].startswith("fsync")]
    assert len(synced) == len(set(rounds))


def test_kill_at_any_write(
    asked: dict[str, Any], whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, made = whole
    wanted = contents(root / "segment")
    landing = landed_from(made)
    for number, (at, how) in enumerate(draws(made, "stage 1")):
        place = tmp_path / str(number)
        place.mkdir()
        seen = killed("instructions", *flags(asked), root=place, at=at, how=how)
        # Stamps of the progress folder differ in nothing, nor does what was done until then.
        assert seen == made[:at]
        assert 1 <= at <= len(made), "between the first write and the last"
        if (place / "segment").exists():
            assert at >= landing, "complete, or not at all"
            assert contents(place / "segment") == wanted
            shutil.rmtree(place / "segment")
        again = writes("instructions", *flags(asked), root=place)
        assert contents(place / "segment") == wanted, f"killed {how} write {at}: {seen[-1]}"
        logged = log_of(place).read_text().splitlines()
        assert len(logged) == len(
            {(row["round"], row["request"]) for row in map(json.loads, logged)}
        )
        assert len(again) <= len(made) + 2, "nothing is written twice"


def test_what_is_in_the_log_is_not_asked_for_again(
    asked: dict[str, Any],
    whole: tuple[Path, list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all replies in the log no model is loaded; without the last round's these are asked."""
    root, _ = whole
    shutil.copytree(root / "kept", tmp_path / "kept")
    places = {"progress": tmp_path / "kept", "segment": tmp_path / "segment"}
    log = log_of(tmp_path)
    whole_log = log.read_bytes()
    given = asked | places
    lines = whole_log.splitlines(keepends=True)
    last = json.loads(lines[-1])["round"]
    with monkeypatch.context() as patched:
        patched.setattr(
            "refine_af.models.backbones.load_backbone",
            lambda *_, **__: pytest.fail("the model is loaded"),
        )
        stage1.segment(**given)
        assert contents(tmp_path / "segment") == contents(root / "segment")
        shutil.rmtree(tmp_path / "segment")
        log.write_bytes(whole_log.rpartition(b"\n")[0].rpartition(b"\n")[0] + b"\n")
        with pytest.raises(pytest.fail.Exception, match="the model is loaded"):
            stage1.segment(**given)

    log.write_bytes(b"".join(line for line in lines if json.loads(line)["round"] < last))
    stage1.segment(**given)
    assert contents(tmp_path / "segment") == contents(root / "segment")
    assert sorted(log.read_bytes().splitlines()) == sorted(whole_log.splitlines())


def test_a_torn_line_is_mended_and_other_damage_refused(
    asked: dict[str, Any], whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, _ = whole
    shutil.copytree(root / "kept", tmp_path / "kept")
    given = asked | {"progress": tmp_path / "kept", "segment": tmp_path / "segment"}
    log = log_of(tmp_path)
    sound = log.read_bytes()
    log.write_bytes(sound[:-9])
    stage1.segment(**given)
    assert contents(tmp_path / "segment") == contents(root / "segment")
    shutil.rmtree(tmp_path / "segment")

    lines = sound.splitlines(keepends=True)
    for damage, message in [
        (lines[0] + b"{]\n" + lines[1], "line 2: not JSON"),
        (lines[0] + lines[1] + lines[0], r"line 3: round 0 has a reply to request \d already"),
        (re.sub(rb'"request": \d', b'"request": -1', lines[0]), "line 1: 'request' is no count"),
        (lines[0].replace(b'"tokens": ', b'"tokens": 9' + b"0" * 20), "line 1: 'tokens' is no c"),
        (lines[0].replace(b'"finish"', b'"end"'), "line 1: no 'finish'"),
        (lines[0].replace(b'"stop"', b'"tired"').replace(b'"eos"', b'"tired"'), "line 1: 'finish'"),
    ]:
        log.write_bytes(damage)
        with pytest.raises(InputError, match=f"{log}, {message}"):
            stage1.segment(**given)
        assert not (tmp_path / "segment").exists()


def test_who_waited_for_a_process_that_did_the_work_is_done(
    asked: dict[str, Any], whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """A killed Snakemake leaves its job running; the job of the next one finds it at work."""
    root, _ = whole
    kept = tmp_path / "kept"
    worked, waited = side_by_side("instructions", flags(asked), kept=kept, root=tmp_path)
    assert contents(tmp_path / "segment") == contents(root / "segment")
    assert "segment: written by the process that this one waited for" in waited
    assert "written by" not in worked
    assert log_of(tmp_path).read_bytes() == log_of(root).read_bytes()


def test_growth_leaves_the_first_lines_and_asks_for_nothing_twice(
    asked: dict[str, Any], whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    """Two segments of 12 are the one of 24; deleting what is kept on the way loses nothing."""
    root, _ = whole
    given = asked | {"settings": with_(asked["settings"], segment_size=12)}
    folders: list[Path] = []
    logged: list[dict[str, Any]] = []
    for number in range(2):
        places = {"number": number, "earlier": list(folders), "progress": tmp_path / "kept"}
        folders.append(tmp_path / f"segment_{number}")
        stage1.segment(**given | places | {"segment": folders[-1]})
        logged += map(json.loads, log_of(tmp_path).read_text().splitlines())
        shutil.rmtree(tmp_path / "kept")
    merged = tmp_path / "pool.jsonl"
    stage1.merge(segments=folders, instructions=merged)
    assert merged.read_bytes() == (root / "segment" / "instructions.jsonl").read_bytes()
    assert logged == [json.loads(line) for line in log_of(root).read_text().splitlines()]


def test_other_settings_start_afresh(
    asked: dict[str, Any], whole: tuple[Path, list[str]], world: Path, tmp_path: Path
) -> None:
    root, _ = whole
    shutil.copytree(root / "kept", tmp_path / "kept")
    before = log_of(tmp_path)
    given = asked | {"progress": tmp_path / "kept"}
    other_prompt = tmp_path / "prompt.txt"
    other_prompt.write_text(asked["prompt"].read_text() + "\n")
    stricter = with_(asked["settings"], filter={"min_words": 5})
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_bytes(b"".join((world / "seeds.jsonl").read_bytes().splitlines(True)[:-1]))
    backbone = tmp_path / "llama"
    shutil.copytree(asked["backbone"], backbone)  # with other times of change
    changes: list[dict[str, Any]] = [{"prompt": other_prompt}, {"settings": stricter}]
    changes += [{"seeds": seeds}, {"backbone": backbone}]
    for number, change in enumerate(changes, 2):
        changed = given | change | {"segment": tmp_path / f"segment_{number}"}
        changed["settings"] = with_(changed["settings"], segment_size=1)
        stage1.segment(**changed)
        assert len(list((tmp_path / "kept").glob("*/replies.jsonl"))) == number
    assert before.read_bytes() == log_of(root).read_bytes(), "the old log stays"


def test_a_full_disk_is_said_and_the_run_goes_on_from_there(
    asked: dict[str, Any], whole: tuple[Path, list[str]], tmp_path: Path
) -> None:
    root, _ = whole
    room = log_of(root).stat().st_size // 2

    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [sys.executable, str(ROOT / "scripts" / "instructions.py"), *map(str, flags(asked))]
    # Python itself would leave cut-off bytecode behind, where it finds no room.
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1"}
    run = partial(
        subprocess.run, command, cwd=tmp_path, text=True, capture_output=True, env=environment
    )
    done = run(preexec_fn=small_disk)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        f"error: {log_of(tmp_path).relative_to(tmp_path)}"
    )
    assert "cannot be written: File too large" in done.stderr
    assert "Traceback" not in done.stderr
    kept = log_of(tmp_path).read_bytes()
    assert 0 < len(kept) <= room and kept.endswith(b"\n")
    assert run().returncode == 0
    assert contents(tmp_path / "segment") == contents(root / "segment")
    assert log_of(tmp_path).read_bytes().startswith(kept)


def writing_server(refuse_after: int | None = None) -> Callable[[str], Answer]:
    """Answers that depend on the prompt alone; after so many the server is overloaded."""
    given: list[str] = []

    def answer(prompt: str) -> Answer:
        given.append(prompt)
        if refuse_after is not None and len(given) > refuse_after:
            return Answer(b"busy", status=503)
        rng = random.Random(prompt)
        lines = [" ".join(rng.choices(WORDS, k=6)) for _ in range(3)]
        text = "".join(f" {line}\nTask {10 + n}:" for n, line in enumerate(lines))
        return Answer(completion(text))

    return answer


def test_what_a_server_answered_is_not_asked_for_again(
    asked: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refine_af.jobs.attempts.FIRST_WAIT_S", 0.01)
    settings = with_(asked["settings"], engine="server", segment_size=120, prompts_per_round=8)
    made, prompts = [], []
    for number, refuse_after in enumerate([None, 11, 15, None]):
        with serving() as fake:
            monkeypatch.setattr(fake, "answer_to", writing_server(refuse_after))
            given = {"settings": settings, "server": server_at(fake.url)}
            given["served"] = Served(model="tiny", prompts="text")
            place = tmp_path / str(min(number, 1))
            places = {"progress": place / "kept", "segment": place / "segment"}
            if refuse_after is None:
                stage1.segment(**asked | given | places)
                made.append(contents(place / "segment"))
            else:
                with pytest.raises(InputError, match="busy"):
                    stage1.segment(**asked | given | places)
                assert not (place / "segment").exists()
                kept = len(log_of(place).read_text().splitlines())
                assert kept >= refuse_after - 8
            prompts.append([request.body["prompt"] for request in fake.requests])
    assert made[0] == made[1]
    whole, *_, last = map(len, prompts)
    assert whole >= 32
    assert last == whole - kept
    assert len(log_of(tmp_path / "1").read_text().splitlines()) == whole


def server_at(url: str) -> Server:
    return Server(
        url=url,
        model="tiny",
        key_variable=None,
        concurrency=4,
        timeout_s=5.0,
        attempts=2,
        patience_s=0.0,
    )
