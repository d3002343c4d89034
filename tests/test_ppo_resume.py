"""Stage 2 loses nothing: killed or failed at any moment, it ends as if nothing had happened."""

from __future__ import annotations

import csv
import json
import random
import re
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import ppo as stage2
from event_files import scalars
from killing import How, draws, killed, landed_from, writes
from orphans import side_by_side
from policies import COMPUTE, REWARD, SETTINGS, WATCH, ppo_settings
from refine_af.errors import InputError
from refine_af.files.rows import write_records
from refine_af.jobs.curves import Curves
from refine_af.ppo.checkpoint import (
    Checkpoint,
    copied,
    newest_checkpoint,
    put_back,
    save_checkpoint,
)
from refine_af.ppo.floor import Moments
from refine_af.ppo.learner import Learner
from refine_af.ppo.policy import Policy
from refine_af.ppo.rollouts import read_answers
from refine_af.ppo.training import PpoTrainer
from refine_af.records.fixed_prompts import Answer
from refine_af.records.instructions import Instruction
from refine_af.rewards.scorer import Scorer
from refine_af.settings.compute import PpoMachine
from refine_af.settings.ppo import Ppo
from refine_af.settings.reward import Reward
from refine_af.settings.watch import PpoWatch
from test_journal import largest_file
from tiny import sentence

Given = dict[str, Any]
DESCEND = Learner._descend
PARSED = Moments(3, 1 / 3, 0.1)
CHECKPOINT_BYTES = 30_000  # more than any other file of the run, half a checkpoint


@pytest.fixture(scope="module")
def given(world: Path, tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Five steps, a checkpoint every second; outputs are relative to where it runs."""
    numbers = random.Random(3)
    segment = tmp_path_factory.mktemp("segment")
    rows = [
        Instruction(f"i{n:06}", sentence(numbers, 3), 1, 0, [], "", 0.0, "", 0.0, 9, 9)
        for n in range(6)
    ]
    write_records(segment / "instructions.jsonl", rows)
    sampling = SETTINGS["sampling"] | {"temperature": 0.7, "stop": ["Do"]}
    return {
        "settings": ppo_settings(steps=5, sampling=sampling, floor_deviations=2.0),
        "reward": Reward.model_validate(REWARD),
        "watch": PpoWatch.model_validate(WATCH),
        "compute": PpoMachine.model_validate(COMPUTE),
        "chat": False,
        "backbone": world / "llama",
        "reward_model": world / "reward_model",
        "evaluator": world / "evaluator",
        "judge_prompt": None,
        "judge_server": None,
        "report_to": [],
        "curves": Path("curves"),
        "instructions": segment,
        "prompt": world / "instances.txt",
        "progress": Path("kept"),
        "ppo": Path("ppo"),
    }


def quantized(given: Given, quantization: str) -> Given:
    settings = given["settings"].model_dump(mode="json") | {"quantization": quantization}
    return given | {"settings": Ppo.model_validate(settings)}


def flags(given: Given) -> list[object]:
    sections = ("settings", "reward", "watch", "compute")
    texts = {name: given[name].model_dump_json() for name in sections}
    return [
        part
        for name, value in (given | texts).items()
        for part in (f"--{name.replace('_', '-')}", *(value if name == "report_to" else [value]))
        if part is not None  # a flag without a value
    ]


@pytest.fixture(scope="module")
def whole(
    given: Given, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Path, list[str]]]:
    """Where uninterrupted runs took place, one a quantization, and their writes."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("none", "nf4")}

    def made(name: str) -> tuple[Path, list[str]]:
        return roots[name], writes("ppo", *flags(quantized(given, name)), root=roots[name])

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(roots, pool.map(made, roots), strict=True))


def contents(folder: Path) -> dict[str, bytes]:
    """All that must be the same in every run: seconds are not, nor the mark of who landed last."""
    other = {"timing.csv", "landed"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in other]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def kept_in(root: Path) -> Path:
    (folder,) = (path for path in root.glob("kept/*") if path.is_dir())
    return folder


def checkpoints(kept: Path) -> list[str]:
    return sorted(path.name for path in kept.glob("*step_*") if path.is_dir())


