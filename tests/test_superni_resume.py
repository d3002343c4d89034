"""Predictions on Super-NI killed at any write, then run again, and divided over jobs: one file."""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import superni
import superni_replies
from killing import draws, killed, writes
from orphans import side_by_side
from refine_af.engines import generation
from refine_af.engines.greedy import greedy, greedy_replies
from refine_af.engines.local import LocalEngine, model_of
from refine_af.engines.replies import Group
from refine_af.errors import InputError
from refine_af.files.rows import read_records, write_records
from refine_af.jobs.progress import Progress
from refine_af.records.evaluation import EvaluationInstance, Prediction
from test_instances import flags
from test_superni import asking
from tiny import sentence

PARTS = 3


def made_up() -> list[EvaluationInstance]:
    """Five tasks, of one to five instances."""
    rng = random.Random(5)
    return [
        EvaluationInstance(f"{task}-{n}", task, "words", definition, sentence(rng, n + 1), ["x"])
        for number, task in enumerate("abcde", 1)
        for definition in [sentence(rng, 4)]
        for n in range(number)
    ]


@pytest.fixture(scope="module")
def instances(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("asked") / "instances.jsonl"
    write_records(path, made_up())
    return path


def asked(world: Path, instances: Path, out: Path, parts: range, **changes: Any) -> dict[str, Any]:
    """The tasks of three parts: a and d, b and e, c; at most five prompts a round."""
    settings = {"prompts_per_round": 5, "max_new_tokens": 10} | changes
    given = asking(out, world / "llama", parts, of=PARTS, **settings)
    return given | {"instances": instances}


def parts_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("[0-9].jsonl"))}


def logs_in(folder: Path) -> dict[str, bytes]:
    """Every log by part; their lines in order, since a model ends texts in any order."""
    return {
        path.parts[-3]: b"".join(sorted(path.read_bytes().splitlines(True)))
        for path in sorted(folder.glob("kept/*/*/replies.jsonl"))
    }


@pytest.fixture(scope="module")
def whole(
    world: Path, instances: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[object], list[str]]:
    """Where an uninterrupted run took place, its command line and its writes."""
    root = tmp_path_factory.mktemp("whole")
    words = ["replies", *flags(asked(world, instances, Path(), range(PARTS)))]
    return root, words, writes("superni_replies", *words, root=root)


def test_every_reply_is_on_disk_before_it_is_used(
    whole: tuple[Path, list[object], list[str]],
) -> None:
    root, _, made = whole
    rounds = {
        part: Counter(json.loads(line)["round"] for line in log.splitlines())
        for part, log in logs_in(root).items()
    }
    assert rounds == {"0": {0: 1 + 4}, "1": {0: 2, 1: 5}, "2": {0: 3}}
    for log in root.glob("kept/*/*/replies.jsonl"):
        part = log.parts[-3]
        of_log = [at for at, name in enumerate(made) if name.endswith(str(log.relative_to(root)))]
        synced = [at for at in of_log if made[at].startswith("fsync")]
        assert len(synced) == len(rounds[part]) and synced[-1] == of_log[-1]
        assert synced[-1] < made.index(f"replace .{part}.jsonl.partial {part}.jsonl")
    rows = [json.loads(line) for line in parts_in(root)["1.jsonl"].splitlines()]
    assert [row["id"] for row in rows] == ["b-0", "b-1", *(f"e-{n}" for n in range(5))]
    assert len({row["prediction"] for row in rows}) > 1


def test_kill_at_any_write_of_the_predictions(
    world: Path,
    instances: Path,
    whole: tuple[Path, list[object], list[str]],
    tmp_path: Path,
) -> None:
    root, words, made = whole
    wanted, logged = parts_in(root), logs_in(root)
    for number, (at, how) in enumerate(draws(made, "superni, predictions")):
        place = tmp_path / str(number)
        place.mkdir()
        assert killed("superni_replies", *words, root=place, at=at, how=how) == made[:at]
        for name, content in parts_in(place).items():
            assert content == wanted[name], "complete, or not at all"
        before = {path: path.read_bytes() for path in place.glob("kept/*/*/replies.jsonl")}
        superni_replies.replies(**asked(world, instances, place, range(PARTS)))
        assert parts_in(place) == wanted, f"killed {how} write {at}: {made[at - 1]}"
        assert logs_in(place) == logged, "no reply is kept twice"
        for path, old in before.items():
            assert path.read_bytes().startswith(old[: old.rfind(b"\n") + 1])


