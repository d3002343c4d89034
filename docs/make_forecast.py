"""Write the forecast of the paper's grid into docs/running.md, by what config.yaml states."""

from __future__ import annotations

import re
import sys
from contextlib import chdir
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))

from refine_af.forecast.hours import STAGES, Foretold, Row
from refine_af.forecast.rates import sheet_of
from refine_af.forecast.screen import STAGES as NAMES
from refine_af.forecast.screen import hours
from refine_af.workflow.configuration import read_configuration, read_experiment
from refine_af.workflow.plan import Plan

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "running.md"
MARKS = ("<!-- forecast -->\n", "<!-- /forecast -->\n")
PAPER = {"instructions": "480"} | dict.fromkeys(STAGES[1:], "120 at most")


def generated() -> dict[Path, str]:
    """What the page is to hold."""
    text = PAGE.read_text(encoding="utf-8")
    start, end = MARKS
    found = re.sub(f"{start}.*{end}", lambda _: f"{start}{table()}{end}", text, flags=re.DOTALL)
    return {PAGE: found}


def table() -> str:
    """GPU-hours of each stage and model on each machine of config.yaml, in Markdown."""
    experiment = read_experiment(read_configuration(ROOT / "config.yaml"))
    plan = Plan(experiment, ROOT)
    with chdir(ROOT / "docs"):  # where no run's results stand
        sheets = {
            name: plan.forecast.on(sheet_of(experiment.forecast, name))
            for name in experiment.forecast.machines
        }
    head = [f"{model}, {name.upper()}" for model in plan.models for name in sheets]
    lines = [f"| GPU-hours | {' | '.join(head)} | paper, A100 |", "|---" * (len(head) + 2) + "|"]
    for stage in STAGES:
        cells = [_cell(on, model, stage) for model in plan.models for on in sheets.values()]
        lines.append(f"| {NAMES[stage]} | {' | '.join(cells)} | {PAPER[stage]} |")
    return "\n".join(lines) + "\n"


def _cell(on: Foretold, model: str, stage: str) -> str:
    (row,) = (row for row in on.rows() if (row.model, row.stage) == (model, stage))
    assert isinstance(row, Row) and row.spent is not None
    return hours(row.spent)


if __name__ == "__main__":
    for path, text in generated().items():
        path.write_text(text, encoding="utf-8")
