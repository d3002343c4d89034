"""What the report says of a difference follows from the tests of the run's own numbers."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
import yaml

from made_up_run import make_cells, make_comparison, make_ppo, make_run
from refine_af.jobs.command_line import run
from refine_af.records.cells import replicated
from refine_af.report.published import EQUATION_1
from refine_af.settings.reward import Weights
from refine_af.workflow.configuration import read_experiment
from report import main
from tiny import ROOT, demo_config

# Of 10 tasks with an instance each. All on one side: of 2**10 ways to sign them 2 are as far.
UP = (1, 2, 3, 1, 3) * 2
DOWN = tuple(-each for each in UP)
EVEN = (1, -1, 2, -2, 3, -3, 1, -1, 2, -2.5)
BETTER = "higher with 120 (+2.00, p = 0.002)"
WORSE = "lower with 240 (−2.00, p = 0.002)"
UNDECIDED = "not shown to differ with 360 (−0.05, p = "
PARTS = {"120": UP, "240": DOWN, "360": EVEN}


def compared(folder: Path, differences: dict[str, tuple[float, ...]]) -> str:
    """The words of the page on a run whose methods differ so, by size and task."""
    flags = make_run(folder)
    make_comparison(folder, differences)
    return said(folder, flags)


def said(folder: Path, flags: list[str]) -> str:
    """The words of the page, with single spaces."""
    run(main, arguments=flags)
    page = (folder / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", text)).split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sizes", "sentence"),
    [
        (["120"], f"is {BETTER}."),
        (["240"], f"is {WORSE}."),
        (["360"], f"is {UNDECIDED}"),
        (["120", "240", "360"], f"is {BETTER}, {WORSE} and {UNDECIDED}"),
    ],
    ids=["better", "worse", "undecided", "mixed"],
)
def test_methods_are_compared_by_the_tests_of_every_size(
    tmp_path: Path, sizes: list[str], sentence: str
) -> None:
    text = compared(tmp_path, {size: PARTS[size] for size in sizes})
    opening = "Tested at each number of instructions, refine-af's ROUGE-L "
    assert text.count(opening + sentence) == 2  # in the summary, and among the limits
    what = "From self-instruct to refine-af, with {} instructions, ROUGE-L "
    expected = {
        "120": what.format(120) + "rose by 2.000 (95% interval ",
        "240": what.format(240) + "fell by 2.000 (95% interval −",
        "360": f"No difference was shown. {what.format(360)}changed by −0.050 (95% interval −",
    }
    for size, words in expected.items():
        assert (words in text) == (size in sizes)
        summed = f"refine-af less self-instruct, {size} instructions "
        assert (summed in text) == (size in sizes)
    assert "noise" not in text
    for verdict, size in (("rose by 2.000", "120"), ("fell by 2.000", "240")):
        assert (verdict in text) == (size in sizes)
    assert "Shown: every tuned model scores above the base" in text
    course = "With more instructions the points of self-instruct do not rise at every step (20.00"
    assert (course in text) == (len(sizes) > 1)


@pytest.mark.slow
def test_a_tuned_model_below_the_base_is_not_said_to_be_above(tmp_path: Path) -> None:
    """Its mean lies above the base's by 1.5, which one task of the 12 makes."""
    text = compared(tmp_path, {"120": (*[-16.0] * 11, 14.0 * 11 + 40.0)})
    assert "Not shown by this run: every tuned model scores above the base" in text
    assert "is of refine-af, 120: +" in text


@pytest.mark.slow
def test_weights_of_a_runs_own_stand_beside_those_of_the_paper(tmp_path: Path) -> None:
    """Each answer that parsed has four components of .5, of which Eq. 1 makes −.0078 alone.

    0.5 · (.0078 + .3212 + .152 − .4421) − .0274 = −.0079; one answer of eight parses only after,
    and has −.6 before: a mean of −.0819125.
    """
    flags = make_run(tmp_path)
    demo = read_experiment(demo_config()).reward.weights
    flags[flags.index("--weights") + 1] = demo.model_dump_json()
    text = said(tmp_path, flags)
    assert (
        "The reward's weights are this run's own, in brackets those of Eq. 1: coherence +0.4 "
        "(+0.152), naturalness +0.3 (+0.3212), reward model +0.1 (+0.0078), understandability "
        "+0.1 (−0.4421), constant +0 (−0.0274) and unparseable −1 (−0.6)."
    ) in text
    assert "reward by Eq. 1 of the paper −0.082 −0.008 +0.074" in text
    assert "By Eq. 1 the same answers, −0.082 before: their reward changed by +0.074" in text
    assert text.count("The reward, by the run's own weights, on 8 fixed prompts rose") == 2
    assert "reward by Eq. 1 of the paper −0.008 −0.008 +0.000" in text  # of the instances
    paper = said(tmp_path / "paper", make_run(tmp_path / "paper"))
    assert "Eq. 1 of the paper" not in paper and "own weights" not in paper


def test_the_papers_weights_are_those_of_the_papers_experiment() -> None:
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    assert Weights.model_validate(config["reward"]["weights"]) == EQUATION_1


# What ten tasks have above or below 20, with every training.
TASKS = (0, 3, -2, 1, -1, 2, -3, 4, -4, 0)


