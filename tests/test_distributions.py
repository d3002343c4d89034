"""Figures 3, 4, 5 and 7: their numbers by hand, and what their captions say of them."""

from __future__ import annotations

import csv
import html
import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from made_up_run import (
    METHODS,
    PAPER,
    SETTINGS,
    instance,
    instruction,
    make_comparison,
    make_neighbours,
    make_run,
    write_rows,
)
from refine_af.jobs.command_line import run
from refine_af.report.distributions import at_most
from refine_af.report.finished_run import ModelRun, read_instance_scores, read_scores
from refine_af.report.published import Paper, read_paper
from refine_af.report.scores_by_size import caption, score_by_size
from refine_af.settings.report import Report
from report import main


def made(folder: Path, flags: list[str]) -> str:
    """The words of the page, with single spaces."""
    run(main, arguments=flags)
    page = (folder / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


def numbers(folder: Path, name: str) -> list[list[str]]:
    with open(folder / "figures" / f"{name}.csv", newline="") as file:
        return list(csv.reader(file))


def test_at_most() -> None:
    assert at_most([1, 2, 3, 4], 0.5) == 2 and at_most([3, 1, 2], 0.5) == 2
    assert at_most(list(range(1, 11)), 0.9) == 9 and at_most([7], 0.99) == 7
    assert math.isnan(at_most([], 0.5))


REACHED = (0.0, 0.7, 14 / 20, 0.69, 0.75, 1.0)


@pytest.mark.slow
def test_figures_4_and_5(tmp_path: Path) -> None:
    """0.7 lies in the bin that begins there, and 1 in the last; the mean is 3.84 / 6."""
    flags = make_run(tmp_path)
    make_neighbours(tmp_path / "neighbours_tiny.jsonl", REACHED)
    text = made(tmp_path, flags)
    seeds = numbers(tmp_path, "nearest_seeds_tiny")
    assert seeds[0] == ["low", "high", "instructions", "share"]
    assert [row[:3] for row in seeds if row[2] == "6"] == [["0.25", "0.3", "6"]]
    found = {row[0]: row[2] for row in numbers(tmp_path, "nearest_references_tiny")[1:]}
    assert len(found) == 20 and sum(map(int, found.values())) == 6
    counted = {low: count for low, count in found.items() if count != "0"}
    assert counted == {"0.0": "1", "0.65": "1", "0.7": "2", "0.75": "1", "0.95": "1"}
    assert numbers(tmp_path, "figure_5") == [
        ["model", "instructions", "mean_rouge_l", "median_rouge_l", "paper_mean_rouge_l"],
        ["tiny", "6", "0.64", "0.7", "0.62"],
    ]
    assert (
        "with an instruction of the references (figure 5). Of 6 instructions the median is 0.700, "
        "the 90th percentile 1.000 and the highest 1.000; 1 (16.7%) have less than 0.3. The mean "
        "is 0.64. The paper prints approximately 0.62 for its three backbones together: this run "
        "less the paper +0.02."
    ) in text
    assert "was not asked for" not in text


@pytest.mark.slow
def test_a_mean_below_the_papers_is_said_to_be_below(tmp_path: Path) -> None:
    flags = make_run(tmp_path)
    make_neighbours(tmp_path / "neighbours_tiny.jsonl", [0.5] * 6)
    assert "The mean is 0.50." in (text := made(tmp_path, flags))
    assert "this run less the paper −0.12." in text


@pytest.mark.slow
def test_figure_3(tmp_path: Path) -> None:
    """Pool 4, 1, 1, 1, 1 and 100 words; one method's inputs 2 and 3, of the other none."""
    flags = make_run(tmp_path)
    texts = ["a b c d", "a", "b", "c", "d", "x " * 100]
    for k in (0, 1):
        rows = [instruction(3 * k + place, texts[3 * k + place]) for place in range(3)]
        write_rows(tmp_path / f"pool_tiny/{k}" / "instructions.jsonl", rows)
    for method in METHODS:
        inputs = ["two words", "now three words", " \n ", ""]
        for k in (0, 1):
            rows = [
                instance(method, 3 * k + place, text=inputs[2 * k + place]) for place in range(2)
            ]
            rows = [row | {"input": ""} for row in rows] if method == "refine-af" else rows
            write_rows(tmp_path / f"instances_tiny_{method}/{k}" / "instances.jsonl", rows)
    text = made(tmp_path, flags)
    assert numbers(tmp_path, "lengths_tiny") == [
        ["part", "method", "words", "texts"],
        ["instruction", "pool", "1", "4"],
        ["instruction", "pool", "4", "1"],
        ["instruction", "pool", "100", "1"],
        ["input", "self-instruct", "2", "1"],
        ["input", "self-instruct", "3", "1"],
        ["output", "self-instruct", "4", "4"],
        ["output", "refine-af", "4", "4"],
    ]
    assert (
        "as many words as these: instructions of the pool 1 and 100; inputs of self-instruct 2 and "
        "3; outputs of self-instruct 4 and 4; outputs of refine-af 4 and 4. At most"
    ) in text
    table = numbers(tmp_path, "table_5")
    assert table[1][:8] == ["tiny", "self-instruct", "6", "4", "2", "18.0", "2.5", "4.0"]
    assert table[2][:8] == ["tiny", "refine-af", "6", "4", "4", "18.0", "", "4.0"]


Told = tuple[ModelRun, Paper, Report]


def told(folder: Path, apart: dict[str, list[float]]) -> Told:
    """What figure 7 is made of where refine-af lies so far from self-instruct's 20, by size."""
    make_comparison(folder, apart)
    scores = read_scores(folder / "superni_tiny.csv", METHODS)
    of_instances = read_instance_scores(folder / "scores_tiny.csv", scores, METHODS)
    sources = {"tables": ["superni_tiny.csv"], "scores": ["scores_tiny.csv"]}
    run = SimpleNamespace(
        name="tiny",
        sized_by="instructions",
        scores=scores,
        instance_scores=of_instances,
        sources=sources,
    )
    paper = read_paper(sorted(PAPER.glob("*.csv")), folder / "report.html")
    return cast(ModelRun, run), paper, Report.model_validate_json(SETTINGS)


@pytest.mark.parametrize(
    ("apart", "said"),
    [
        ((1, 2, 3), "rise at every step (21.00 to 22.00 to 23.00)"),
        ((3, 2, 1), "fall at every step (23.00 to 22.00 to 21.00)"),
        ((1, 3, 2), "do not rise at every step (21.00 to 23.00 to 22.00)"),
        ((1, 1.001, 2), "do not rise at every step (21.00 to 21.00 to 22.00)"),
    ],
)
def test_a_course_is_said_to_rise_only_where_every_step_does(
    tmp_path: Path, apart: tuple[float, ...], said: str
) -> None:
    sizes = {size: [each] * 4 for size, each in zip(("10", "20", "30"), apart, strict=True)}
    text = caption(*told(tmp_path, sizes))
    assert f"and the points of refine-af {said}." in text
    assert "the points of self-instruct do not rise at every step (20.00 to 20.00 to 20.00)" in text
    assert "each point with its 95% interval for other tasks" in text


def test_one_size_has_no_course_and_one_task_no_interval(tmp_path: Path) -> None:
    figure_7 = told(tmp_path, {"10": [1.0]})
    drawing = score_by_size(*figure_7)
    assert drawing.numbers.to_csv(index=False).splitlines()[-1] == "refine-af,10,21.0,,,"
    assert drawing.sources == ["superni_tiny.csv", "scores_tiny.csv"]
    assert caption(*figure_7) == (
        "ROUGE-L against the number of instructions (figure 7); a horizontal line is an untuned "
        "model, or a copy that takes no model."
    )


@pytest.mark.slow
def test_what_the_paper_prints_stands_beside_its_own_backbone_and_size(tmp_path: Path) -> None:
    flags = make_run(tmp_path, ["mistral-7b"], truth=False)
    for name in ("superni_mistral-7b.csv", "scores_mistral-7b.csv"):
        lines = (tmp_path / name).read_text()
        changed = re.sub(r"(self-instruct|refine-af)([,_])6\b", r"\1\g<2>15000", lines)
        (tmp_path / name).write_text(changed)
    assert "Hollow marks are what the paper prints in table II." in made(tmp_path, flags)
    rows = {tuple(row[:2]): row[-1] for row in numbers(tmp_path, "superni_mistral-7b")}
    assert rows["refine-af", "15000"] == "6.1348" and rows["self-instruct", "15000"] == "5.9986"
    assert rows["refine-af", "3"] == "" == rows["base", ""]
    assert "refine-af, the paper" in (tmp_path / "figures" / "superni_mistral-7b.svg").read_text()
    with open(tmp_path / "figures" / "lineage.csv", newline="") as file:
        of_figure_7 = [file for name, file in csv.reader(file) if name == "superni_mistral-7b"]
    assert of_figure_7[:2] == ["superni_mistral-7b.csv", "scores_mistral-7b.csv"]
    assert of_figure_7[2].endswith("resources/paper/table_2.csv")