def test_only_missing_replies_are_asked_for(
    world: Path,
    instances: Path,
    whole: tuple[Path, list[object], list[str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With all replies in the logs no model is loaded; a torn or missing one is written again."""
    root, _, _ = whole
    shutil.copytree(root / "kept", tmp_path / "kept")
    given = asked(world, instances, tmp_path, range(PARTS))
    with monkeypatch.context() as patched:
        patched.setattr(
            "refine_af.models.backbones.load_backbone", lambda *_, **__: pytest.fail("loaded")
        )
        superni_replies.replies(**given)
        assert parts_in(tmp_path) == parts_in(root)
        # What other cells are asked decides no reply of this one.
        settings = given["settings"]
        other = {"few-shot": settings.baselines["base"]} | settings.baselines
        changed = settings.model_copy(update={"baselines": other})
        superni_replies.replies(**given | {"settings": changed})
        shutil.copytree(root / "kept", tmp_path / "other")
        longer = {"settings": settings.model_copy(update={"max_new_tokens": 11})}
        with pytest.raises(pytest.fail.Exception, match="loaded"):
            superni_replies.replies(**given | longer | {"progress": tmp_path / "other"})
    (log,) = tmp_path.glob("kept/1/*/replies.jsonl")
    sound = log.read_bytes()
    for damaged in (sound[:-9], sound[: sound.index(b"\n") + 1], b""):
        log.write_bytes(damaged)
        (tmp_path / "1.jsonl").unlink()
        superni_replies.replies(**given)
        assert parts_in(tmp_path) == parts_in(root)
        assert logs_in(tmp_path) == logs_in(root)
    lines = sound.splitlines(keepends=True)
    log.write_bytes(lines[0] + b"{]\n" + lines[1])
    with pytest.raises(InputError, match=f"{log}, line 2: not JSON"):
        superni_replies.replies(**given)


def test_any_number_of_jobs_gives_the_same_file(
    world: Path,
    instances: Path,
    whole: tuple[Path, list[object], list[str]],
    tmp_path: Path,
) -> None:
    """The parts over 1, 2 and 3 jobs, the last first, each with a model of its own."""
    merged = []
    for jobs in (1, 2, 3):
        out = tmp_path / str(jobs)
        for job in reversed(range(jobs)):
            given = asked(world, instances, out, range(job, PARTS, jobs))
            superni_replies.replies(**given | {"progress": out / f"kept_{job}"})
        assert parts_in(out) == parts_in(whole[0])
        superni.predictions(
            instances=instances,
            parts=[out / f"{part}.jsonl" for part in range(PARTS)],
            predictions=out / "merged.jsonl",
        )
        merged.append((out / "merged.jsonl").read_bytes())
    assert merged[0] == merged[1] == merged[2]
    rows = read_records(tmp_path / "1" / "merged.jsonl", Prediction)
    assert [row.id for row in rows] == [row.id for row in made_up()]


def test_who_waits_for_an_orphan_finds_its_work(
    whole: tuple[Path, list[object], list[str]], tmp_path: Path
) -> None:
    """A killed Snakemake leaves its job running; the job of the next one finds it at work."""
    root, words, _ = whole
    side_by_side("superni_replies", words, kept=tmp_path / "kept" / "0", root=tmp_path)
    assert parts_in(tmp_path) == parts_in(root)
    assert logs_in(tmp_path) == logs_in(root)


def test_prompts_of_several_tasks_side_by_side_change_no_reply(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each group's prompts are answered as by themselves, greedily, whatever stands beside them."""
    rng = random.Random(6)
    groups = [
        Group(prefix, [f" {sentence(rng, n + 1)}\nOutput:" for n in range(count)])
        for prefix, count in [("Do\nSort.", 3), (sentence(rng, 30), 1), ("", 4), ("Name it:", 9)]
    ]
    model, tokenizer = model_of(world / "llama", None, "none")()
    sampling = greedy(12, ("\n\n",))
    alone = [
        generation.generate(
            model, tokenizer, prefix=group.prefix, tails=[tail], sampling=sampling, seeds=[0]
        )[0]
        for group in groups
        for tail in group.tails
    ]
    engine, log = LocalEngine(lambda: (model, tokenizer), sampling), tmp_path / "replies.jsonl"
    together = greedy_replies([groups], log, engine, Progress(17, "replies"))
    assert [reply.text for reply in together] == [made.text for made in alone]
    assert [reply.prompt_tokens for reply in together] == [made.prompt_tokens for made in alone]
    assert [reply.tokens for reply in together] == [len(made.tokens) for made in alone]
    assert len({reply.text for reply in together}) > 5
    out = capsys.readouterr().out
    assert "progress: 17/17 replies" in out and "round 0: 17 replies · " in out
    assert greedy_replies([groups], log, engine, Progress(17, "replies")) == together
    assert "round" not in capsys.readouterr().out, "nothing was written"


def test_without_end_of_text_every_reply_runs_on(world: Path) -> None:
    """The token is read over: the reply goes on behind it, and is the longer one's beginning."""
    model, tokenizer = model_of(world / "llama", None, "none")()
    groups = [Group("", ["Do\nSort.\nOutput:"])]
    free = generation.generate(
        model, tokenizer, prefix="", tails=groups[0].tails, sampling=greedy(12, ()), seeds=[0]
    )[0]
    kept = model.generation_config.eos_token_id
    model.generation_config.eos_token_id = free.tokens[3]
    try:
        replies = [
            dict(
                LocalEngine(lambda: (model, tokenizer), greedy(12, ()), end_of_text=end_of_text)(
                    groups, [0]
                )
            )[0]
            for end_of_text in (True, False)
        ]
    finally:
        model.generation_config.eos_token_id = kept
    ended = free.tokens.index(free.tokens[3]) + 1
    assert [(reply.finish, reply.tokens) for reply in replies] == [("eos", ended), ("length", 12)]
    assert replies[1].text == free.text and free.text.startswith(replies[0].text)