def test_the_run_trains_and_keeps_two_checkpoints(
    whole: dict[str, tuple[Path, list[str]]],
) -> None:
    for root, made in whole.values():
        rows = [json.loads(line) for line in (kept_in(root) / "steps.jsonl").open()]
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5]
        assert rows[0]["metrics"]["kl"] == 0 < abs(rows[4]["metrics"]["kl"])
        assert any(row["metrics"]["parse_rate"] > 0 for row in rows)
        assert checkpoints(kept_in(root)) == ["step_000004", "step_000005"]
        renamed = [name.split("/")[-1] for name in made if name.startswith("replace ")]
        steps = [name for name in renamed if name.startswith("step_")]
        assert steps == ["step_000002", "step_000004", "step_000005"]
        assert len((root / "ppo" / "timing.csv").read_text().splitlines()) == 6


def test_kill_at_any_write(
    given: Given, whole: dict[str, tuple[Path, list[str]]], tmp_path: Path
) -> None:
    _, made = whole["nf4"]
    landing = next(at for at, name in enumerate(made, 1) if name.endswith("/step_000004"))
    points: list[tuple[str, tuple[int, How]]] = [("nf4", (landing, "before"))]
    points += [("none", point) for point in draws(whole["none"][1], "stage 2")]
    with ThreadPoolExecutor(2) as pool:  # a start takes seconds, most of them in imports
        chains = [
            pool.submit(check_kill, quantized(given, name), whole[name], point, tmp_path / str(n))
            for n, (name, point) in enumerate(points)
        ]
        for chain in chains:
            chain.result()


def check_kill(
    given: Given, run: tuple[Path, list[str]], point: tuple[int, How], place: Path
) -> None:
    (root, made), (at, how), asked = run, point, flags(given)
    wanted, landing = contents(root / "ppo"), landed_from(made)
    place.mkdir()
    seen = killed("ppo", *asked, root=place, at=at, how=how)
    assert seen == made[:at]
    if (place / "ppo").exists():
        assert at >= landing, "complete, or not at all"
        assert contents(place / "ppo") == wanted
        shutil.rmtree(place / "ppo")
    again = writes("ppo", *asked, root=place)
    assert contents(place / "ppo") == wanted, f"killed {how} write {at}: {seen[-1]}"
    steps = [json.loads(line)["step"] for line in (kept_in(place) / "steps.jsonl").open()]
    assert sorted(set(steps)) == [1, 2, 3, 4, 5]
    assert len(steps) <= 5 + 2, "at most the steps since the last checkpoint are done again"
    if any(name.startswith("replace ") and name.endswith("/before.jsonl") for name in seen[:-1]):
        assert not any(name.endswith("/before.jsonl") for name in again), "evaluated once"
    assert checkpoints(kept_in(place)) == ["step_000004", "step_000005"]


def device_lost(monkeypatch: pytest.MonkeyPatch) -> str:
    update = Learner.update

    def failing(self: Learner, experience: Any, *, step: int) -> dict[str, float]:
        if step == 4:
            raise torch.AcceleratorError("CUDA error: device lost\nlong advice")
        return update(self, experience, step=step)

    monkeypatch.setattr(Learner, "update", failing)
    return r"^the GPU failed: CUDA error: device lost$"


def no_memory_for_the_judges(monkeypatch: pytest.MonkeyPatch) -> str:
    score, calls = Scorer.__call__, iter(range(9))

    def failing(self: Scorer, triplets: Any) -> list[dict[str, float]]:
        if next(calls) == 5:  # the first before any work, the second before training
            raise torch.OutOfMemoryError("CUDA out of memory. Tried\nadvice")
        return score(self, triplets)

    monkeypatch.setattr(Scorer, "__call__", failing)
    return r"^out of memory: CUDA out of memory\. Tried$"


def lost_gradient(monkeypatch: pytest.MonkeyPatch) -> str:
    def failing(self: Learner, step: int) -> None:
        if step == 4:
            self.policy.adapter_parameters()[0].grad.fill_(torch.nan)  # type: ignore[union-attr]
        DESCEND(self, step)

    monkeypatch.setattr(Learner, "_descend", failing)
    return r"^PPO step 4: the gradient is nan; a lower ppo\.learning_rate than 0\.001 may help$"


def disk_full_at_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> str:
    def failing(folder: Path, checkpoint: Checkpoint) -> None:
        if checkpoint.step == 2:
            return save_checkpoint(folder, checkpoint)
        with largest_file(CHECKPOINT_BYTES):
            return save_checkpoint(folder, checkpoint)

    monkeypatch.setattr(stage2, "save_checkpoint", failing)
    return r"/step_000004: cannot be written: .*File too large"