def with_seeds(folder: Path, refined: list[float], plain: list[float]) -> str:
    """The page of a run with 120 instructions, whose trainings shift every score by so much."""
    cells = {}
    for method, shifts in (("self-instruct", plain), ("refine-af", refined)):
        for number, shift in enumerate(shifts, 1):
            name = replicated(f"{method}_120", number)
            cells[name] = [20 + apart + shift for apart in TASKS]
    flags = make_run(folder)
    make_cells(folder, cells)
    return said(folder, flags)


@pytest.mark.slow
def test_a_difference_of_one_seed_is_not_one_of_three(tmp_path: Path) -> None:
    """The first trainings differ by +2 on every task, which a single run takes as shown."""
    single = with_seeds(tmp_path / "one", [2.0], [0.0])
    assert "refine-af's ROUGE-L is higher with 120 (+2.00, p = 0.002)." in single
    assert single.count("Each cell was trained once: how far another seed") == 2
    assert "This is one run with one seed." in single
    assert (
        "Here too each cell was trained once: how far apart two seeds lie is not known." in single
    )
    # Refine-af's means are +2, −4 and +1, so its own are −1/3 ± 3.2 (SD); self-instruct's 0, 1, −1.
    three = with_seeds(tmp_path / "three", [2.0, -4.0, 1.0], [0.0, 1.0, -1.0])
    assert "refine-af's ROUGE-L is not shown to differ with 120 (−0.33, p = 0." in three
    assert "No difference was shown. From self-instruct to refine-af, with 120 " in three
    assert "The t test over tasks and seeds gives p = 0." in three
    told = "Trained were self-instruct with 3 seeds of fine-tuning and refine-af with 3 seeds of "
    told += (
        "fine-tuning. Intervals and p know of these seeds; but stage 2 was trained once, so that "
    )
    assert told + "its seed is in neither." in three
    assert "refine-af, 120 3 19.67 " in three and " 3.21 22.00, 16.00, 21.00" in three
    assert "ROUGE-L of refine-af, 120 instructions 19.67 (SD 3.21 of 3)" in three
    assert "standard deviation of 1.00 to 3.21 ROUGE-L (2 cells trained several times)" in three
    assert "trained once: how far" not in three and "one run with one seed" not in three
    assert "permutation" not in three.partition("Super-NI, zero-shot")[2].partition("Ratings")[0]


@pytest.mark.slow
def test_a_difference_that_every_seed_has_is_shown(tmp_path: Path) -> None:
    text = with_seeds(tmp_path, [9.0, 9.5, 8.5], [0.0, 0.5, -0.5])
    assert "refine-af's ROUGE-L is higher with 120 (+9.00, p < 0.001)." in text
    worse = with_seeds(tmp_path / "worse", [-9.0, -9.5, -8.5], [0.0, 0.5, -0.5])
    assert "refine-af's ROUGE-L is lower with 120 (−9.00, p < 0.001)." in worse


@pytest.mark.slow
def test_one_method_with_several_seeds_tells_nothing_of_the_others(tmp_path: Path) -> None:
    text = with_seeds(tmp_path, [9.0, 9.5, 8.5], [0.0])
    assert "Trained were self-instruct once and refine-af with 3 seeds of fine-tuning." in text
    assert (
        "but self-instruct was trained once, so that its seeds are in neither and stage 2" in text
    )


@pytest.mark.slow
def test_seeds_of_stage_2_are_told_apart_and_averaged(tmp_path: Path) -> None:
    """Two runs of stage 2: the reward rises in the first, falls by as much in the second."""
    flags = make_run(tmp_path)
    make_ppo(tmp_path / "ppo_tiny_r2", alarm=True, falls=True)
    flags.insert(flags.index("--ppo") + 2, str(tmp_path / "ppo_tiny_r2"))
    names = ["self-instruct_120", "refine-af_120", "refine-af_r2_120"]
    names += ["refine-af_120_r2", "refine-af_r2_120_r2", "self-instruct_120_r2"]
    make_cells(tmp_path, {name: [20.0 + n + t for t in TASKS] for n, name in enumerate(names)})
    text = said(tmp_path, flags)
    assert "PPO ran with 2 seeds." in text
    assert "That reward is of the first of 2 seeds of stage 2." in text
    assert "All that is told here of refine-af is of the first of 2 seeds" in text
    assert "Each cell's first training is told here, of several." in text
    assert "alarms of reward hacking 1" in text  # of the second run; the first raised none
    lineage = (tmp_path / "figures" / "lineage.csv").read_text()
    assert "answers_tiny,ppo_tiny\n" in lineage and "ppo_tiny_r2" not in lineage
    # Spearman .9 and −.9; the reward +.375 and −.375.
    assert "of step and mean reward: +0.00 on average, SD 1.27, −0.90 to 0.90." in text
    assert (
        "The reward on fixed prompts changed: +0.000 on average, SD 0.530, −0.375 to 0.375" in text
    )
    assert "seed 1 0.90 0.90 0.250 0.625 +0.375" in text
    assert "seed 2 −0.90 " in text and "0.250 −0.125 −0.375" in text
    told = (
        "refine-af with 2 seeds of stage 2 and 2 of fine-tuning after each. Intervals and p know "
    )
    assert told + "of these seeds." in text
    # Runs of stage 2 are what counts: 21 and 23, 22 and 24 are means of 22 and 23.
    assert "refine-af, 120 4 22.50 " in text and " 1.29 21.00, 22.00, 23.00, 24.00" in text
    assert "An interval over prompts says how sure a mean of one training of stage 2 is" in text
