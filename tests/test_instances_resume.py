"""Stage 3 killed at any write, then run again, and divided over jobs: the same files."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

import instances as second_half
import instances_replies as first_half
from killing import draws, killed, landed_from, writes
from orphans import side_by_side
from refine_af.errors import InputError
from refine_af.instances import replies as instance_replies
from refine_af.instances.rounds import requests_of
from test_instances import asked_of, contents, flags, reading, replying, write_adapter, write_pool
from tiny import sentence

ROUNDS = 5
Halves = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = random.Random(3)
    texts = [sentence(rng, 3) for _ in range(18)]  # what the tiny Llama knows
    return write_pool(tmp_path_factory.mktemp("pool") / "0", texts)


def halves(world: Path, pool: Path, out: Path, **changes: object) -> Halves:
    """Both halves of a segment of four whole rounds and one of two."""
    given = asked_of(world, pool, prompts_per_round=4, **changes)
    return replying(world, given, range(ROUNDS), out), reading(world, given, ROUNDS, out)


@pytest.fixture(scope="module")
def asked(world: Path, pool: Path) -> Halves:
    """Their places are relative to where they run."""
    return halves(world, pool, Path())


@pytest.fixture(scope="module")
def whole(
    asked: Halves, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str], list[str]]:
    """Where an uninterrupted run took place, and the writes of its halves."""
    root = tmp_path_factory.mktemp("whole")
    replies = writes("instances_replies", *flags(asked[0]), root=root)
    return root, replies, writes("instances", "segment", *flags(asked[1]), root=root)


def replies_in(folder: Path) -> dict[str, bytes]:
    return {f"{k}.jsonl": (folder / f"{k}.jsonl").read_bytes() for k in range(ROUNDS)}


def logs_in(folder: Path) -> list[Path]:
    return [log for k in range(ROUNDS) for log in folder.glob(f"kept/{k}/*/replies.jsonl")]


def test_every_round_is_on_disk_before_the_next(whole: tuple[Path, list[str], list[str]]) -> None:
    root, made, scored = whole
    logs = logs_in(root)
    assert [len(log.read_text().splitlines()) for log in logs] == [4, 4, 4, 4, 2]
    synced = [name for name in made if name.startswith("fsync") and name.endswith("replies.jsonl")]
    assert synced == [f"fsync {log.relative_to(root)}" for log in logs]
    (log,) = root.glob("scored/*/scores.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [row["round"] for row in rows] == list(range(ROUNDS))
    kept = (root / "segment" / "instances.jsonl").read_text().splitlines()
    assert sum(len(row["scores"]) for row in rows) == len(kept) > 5
    assert scored.count(f"fsync {log.relative_to(root)}") == ROUNDS


def test_kill_at_any_write_of_the_replies(
    asked: Halves, whole: tuple[Path, list[str], list[str]], tmp_path: Path
) -> None:
    root, made, _ = whole
    wanted = replies_in(root)
    for number, (at, how) in enumerate(draws(made, "stage 3, replies")):
        place = tmp_path / str(number)
        place.mkdir()
        assert (
            killed("instances_replies", *flags(asked[0]), root=place, at=at, how=how) == made[:at]
        )
        for path in place.glob("[0-9].jsonl"):
            assert path.read_bytes() == wanted[path.name], "complete, or not at all"
        before = {log: log.read_bytes() for log in logs_in(place)}
        again = writes("instances_replies", *flags(asked[0]), root=place)
        assert replies_in(place) == wanted, f"killed {how} write {at}: {made[at - 1]}"
        for log, sound in zip(logs_in(place), logs_in(root), strict=True):
            old = before.get(log, b"")
            assert log.read_bytes().startswith(old[: old.rfind(b"\n") + 1])
            # A model writes a round in any order; none of its replies is kept twice.
            assert sorted(log.read_bytes().splitlines()) == sorted(sound.read_bytes().splitlines())
        assert len(again) <= len(made) + 2, "nothing is written twice"


def test_kill_at_any_write_of_the_segment(
    asked: Halves, whole: tuple[Path, list[str], list[str]], tmp_path: Path
) -> None:
    root, _, made = whole
    wanted, landing = contents(root / "segment"), landed_from(made)
    for number, (at, how) in enumerate(draws(made, "stage 3, segment")):
        place = tmp_path / str(number)
        place.mkdir()
        for name, content in replies_in(root).items():
            (place / name).write_bytes(content)
        words = ("segment", *flags(asked[1]))
        assert killed("instances", *words, root=place, at=at, how=how) == made[:at]
        if (place / "segment").exists():
            assert at >= landing, "complete, or not at all"
            assert contents(place / "segment") == wanted
            shutil.rmtree(place / "segment")
        writes("instances", *words, root=place)
        assert contents(place / "segment") == wanted, f"killed {how} write {at}: {made[at - 1]}"
        (log,) = place.glob("scored/*/scores.jsonl")
        (sound,) = root.glob("scored/*/scores.jsonl")
        assert log.read_bytes() == sound.read_bytes()


def test_only_missing_replies_are_asked_for(
    world: Path,
    pool: Path,
    whole: tuple[Path, list[str], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all replies in the logs no model is loaded; a torn or missing one is written again."""
    root, _, _ = whole
    shutil.copytree(root / "kept", tmp_path / "kept")
    given = halves(world, pool, tmp_path)[0]
    with monkeypatch.context() as patched:
        patched.setattr(
            "refine_af.models.backbones.load_backbone",
            lambda *_, **__: pytest.fail("the model is loaded"),
        )
        first_half.main(**given)
        assert replies_in(tmp_path) == replies_in(root)
        # Other judges, other prices: how replies are read decides none of them.
        first_half.main(**halves(world, pool, tmp_path, per_instruction=5)[0])
        with pytest.raises(pytest.fail.Exception, match="the model is loaded"):
            first_half.main(**halves(world, pool, tmp_path, seed=7)[0])

    log = logs_in(tmp_path)[2]
    sound = log.read_bytes()
    for damaged in (sound[:-9], sound[: sound.index(b"\n") + 1], b""):
        log.write_bytes(damaged)
        (tmp_path / "2.jsonl").unlink()
        first_half.main(**given)
        assert replies_in(tmp_path) == replies_in(root)
        assert sorted(log.read_bytes().splitlines()) == sorted(sound.splitlines())
    lines = sound.splitlines(keepends=True)
    log.write_bytes(lines[0] + b"{]\n" + lines[1])
    with pytest.raises(InputError, match=f"{log}, line 2: not JSON"):
        first_half.main(**given)