def disk_full_at_the_end(monkeypatch: pytest.MonkeyPatch) -> str:
    save = Policy.save

    def failing(self: Policy, folder: Path) -> None:
        with largest_file(1000):
            save(self, folder)

    monkeypatch.setattr(Policy, "save", failing)
    return r"/ppo: cannot be written: .*File too large"


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (device_lost, ["step_000002"]),
        (no_memory_for_the_judges, ["step_000002"]),
        (lost_gradient, ["step_000002"]),
        (disk_full_at_a_checkpoint, ["step_000002"]),
        (disk_full_at_the_end, ["step_000004", "step_000005"]),
    ],
)
def test_a_fault_is_said_and_the_last_checkpoint_stays(
    fault: Callable[[pytest.MonkeyPatch], str],
    left: list[str],
    given: Given,
    whole: dict[str, tuple[Path, list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = given | {"progress": tmp_path / "kept", "ppo": tmp_path / "ppo"}
    with monkeypatch.context() as patched:
        said = fault(patched)
        with pytest.raises(InputError, match=said):
            stage2.main(**asked)
    assert not (tmp_path / "ppo").exists()
    assert not list(tmp_path.glob(".*.partial"))
    assert checkpoints(kept_in(tmp_path)) == left
    capsys.readouterr()
    stage2.main(**asked)
    assert f"going on after step {int(left[-1][-1])}\n" in capsys.readouterr().out
    assert contents(tmp_path / "ppo") == contents(whole["none"][0] / "ppo")


@pytest.mark.slow
def test_a_smaller_micro_batch_is_kept(
    given: Given, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that was short of memory before it was killed goes on with what memory held."""
    update = Learner.update

    def short(self: Learner, experience: Any, *, step: int) -> dict[str, float]:
        if step == 1 and self.micro_batch > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return update(self, experience, step=step)

    found = []
    for name in ("whole", "killed"):
        asked = given | {"progress": tmp_path / name / "kept", "ppo": tmp_path / name / "ppo"}
        with monkeypatch.context() as patched:
            patched.setattr(Learner, "update", short)
            if name == "killed":
                lost_gradient(patched)
                with pytest.raises(InputError, match="PPO step 4"):
                    stage2.main(**asked)
                patched.setattr(Learner, "_descend", DESCEND)
                patched.setattr(Learner, "update", update)
            stage2.main(**asked)
        checkpoint = newest_checkpoint(kept_in(tmp_path / name))
        assert checkpoint is not None
        assert checkpoint.micro_batch == 1 < given["settings"].batch_size
        found.append(contents(tmp_path / name / "ppo"))
    assert found[0] == found[1]


@pytest.fixture
def copy(given: Given, whole: dict[str, tuple[Path, list[str]]], tmp_path: Path) -> Given:
    """A finished run's progress folder, without its output."""
    shutil.copytree(whole["none"][0] / "kept", tmp_path / "kept")
    return given | {"progress": tmp_path / "kept", "ppo": tmp_path / "ppo"}


def test_a_damaged_checkpoint_is_passed_over(
    copy: Given,
    whole: dict[str, tuple[Path, list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = kept_in(tmp_path)
    spoil(kept / "step_000005" / "tensors.safetensors")
    stage2.main(**copy)
    told = capsys.readouterr().out
    assert f"{kept}/step_000005: a damaged checkpoint, deleted\n" in told
    assert "going on after step 4\n" in told
    assert told.count("5 steps hold no two windows of watch.ppo.alarm.window 5: no alarm that") == 1
    assert contents(tmp_path / "ppo") == contents(whole["none"][0] / "ppo")
    shutil.rmtree(tmp_path / "ppo")
    for name in checkpoints(kept):
        spoil(kept / name / "state.json")
    with pytest.raises(InputError, match=f"^{kept}: every checkpoint is damaged; delete the"):
        stage2.main(**copy)


def test_the_curves_of_a_run_that_goes_on_have_each_step_once(
    copy: Given, whole: dict[str, tuple[Path, list[str]]], tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    shutil.rmtree(kept_in(tmp_path) / "step_000005")
    place = tmp_path / "curves"
    lost = Curves(["tensorboard"], place, "ppo")  # of the step after the checkpoint
    lost.add(5, {"ppo/kl": 99.0})
    lost.close()
    stage2.main(**copy | {"report_to": ["tensorboard"], "curves": place})
    assert contents(tmp_path / "ppo") == contents(whole["none"][0] / "ppo")
    shown = scalars(place / "ppo")
    with open(tmp_path / "ppo" / "metrics.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    for name in ("kl", "reward_mean", "entropy"):
        steps, values = zip(*shown[f"ppo/{name}"], strict=True)
        assert steps == (1, 2, 3, 4, 5)
        assert values == pytest.approx([float(row[name]) for row in rows], rel=1e-6), name
    assert [step for step, _ in shown["seconds/update"]] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "damage",
    [
        lambda kept: edit(kept / "step_000002" / "state.json", kl_coefficient=0.3),
        lambda kept: edit(kept / "step_000002" / "state.json", micro_batch=1),
        lambda kept: edit(kept / "step_000002" / "state.json", step=1),
        lambda kept: (kept / "step_000002" / "state.json").unlink(),
        lambda kept: (kept / "step_000002" / "sha256.json").write_text("{}"),
        lambda kept: (kept / "step_000002" / "other").mkdir(),
        lambda kept: (kept / "step_000002").rename(kept / "step_000003"),
        lambda kept: [(kept / "step_000002").rename(kept / "a"), (kept / "step_000002").touch()],
        lambda kept: [(kept / "step_000002").rename(kept / "a"), (kept / "step_000002").mkdir()],
    ],
)
def test_a_checkpoint_that_was_touched_is_passed_over(
    damage: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (1, 2):
        save_checkpoint(tmp_path, Checkpoint(step, 0.2, 3, PARSED, {"weights.a": torch.ones(1)}))
    damage(tmp_path)
    found = newest_checkpoint(tmp_path)
    assert found is not None and found.step == 1
    assert ": a damaged checkpoint, deleted\n" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("step_*")] == ["step_000001"]


def edit(path: Path, **changes: float) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("other", [torch.nn.Linear(3, 1), torch.nn.Bilinear(2, 2, 1)])
def test_a_checkpoint_of_other_weights_is_refused(other: torch.nn.Module) -> None:
    """As where another version of a library names or shapes them otherwise."""
    model = torch.nn.Linear(2, 1)
    optimizers = {net: torch.optim.AdamW(net.parameters()) for net in (model, other)}
    put_back(model, optimizers[model], copied(model, optimizers[model]))
    with pytest.raises(InputError, match=r"no weights\.weight of the shape \(1, 2\)"):
        put_back(model, optimizers[model], copied(other, optimizers[other]))


def test_an_evaluation_that_was_touched_is_made_again(
    copy: Given,
    whole: dict[str, tuple[Path, list[str]]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kept = kept_in(tmp_path)
    before = (kept / "before.jsonl").read_bytes()
    (kept / "before.jsonl").write_bytes(before[: before.rfind(b"\n", 0, -1) + 1])
    (kept / "after.jsonl").write_bytes(before)
    shutil.rmtree(kept / "step_000005")  # so that what is made again is also made in order
    stage2.main(**copy)
    told = capsys.readouterr().out
    assert f"{kept}/before.jsonl: 4 answers, not those to the fixed prompts: made again\n" in told
    assert f"{kept}/after.jsonl: 5 answers, not those to the fixed prompts: made again\n" in told
    assert contents(tmp_path / "ppo") == contents(whole["none"][0] / "ppo")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: b"", "0 answers"),
        (lambda data: data[:-9], "line 2: not JSON"),
        (lambda data: data.replace(b"i000002", b"i000003"), "2 answers, not those"),
        (lambda data: data.replace(b"-0.6", b"NaN"), "the reward nan"),
        (lambda data: data.replace(b'"reward"', b'"Reward"'), "line 1: no 'reward'"),
        (lambda data: data.replace(b"null", b"3", 1), "line 1: 'input' is no"),
    ],
)
def test_odd_answers_are_named(damage: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
    asked = [Instruction(f"i{n:06}", "Do it.", 1, 0, [], "", 0.0, "", 0.0, 9, 9) for n in (1, 2)]
    answers = [
        Answer("before", row.id, row.instruction, "Output", None, None, -0.6, None) for row in asked
    ]
    path = tmp_path / "before.jsonl"
    write_records(path, answers)
    assert read_answers(path, "before", asked) == answers
    with pytest.raises(InputError, match="2 answers, not those"):
        read_answers(path, "after", asked)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=said):
        read_answers(path, "before", asked)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_log_that_a_checkpoint_does_not_fit_is_refused(copy: Given, tmp_path: Path) -> None:
    log = kept_in(tmp_path) / "steps.jsonl"
    lines = log.read_bytes().splitlines(keepends=True)
    odd = [
        (rb'"kl": 0\.0', b'"kl": "x"'),
        (rb'"kl": 0\.0', b'"kl": null'),
        (rb'"seconds": {[^}]*}', b'"seconds": {}'),
        (rb'"samples": \[.*\]', b'"samples": [3]'),
        (rb'"metrics": {"step": 1', b'"metrics": {"step": 2'),
    ]
    spoilt = [re.sub(*pair, lines[0]) for pair in odd]
    assert lines[0] not in spoilt
    for damage, message in [
        *(([line, *lines[1:]], f"{log}, line 1: no step of PPO in") for line in spoilt),
        (lines[:2] + lines[3:], f"{log}: no row of step 3, though a checkpoint came after it"),
        ([lines[0].replace(b'"kl"', b'"KL"'), *lines[1:]], f"{log}, line 1: no step of PPO in"),
        ([*lines, b"[]\n"], f"{log}, line 6: not a JSON object"),
    ]:
        log.write_bytes(b"".join(damage))
        with pytest.raises(InputError, match=f"^{message}"):
            stage2.main(**copy)
        assert not (tmp_path / "ppo").exists()


def test_what_is_done_is_not_done_again(
    copy: Given,
    whole: dict[str, tuple[Path, list[str]]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor with another `watch` or `compute`, which decide nothing; other settings train anew."""
    (root, _), kept = whole["none"], kept_in(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(PpoTrainer, "step", lambda *_: pytest.fail("a step is done"))
        patched.setattr(PpoTrainer, "evaluation_rows", lambda *_: pytest.fail("evaluated again"))
        other = {
            "watch": copy["watch"].model_copy(update={"least_parsed": 0.0}),
            "compute": copy["compute"].model_copy(update={"checkpoint_every": 1}),
        }
        stage2.main(**copy | other)
        assert contents(tmp_path / "ppo") == contents(root / "ppo")
        with pytest.raises(InputError, match="ppo: exists already"):
            stage2.main(**copy)
    settings = copy["settings"].model_copy(update={"steps": 1})
    stage2.main(**copy | {"settings": settings, "ppo": tmp_path / "shorter"})
    assert contents(kept) == contents(kept_in(root)), "what other settings keep stays"
    assert len([path for path in kept.parent.iterdir() if path.is_dir()]) == 2


def test_what_the_machine_gives_decides_no_result(
    given: Given, whole: dict[str, tuple[Path, list[str]]], tmp_path: Path
) -> None:
    changes = {"checkpoint_every": 100, "gradient_checkpointing": True}
    other = given["compute"].model_copy(update=changes)
    places = {"progress": tmp_path / "kept", "ppo": tmp_path / "ppo"}
    stage2.main(**given | places | {"compute": other})
    assert checkpoints(kept_in(tmp_path)) == ["step_000005"]
    assert contents(tmp_path / "ppo") == contents(whole["none"][0] / "ppo")


def test_who_waited_for_a_process_that_did_the_work_is_done(
    given: Given, whole: dict[str, tuple[Path, list[str]]], tmp_path: Path
) -> None:
    worked, waited = side_by_side("ppo", flags(given), kept=tmp_path / "kept", root=tmp_path)
    assert contents(tmp_path / "ppo") == contents(whole["none"][0] / "ppo")
    assert "ppo: written by the process that this one waited for" in waited
    assert "written by" not in worked


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    tensors = {"policy.a": torch.tensor([[0.1, -3e38]]), "optimizer.0.step": torch.tensor(7.0)}
    coefficient = 0.2 * (1 - 0.2 * 4 / 10000)
    assert newest_checkpoint(tmp_path) is None
    for step in (1, 9, 10):
        save_checkpoint(tmp_path, Checkpoint(step, coefficient, 3, PARSED, tensors))
    (tmp_path / ".step_000007.partial").mkdir()
    found = newest_checkpoint(tmp_path)
    assert found is not None
    assert (found.step, found.kl_coefficient, found.micro_batch) == (10, coefficient, 3)
    assert found.parsed == PARSED
    assert found.tensors.keys() == tensors.keys()
    assert all(torch.equal(found.tensors[name], tensors[name]) for name in tensors)
    save_checkpoint(tmp_path, Checkpoint(11, coefficient, 3, PARSED, tensors))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step_000010", "step_000011"]
