"""Fine-tuning loses nothing: killed at any moment, it ends as if nothing had happened."""

from __future__ import annotations

import csv
import json
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

import sft as stage
from event_files import scalars
from fine_tuning import LORA, asked, contents, flags, instance
from killing import How, draws, killed, landed_from, writes
from refine_af.errors import InputError
from refine_af.models.snapshots import newest_snapshot, save_snapshot
from refine_af.settings.lora import Lora
from refine_af.sft.trainer import ResumableTrainer
from test_journal import largest_file
from tiny import sentence

Given = dict[str, Any]
LORA_WITHOUT_DROPOUT = Lora.model_validate(LORA)
Whole = dict[str, tuple[Path, list[str]]]


@pytest.fixture(scope="module")
def given(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Given:
    """Two epochs of three updates, a checkpoint every second; dropout; outputs are relative."""
    numbers = random.Random(5)
    rows = [instance(n, sentence(numbers, 3), output=sentence(numbers, 2)) for n in range(10)]
    chosen = {"epochs": 2, "learning_rate": 1e-2, "gradient_accumulation_steps": 2}
    made = asked(
        tmp_path_factory.mktemp("asked"),
        tiny_llama,
        rows,
        **chosen,
        lora=LORA | {"dropout": 0.05},
    )
    return made | {"progress": Path("kept"), "adapter": Path("adapter")}


def quantized(given: Given, quantization: str) -> Given:
    return given | {"settings": given["settings"].model_copy(update={"quantization": quantization})}


@pytest.fixture(scope="module")
def whole(given: Given, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    """Where uninterrupted runs took place, one a quantization, and their writes."""
    roots = {name: tmp_path_factory.mktemp(name) for name in ("none", "nf4")}

    def made(name: str) -> tuple[Path, list[str]]:
        return roots[name], writes("sft", *flags(quantized(given, name)), root=roots[name])

    with ThreadPoolExecutor(2) as pool:
        return dict(zip(roots, pool.map(made, roots), strict=True))


def checkpoints(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("kept/*/*step_*"))


def test_the_run_trains_and_keeps_two_checkpoints(whole: Whole) -> None:
    for root, made in whole.values():
        with open(root / "adapter" / "history.csv", newline="") as file:
            losses = [float(row["loss"]) for row in csv.DictReader(file)]
        assert len(losses) == 6 and losses[5] < losses[0] - 0.1
        assert checkpoints(root) == ["step_000004", "step_000006"]
        renamed = [name.split("/")[-1] for name in made if name.startswith("replace ")]
        assert [name for name in renamed if name.startswith("step_")] == [
            *("step_000002", "step_000004", "step_000006")
        ]
        with open(root / "adapter" / "timing.csv", newline="") as file:
            timing = list(csv.DictReader(file))
        assert [row["step"] for row in timing] == ["1", "2", "3", "4", "5", "6"]
        summary = json.loads((root / "adapter" / "summary.json").read_text())
        assert sum(int(row["tokens"]) for row in timing) == 2 * summary["tokens"]
        assert all(float(row["seconds"]) > 0 for row in timing)


def test_kill_at_any_write(
    given: Given, whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = whole["nf4"][1]
    landing = next(at for at, name in enumerate(made, 1) if name.endswith("/step_000004"))
    points: list[tuple[str, int, How]] = [("nf4", landing, "before")]
    points += [("none", at, how) for at, how in draws(whole["none"][1], "fine-tuning")]
    places = [tmp_path / f"{name}_{at}_{how}" for name, at, how in points]

    def dead(point: tuple[str, int, How], place: Path) -> list[str]:
        (name, at, how) = point
        place.mkdir()
        return killed("sft", *flags(quantized(given, name)), root=place, at=at, how=how)

    with ThreadPoolExecutor(2) as pool:  # a start takes seconds, most of them in imports
        traces = list(pool.map(dead, points, places))
    for (name, at, _), place, seen in zip(points, places, traces, strict=True):
        (root, made) = whole[name]
        assert seen == made[:at]
        landed = [row.split("/")[-1] for row in seen[:-1] if row.startswith("replace ")]
        wanted = contents(root / "adapter")
        if (place / "adapter").exists():
            assert at >= landed_from(made), "complete, or not at all"
            assert contents(place / "adapter") == wanted
            shutil.rmtree(place / "adapter")
        capsys.readouterr()
        stage.main(**below(place, quantized(given, name)))
        told = capsys.readouterr().out
        assert contents(place / "adapter") == wanted, f"killed at write {at}: {seen[-1]}"
        for step in (2, 4, 6):
            if f"step_{step:06}" in landed:
                assert any(f"going on after update {later}\n" in told for later in range(step, 7))
        assert checkpoints(place) == ["step_000004", "step_000006"]


def below(root: Path, given: Given) -> Given:
    return given | {"progress": root / "kept", "adapter": root / "adapter"}


@pytest.fixture
def copy(given: Given, whole: Whole, tmp_path: Path) -> Given:
    """A finished run's progress folder, without its output."""
    shutil.copytree(whole["none"][0] / "kept", tmp_path / "kept")
    return below(tmp_path, given)


@pytest.mark.parametrize("damaged", ["tensors.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_passed_over(
    damaged: str, copy: Given, whole: Whole, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (kept,) = (path for path in (tmp_path / "kept").iterdir() if path.is_dir())
    spoil(kept / "step_000006" / damaged)
    (kept / ".step_000007.partial").mkdir()  # a save that was killed
    shutil.copytree(kept / "step_000004", kept / "step_000002")  # and one, in its tidying up
    stage.main(**copy)
    told = capsys.readouterr().out
    assert f"{kept}/step_000006: a damaged checkpoint, deleted\n" in told
    assert "going on after update 4\n" in told
    assert checkpoints(tmp_path) == ["step_000004", "step_000006"]
    assert contents(tmp_path / "adapter") == contents(whole["none"][0] / "adapter")
    shutil.rmtree(tmp_path / "adapter")
    spoil(kept / "step_000004" / "trainer_state.json")
    spoil(kept / "step_000006" / "sha256.json")
    with pytest.raises(InputError, match=f"^{kept}: every checkpoint is damaged; delete the"):
        stage.main(**copy)


def test_the_curves_of_a_run_that_goes_on_have_each_update_once(
    copy: Given, whole: Whole, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    (kept,) = (path for path in (tmp_path / "kept").iterdir() if path.is_dir())
    shutil.rmtree(kept / "step_000006")
    place = tmp_path / "curves"
    stage.main(**copy | {"report_to": ["tensorboard"], "curves": place})
    assert contents(tmp_path / "adapter") == contents(whole["none"][0] / "adapter")
    steps, values = zip(*scalars(place / tmp_path.name / "adapter")["sft/loss"], strict=True)
    with open(tmp_path / "adapter" / "history.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert steps == (1, 2, 3, 4, 5, 6) and values == pytest.approx(losses, rel=1e-6)


def spoil(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_what_is_done_is_not_done_again(
    copy: Given, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other settings train anew, and leave alone what these keep."""
    with monkeypatch.context() as patched:
        patched.setattr(
            ResumableTrainer, "training_step", lambda *_: pytest.fail("an update is done")
        )
        stage.main(**copy)
        assert contents(tmp_path / "adapter") == contents(whole["none"][0] / "adapter")
        with pytest.raises(InputError, match="adapter: exists already"):
            stage.main(**copy)
    settings = copy["settings"].model_copy(update={"epochs": 1})
    stage.main(**copy | {"settings": settings, "adapter": tmp_path / "shorter"})
    names = sorted(path.name for path in tmp_path.glob("kept/*/step_*"))
    assert names == ["step_000002", "step_000003", "step_000004", "step_000006"]


def test_what_is_watched_decides_no_result(given: Given, whole: Whole, tmp_path: Path) -> None:
    changes = {"checkpoint_every": 100, "gradient_checkpointing": True}
    other = given["compute"].model_copy(update=changes)
    stage.main(**below(tmp_path, given) | {"compute": other})
    assert checkpoints(tmp_path) == ["step_000006"]
    assert contents(tmp_path / "adapter") == contents(whole["none"][0] / "adapter")


@pytest.mark.slow
def test_memory_that_runs_out_halves_the_micro_batch(
    given: Given,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The updates stay the same: without dropout the loss curve is that of one row at a time."""
    plain = given["settings"].model_copy(update={"lora": LORA_WITHOUT_DROPOUT})
    curves = {}
    for name, micro_batch in (("small", 1), ("short", 4)):
        (tmp_path / name).mkdir()
        compute = given["compute"].model_copy(update={"micro_batch": micro_batch})
        asked_for = below(tmp_path / name, given) | {"settings": plain, "compute": compute}
        with monkeypatch.context() as patched:
            if name == "short":
                patched.setattr(ResumableTrainer, "training_step", without_memory(rows=1, update=3))
            stage.main(**asked_for)
        with open(tmp_path / name / "adapter" / "history.csv", newline="") as file:
            curves[name] = [float(row["loss"]) for row in csv.DictReader(file)]
        if name == "short":
            told = capsys.readouterr().out
            assert "out of memory with 4 rows at a time: going on with 2\n" in told
            assert "out of memory with 2 rows at a time: going on with 1\n" in told
            assert told.count("going on after update 2\n") == 2
            (place,) = (path for path in (tmp_path / name / "kept").iterdir() if path.is_dir())
            snapshot = newest_snapshot(place)
            assert snapshot is not None and snapshot.state["micro_batch"] == 1
    assert curves["short"] == pytest.approx(curves["small"], rel=1e-5)
    monkeypatch.setattr(ResumableTrainer, "training_step", without_memory(rows=0, update=0))
    shutil.rmtree(tmp_path / "small")
    with pytest.raises(InputError, match="out of memory with one row at a time: CUDA out of"):
        stage.main(**below(tmp_path / "small", given))


STEP = ResumableTrainer.training_step


def without_memory(*, rows: int, update: int) -> Any:
    """A step that fails where more rows than `rows` come at once, from an update on."""

    def step(self: ResumableTrainer, model: Any, inputs: Any, *others: Any) -> Any:
        if self.state.global_step >= update and len(inputs["input_ids"]) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried\nadvice")
        return STEP(self, model, inputs, *others)

    return step


def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_one_before(
    given: Given, whole: Whole, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(folder: Path, step: int, *others: Any, **documents: Any) -> None:
        if step == 2:
            return save_snapshot(folder, step, *others, **documents)
        with largest_file(30_000):  # half a checkpoint
            return save_snapshot(folder, step, *others, **documents)

    with monkeypatch.context() as patched:
        patched.setattr("refine_af.sft.trainer.save_snapshot", failing)
        with pytest.raises(InputError, match=r"step_000004: cannot be written: .*large"):
            stage.main(**below(tmp_path, given))
    assert checkpoints(tmp_path) == ["step_000002"]
    stage.main(**below(tmp_path, given))
    assert contents(tmp_path / "adapter") == contents(whole["none"][0] / "adapter")


def test_a_loss_that_is_no_number_ends_the_job(given: Given, tmp_path: Path) -> None:
    settings = given["settings"].model_copy(update={"learning_rate": 1e30})
    with pytest.raises(InputError, match=r"sft, update \d: (loss|grad_norm) is (nan|inf)"):
        stage.main(**below(tmp_path, given) | {"settings": settings})
    assert not (tmp_path / "adapter").exists()