def test_only_missing_scores_are_asked_for(
    world: Path,
    pool: Path,
    whole: tuple[Path, list[str], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root, _, _ = whole
    for name, content in replies_in(root).items():
        (tmp_path / name).write_bytes(content)
    given = halves(world, pool, tmp_path)[1]
    second_half.segment(**given)
    shutil.rmtree(tmp_path / "segment")
    import refine_af.rewards.scorer as rewards

    with monkeypatch.context() as patched:
        patched.setattr(rewards, "Scorer", lambda *_: pytest.fail("the judges are loaded"))
        second_half.segment(**given)
        assert contents(tmp_path / "segment") == contents(root / "segment")
        shutil.rmtree(tmp_path / "segment")
        (log,) = tmp_path.glob("scored/*/scores.jsonl")
        log.write_bytes(b"")
        with pytest.raises(pytest.fail.Exception, match="the judges are loaded"):
            second_half.segment(**given)
    second_half.segment(**given)
    assert contents(tmp_path / "segment") == contents(root / "segment")


@pytest.mark.parametrize("script", ["instances_replies", "instances"])
def test_who_waits_for_an_orphan_finds_its_work(
    script: str, asked: Halves, whole: tuple[Path, list[str], list[str]], tmp_path: Path
) -> None:
    """A killed Snakemake leaves its job running; the job of the next one finds it at work."""
    root, _, _ = whole
    words = flags(asked[0]) if script == "instances_replies" else ["segment", *flags(asked[1])]
    if script == "instances":
        for name, content in replies_in(root).items():
            (tmp_path / name).write_bytes(content)
    kept = {"instances_replies": "kept/0", "instances": "scored"}[script]
    side_by_side(script, words, kept=tmp_path / kept, root=tmp_path)
    if script == "instances":
        assert contents(tmp_path / "segment") == contents(root / "segment")
        return
    assert replies_in(tmp_path) == replies_in(root)
    for log, sound in zip(logs_in(tmp_path), logs_in(root), strict=True):
        assert sorted(log.read_bytes().splitlines()) == sorted(sound.read_bytes().splitlines())


def test_an_orphan_of_other_settings_lands_nothing_more(
    world: Path, pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job of other settings does all rounds while the orphan is within its second."""
    orphan = halves(world, pool, tmp_path, seed=7)[0]
    latest = halves(world, pool, tmp_path)[0]
    asked: list[int] = []

    def meddle(*given: Any) -> Any:
        asked.append(len(asked))
        if len(asked) == 2:
            rounds = [0, 2, 3, 4]  # the second is held by the orphan
            later = {"rounds": rounds, "replies": [tmp_path / f"{k}.jsonl" for k in rounds]}
            first_half.main(**latest | later)
        return requests_of(*given)

    with monkeypatch.context() as patched:
        patched.setattr(instance_replies, "requests_of", meddle)
        with pytest.raises(InputError, match=r"kept: a job with other settings, .* has taken over"):
            first_half.main(**orphan)
    assert len(asked) == 2 + 4
    assert not (tmp_path / "1.jsonl").exists()
    landed = {k: (tmp_path / f"{k}.jsonl").read_bytes() for k in (0, 2, 3, 4)}
    first_half.main(**latest)
    assert all((tmp_path / f"{k}.jsonl").read_bytes() == landed[k] for k in landed)


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("method", ["self-instruct", "refine-af"])
def test_any_number_of_jobs_gives_the_same_files(
    method: str, temperature: float, world: Path, pool: Path, tmp_path: Path
) -> None:
    """The rounds of a segment over 1, 2 and 3 jobs, each with a model of its own."""
    ppo = write_adapter(world, tmp_path / "ppo")
    merged = []
    for jobs in (1, 2, 3):
        out = tmp_path / str(jobs)
        for job in reversed(range(jobs)):
            given = halves(world, pool, out)[0]
            sampling = given["settings"].sampling.model_copy(update={"temperature": temperature})
            settings = given["settings"].model_copy(update={"sampling": sampling})
            own = {"settings": settings, "method": method}
            own["ppo"] = ppo if method == "refine-af" else None
            rounds = list(range(ROUNDS))[job::jobs]
            own |= {"rounds": rounds, "replies": [out / f"{number}.jsonl" for number in rounds]}
            # A job of its own knows nothing of the others' progress.
            first_half.main(**given | own | {"progress": out / f"kept_{job}"})
        final = halves(world, pool, out)[1] | {key: own[key] for key in ("method", "ppo")}
        second_half.segment(**final | {"settings": settings})
        second_half.merge(segments=[out / "segment"], instances=out / "merged.jsonl")
        merged.append((replies_in(out), contents(out / "segment")))
        merged[-1][1]["merged"] = (out / "merged.jsonl").read_bytes()
    assert merged[0] == merged[1] == merged[2]
    assert len(merged[0][1]["merged"]) > 0


def test_more_jobs_take_up_what_fewer_had_begun(
    world: Path,
    pool: Path,
    asked: Halves,
    whole: tuple[Path, list[str], list[str]],
    tmp_path: Path,
) -> None:
    """One job is killed after its third round; two jobs go on, and ask for the others alone."""
    root, made, _ = whole
    third = made.index("replace .3.jsonl.partial 3.jsonl")
    killed("instances_replies", *flags(asked[0]), root=tmp_path, at=third, how="before")
    old = {log: log.read_bytes() for log in logs_in(tmp_path)}
    assert [len(content.splitlines()) for content in old.values()] == [4, 4, 4, 4]
    for job in (0, 1):
        rounds = list(range(ROUNDS))[job::2]
        given = halves(world, pool, tmp_path)[0] | {"rounds": rounds}
        first_half.main(**given | {"replies": [tmp_path / f"{k}.jsonl" for k in rounds]})
    assert replies_in(tmp_path) == replies_in(root)
    assert all(log.read_bytes() == content for log, content in old.items())
