"""Learning curves: which there are, and what they show of runs that lack one or another."""

from __future__ import annotations

import math
from pathlib import Path
from unittest.mock import create_autospec

import pandas as pd
import pytest

from made_up_run import CELLS, make_ppo, make_tuned, write_json
from refine_af.errors import InputError
from refine_af.report.curves import curves_by_step, ends, loss_by_epoch, measured
from refine_af.report.finished_run import ModelRun, read_steps
from refine_af.report.tuned import read_tuned


def run_of(**values: object) -> ModelRun:
    """A run of which no more is known than what a curve asks for."""
    sources = {"ppo": ["ppo_tiny"], "adapters": ["sft_tiny/refine-af_3"]}
    known = {"name": "tiny", "algorithm": "PPO", "sources": sources}
    run: ModelRun = create_autospec(ModelRun, instance=True)
    for name, value in (known | values).items():
        object.__setattr__(run, name, value)
    return run


def test_every_component_and_measure_that_has_values_has_a_panel(tmp_path: Path) -> None:
    make_ppo(tmp_path)
    steps = read_steps(tmp_path)
    names = ["KL (nats)", "entropy (nats)", "reply (tokens)", "value loss", "coherence"]
    assert list(measured(steps).values()) == names
    drawing = curves_by_step(run_of(steps=steps), 3)
    assert drawing is not None
    svg = drawing.svg.decode()
    assert all(f">{name}<" in svg for name in names) and ">share clipped<" not in svg
    third = drawing.numbers.iloc[2]
    assert math.isnan(third["coherence_mean"])
    assert third["coherence_mean_moving_average"] == pytest.approx((0.5 + 0.25 / 2) / 1.5)


def test_steps_that_measured_nothing_have_no_curves() -> None:
    steps = pd.DataFrame({"step": [1, 2], "reward_mean": [0.1, 0.2], "kl": [math.nan] * 2})
    assert curves_by_step(run_of(steps=steps), 3) is None


def test_a_tenth_of_the_steps_is_at_least_one() -> None:
    table = pd.DataFrame({"step": range(1, 31)})
    count, first, last = ends(table)
    assert (count, list(first["step"]), list(last["step"])) == (3, [1, 2, 3], [28, 29, 30])
    count, first, last = ends(table.head(1))
    assert (count, list(first["step"]), list(last["step"])) == (1, [1], [1])


def test_every_size_has_a_panel_and_every_method_a_line(tmp_path: Path) -> None:
    make_tuned(tmp_path)
    cells = read_tuned([tmp_path / name for name in CELLS])
    drawing = loss_by_epoch(run_of(tuned=cells), 3)
    svg = drawing.svg.decode()
    assert ">loss, 3<" in svg and ">loss, 6<" in svg
    assert svg.count(">refine-af<") == svg.count(">self-instruct<") == 1  # the legend, once
    assert len(drawing.numbers) == 4 * 20
    assert drawing.sources == ["sft_tiny/refine-af_3/history.csv"]


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("history.csv", "step,epoch,loss\n1,0.1,nan\n", "line 2: 'loss' is no finite number"),
        ("history.csv", "step,epoch,loss\n", "holds no update"),
        ("history.csv", "step,loss\n1,2\n", "'epoch'"),
        ("summary.json", '{"instances": 1, "tokens": 2}', "'completion_tokens' is no count: None"),
        ("summary.json", '{"instances": true}', "'instances' is no count: True"),
    ],
)
def test_a_damaged_file_is_told(tmp_path: Path, file: str, text: str, said: str) -> None:
    make_tuned(tmp_path)
    folder = tmp_path / "refine-af_3"
    (folder / file).write_text(text)
    with pytest.raises(InputError, match=said) as fault:
        read_tuned([folder])
    assert str(folder / file) in str(fault.value)


def test_a_folder_that_names_no_cell_is_told(tmp_path: Path) -> None:
    write_json(tmp_path / "summary.json", {})
    with pytest.raises(InputError, match="not named as a method and a size"):
        read_tuned([tmp_path])
