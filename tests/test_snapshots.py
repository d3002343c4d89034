"""Snapshots on disk: a damaged one is passed over, whatever the damage."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from refine_af.models.snapshots import newest_snapshot, save_snapshot


def state_of(folder: Path, text: str) -> None:
    """Another state, whose digest is right."""
    (folder / "state.json").write_text(text)
    digests = json.loads((folder / "sha256.json").read_text())
    digests["state.json"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "sha256.json").write_text(json.dumps(digests))


def without_digests(folder: Path) -> None:
    (folder / "sha256.json").write_text("{}")
    tensors = folder / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])


def a_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


def tensors_in_a_folder(folder: Path) -> None:
    (folder / "tensors.safetensors").unlink()
    (folder / "tensors.safetensors").mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(without_digests, id="no digests"),
        pytest.param(a_file, id="a file"),
        pytest.param(tensors_in_a_folder, id="tensors in a folder"),
        pytest.param(lambda f: (f / "sha256.json").write_text("[" * 10**6), id="deep digests"),
        pytest.param(lambda f: state_of(f, "[" * 10**6), id="a deep state"),
        pytest.param(lambda f: state_of(f, "[2]"), id="a state that is a list"),
        pytest.param(lambda f: state_of(f, "{}"), id="a state without a step"),
        pytest.param(lambda f: state_of(f, '{"step": 1}'), id="another step"),
    ],
)
def test_a_damaged_snapshot_is_passed_over(
    damage: Callable[[Path], object], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for step in (1, 2):
        save_snapshot(tmp_path, step, {"a": torch.tensor([step])}, {"rate": 0.5}, documents={})
    damage(tmp_path / "step_000002")
    found = newest_snapshot(tmp_path)
    assert found is not None and (found.step, found.state) == (1, {"rate": 0.5})
    assert found.tensors()["a"].tolist() == [1]
    assert "step_000002: a damaged checkpoint, deleted" in capsys.readouterr().out
    assert not (tmp_path / "step_000002").exists()
