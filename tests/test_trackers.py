"""Curves as they come: each step once, whatever was killed; nothing where nobody asks for them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from event_files import scalars
from refine_af.errors import InputError
from refine_af.jobs.curves import TRACKERS, Curves
from refine_af.settings.watch import Watch
from refine_af.workflow import door
from refine_af.workflow.configuration import read_configuration, read_experiment
from refine_af.workflow.plan import Plan
from tiny import ROOT, tiny_config, write_experiment
from workflow import snakemake

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


# Trackio reads once in a process where it keeps its figures.
SHOWN = """
import json, trackio
from refine_af.jobs.curves import PROJECT
from trackio.sqlite_storage import SQLiteStorage
runs = {run.name: SQLiteStorage.get_logs(PROJECT, run.name, run_id=run.id)
        for run in trackio.Api().runs(PROJECT)}
print(json.dumps(runs))
"""


def trackio_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What it shows of each run, read as docs/running.md says."""
    done = python("-c", SHOWN, environment={"TRACKIO_DIR": str(folder / "trackio")})
    shown: dict[str, list[dict[str, Any]]] = json.loads(done.splitlines()[-1])
    return shown


def python(*words: object, environment: dict[str, str]) -> str:
    paths = os.pathsep.join(map(str, (ROOT / "scripts", ROOT / "tests")))
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


has_trackio = pytest.mark.skipif(
    find_spec("trackio") is None, reason="no trackio here: `pip install trackio`"
)


@pytest.mark.slow
@has_trackio
def test_trackio_has_each_step_of_a_run_that_went_on_once(tmp_path: Path) -> None:
    kept, elsewhere = tmp_path / "curves", tmp_path / "elsewhere"
    names = {f"TRACKIO_{name}": "somebody/else" for name in ("SPACE_ID", "DATASET_ID", "BUCKET_ID")}
    names |= {"TRACKIO_SERVER_URL": "https://nobody.invalid", "TRACKIO_DIR": str(elsewhere)}
    code = (
        "import sys, pathlib, test_trackers as own; own.told(pathlib.Path(sys.argv[1]), 'trackio')"
    )
    said = python("-c", code, kept, environment=names)
    assert str(kept / "trackio") in said and "Warning" not in said
    assert not elsewhere.exists(), "where another run keeps its figures"
    shown = {
        name: [(row["step"], row["sft/loss"]) for row in rows]
        for name, rows in trackio_rows(kept).items()
    }
    assert shown == {RUN: [*RESUMED.items()]}


@pytest.mark.slow
@has_trackio
def test_trackio_shows_what_a_job_of_the_workflow_tells(world: Path, tmp_path: Path) -> None:
    folder = write_experiment(tmp_path, tiny_config(world))
    done = snakemake(
        *("--directory", folder, "--cores", 1, "--resources", "gpu=1"),
        *("--config", "watch={report_to: [trackio]}"),
        *("--", "results/sft_tiny/self-instruct_4"),
        environment={"PYTHONPATH": str(ROOT / "scripts")},
    )
    assert done.returncode == 0, done.stdout
    (rows,) = trackio_rows(folder / "results" / "curves").values()
    with open(folder / "results/sft_tiny/self-instruct_4/history.csv", newline="") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert [row["step"] for row in rows] == [*range(1, len(losses) + 1)]
    assert [row["sft/loss"] for row in rows] == losses


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
