"""Curves as they come: each step once, whatever was killed; nothing where nobody asks for them."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import pytest

from event_files import scalars
from refine_af.errors import InputError
from refine_af.jobs.curves import PROJECT, TRACKERS, Curves
from refine_af.settings.watch import Watch
from refine_af.workflow import door
from refine_af.workflow.configuration import read_configuration, read_experiment
from refine_af.workflow.plan import Plan
from tiny import ROOT

RUN = "sft_tiny/refine-af_4"
# What a run told that was killed after step 5, and what it tells as it goes on after step 3.
KILLED = {1: 0.5, 2: 0.25, 3: 0.125, 4: 7.0, 5: 7.0}
RESUMED = {1: 0.5, 2: 0.25, 3: 0.125, 4: 0.0625, 5: 0.03125, 6: 0.015625}


def told(folder: Path, tracker: str) -> None:
    for points in (KILLED, RESUMED):
        curves = Curves([tracker], folder, RUN)
        for step, value in points.items():
            curves.add(step, {"sft/loss": value, "sft/note": "", "step": step})
        curves.close()


def test_off_writes_nothing(tmp_path: Path) -> None:
    curves = Curves([], tmp_path, RUN)
    curves.add(1, {"sft/loss": 0.5})
    curves.close()
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_tensorboard_has_each_step_of_a_run_that_went_on_once(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    other = tmp_path / "ppo_tiny" / "events.out.tfevents.1.host"
    other.parent.mkdir()
    other.touch()
    told(tmp_path, "tensorboard")
    shown = scalars(tmp_path / RUN)
    assert shown == {"sft/loss": [*RESUMED.items()], "step": [(n, float(n)) for n in RESUMED]}
    assert other.exists(), "another run's"


@pytest.mark.slow
def test_trackio_has_each_step_of_a_run_that_went_on_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/space")
    monkeypatch.setenv("TRACKIO_DIR", "/nowhere")
    trackio = pytest.importorskip("trackio")
    told(tmp_path, "trackio")
    assert "TRACKIO_SPACE_ID" not in os.environ, "nothing leaves the machine"
    (run,) = trackio.Api().runs(PROJECT)
    storage = importlib.import_module("trackio.sqlite_storage").SQLiteStorage
    rows = storage.get_logs(PROJECT, run.name, run_id=run.id)
    assert run.name == RUN and [(row["step"], row["sft/loss"]) for row in rows] == [
        *RESUMED.items()
    ]


def test_a_tracker_that_is_not_installed_is_named_at_the_door_and_in_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = read_configuration(
        ROOT / "config.yaml", typed={"watch": {"report_to": ["trackio"]}}
    ).values
    monkeypatch.setattr(door, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"watch\.report_to: trackio is not installed; `pip inst"):
        door.check_experiment(read_experiment(values))

    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr("refine_af.jobs.curves.import_module", missing)
    for name in TRACKERS:
        with pytest.raises(InputError, match=rf"watch\.report_to: {name} is not installed in this"):
            Curves([name], tmp_path, RUN)


def test_the_switch_is_off_and_knows_the_trackers() -> None:
    plan = Plan(read_experiment(read_configuration(ROOT / "config.yaml").values), ROOT)
    assert plan.report_to(None, 1) == []
    assert "report_to" in Watch.model_fields and TRACKERS.keys() == {"tensorboard", "trackio"}
