"""A scorer of the user's own takes the judges' place, and is held to what it promises."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

import instances as stage3
import ppo as stage2
from policies import COMPUTE, SETTINGS, WATCH, ppo_settings
from refine_af.errors import InputError
from refine_af.files.rows import read_records, write_records
from refine_af.instances.replies import AskedReply
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction
from refine_af.rewards.equation_1 import check_judges
from refine_af.rewards.own_code import module_file
from refine_af.rewards.scorer import Triplet
from refine_af.rewards.scorers import Judge, load_scorer
from refine_af.settings.compute import PpoMachine
from refine_af.settings.instances import Instances
from refine_af.settings.reward import Reward
from refine_af.settings.watch import ParsedWatch, PpoWatch
from tiny import ROOT, demo_config, tiny_config, write_experiment
from workflow import snakemake

TWO = [Triplet("Say it.", "", "It is."), Triplet("Sort.", "b a", "a b c d")]
HOW_TO = (ROOT / "docs" / "how-to.md").read_text()
EXAMPLE = re.search(r"```python\n(class .*?)```", HOW_TO, re.S)[1]  # type: ignore[index]
SECTION = re.search(r"```yaml\n(reward:\n  scorer: my_reward.*?)```", HOW_TO, re.S)[1]  # type: ignore[index]
BRIEF: dict[str, Any] = yaml.safe_load(SECTION)["reward"]


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An experiment's folder, in which jobs run; what is imported from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("mine", "my_reward"):
        sys.modules.pop(name, None)


def reward(scorer: str = "mine.Scorer", /, **weights: float) -> Reward:
    weighed = weights or {"a": 1.0}
    given = BRIEF | {"scorer": scorer, "weights": weighed | {"constant": 0.0, "unparseable": -1.0}}
    return Reward.model_validate(given)


def judge_of(code: str, folder: Path) -> Judge:
    (folder / "mine.py").write_text(code)
    return load_scorer(reward(), Path("model"), None)


def test_the_readmes_scorer_scores(experiment: Path) -> None:
    (experiment / "my_reward.py").write_text(EXAMPLE)
    judge = load_scorer(Reward.model_validate(BRIEF), None, None)
    assert judge(TWO) == [{"brief": 1 / 3, "fits": 1.0}, {"brief": 1 / 5, "fits": 1.0}]
    assert judge([]) == []
    assert judge([Triplet("x", "", "a " * 40)]) == [{"brief": 1 / 41, "fits": 0.0}]


def test_a_function_that_makes_one_is_given_the_settings_and_the_checkpoints(
    experiment: Path,
) -> None:
    judge = judge_of(
        "import numpy as np\n"
        "def Scorer(settings, model, evaluator):\n"
        "    assert str(model) == 'model' and evaluator is None and settings.weights.model_extra\n"
        "    return lambda triplets: tuple({'a': np.float32(1.5)} for _ in triplets)\n",
        experiment,
    )
    assert judge(TWO) == [{"a": 1.5}] * 2
    assert {type(row["a"]) for row in judge(TWO)} == {float}, "as JSON can hold it"


WORKS = "class Scorer:\n    def __init__(self, settings, model, evaluator): pass\n"
FAULTS = {
    "does not import": ("import no_such_library", "cannot be imported: No module named 'no_such_"),
    "no Python": ("class", "cannot be imported: invalid syntax"),
    "another name": ("class Other: pass", r"in .*/mine\.py there is no Scorer, and no class or"),
    "a number": ("Scorer = 3", r"in .*/mine\.py Scorer is 3, and no class or function"),
    "takes one value": (
        "class Scorer:\n    def __init__(self, settings): pass",
        "cannot be called with settings, model and evaluator: too many positional arguments",
    ),
    "makes no callable": (WORKS, "makes <mine.Scorer object .*, which cannot be called"),
    "a row too few": (
        "    def __call__(self, rows): return []",
        "gives 0 for 1 triplets, not a row",
    ),
    "no list": ("    def __call__(self, rows): return 0.5", "gives 0.5 for 1 triplets, not a row"),
    "a bare number": (
        "    def __call__(self, rows): return [0.5]",
        r"gives 0\.5 for Triplet\(.*\), no named components",
    ),
    "text": (
        "    def __call__(self, rows): return [{'a': '1'}]",
        r"a is '1' for Triplet\(.*\), no number",
    ),
    "yes": ("    def __call__(self, rows): return [{'a': True}]", "a is True for Triplet"),
    "nothing": ("    def __call__(self, rows): return [{'a': None}]", "a is None for Triplet"),
    "not a number": (
        "    def __call__(self, rows): return [{'a': float('nan')}]",
        "a is nan for Triplet",
    ),
    "huge": (
        "    def __call__(self, rows): return [{'a': 10**400}]",
        r"a is 10+… for Triplet\(.*\), no number from -1e\+12 to 1e\+12",
    ),
    "infinite": ("    def __call__(self, rows): return [{'a': 1e999}]", "a is inf for Triplet"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_scorer_that_cannot_serve_is_named_before_any_work(fault: str, experiment: Path) -> None:
    code, message = FAULTS[fault]
    code = WORKS + code if code.startswith(" ") else code
    with pytest.raises(InputError, match=rf"^reward\.scorer mine\.Scorer: {message}"):
        judge_of(code, experiment)


def test_a_module_that_is_nowhere_is_named(experiment: Path) -> None:
    with pytest.raises(InputError, match=r"scorer gone\.Scorer: .* No module named 'gone'"):
        load_scorer(reward("gone.Scorer"), None, None)


def test_what_the_scorers_own_code_raises_is_its_authors_to_see(experiment: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        judge_of(WORKS + "    def __call__(self, rows): return [{'a': 1 / 0}]", experiment)


def test_weights_must_be_those_of_its_components(experiment: Path) -> None:
    (experiment / "mine.py").write_text(
        WORKS + "    def __call__(self, rows): return [{'b': 1, 'a': 2} for _ in rows]\n"
    )
    judge = load_scorer(reward(a=1.0, b=0.0), None, None)
    assert judge(TWO[:1]) == [{"b": 1.0, "a": 2.0}]
    for names in (["a"], ["a", "b", "c"]):
        said = rf"^reward\.weights are for {', '.join(names)}, and mine\.Scorer gives a, b$"
        with pytest.raises(InputError, match=said):
            load_scorer(reward(**dict.fromkeys(names, 1.0)), None, None)


def test_a_scorer_that_breaks_its_word_later_is_named(experiment: Path) -> None:
    judge = judge_of(
        WORKS + "    def __call__(self, rows):\n"
        "        return [{'a': 1.0 if r.input == '' else float('inf')} for r in rows]\n",
        experiment,
    )
    assert judge(TWO[:1]) == [{"a": 1.0}]
    with pytest.raises(InputError, match=r"mine\.Scorer: a is inf for Triplet\(instruction='Sort"):
        judge(TWO)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scorer": "no_module"}, "scorer"),
        ({"scorer": "a..b"}, "scorer"),
        ({"weights": {"constant": 0.0, "unparseable": 0.0}}, "no component has a weight"),
        ({"weights": BRIEF["weights"] | {"reward": 1.0}}, "reward: no name for a component"),
        ({"weights": BRIEF["weights"] | {"a b": 1.0}}, "a b: no name for a component"),
        ({"weights": BRIEF["weights"] | {"a\nb": 1.0}}, r"a\\nb: no name for a component"),
        ({"weights": BRIEF["weights"] | {"a" * 101: 1.0}}, r"a{70,}: no name for a component"),
        ({"weights": BRIEF["weights"] | {"a": "b"}}, r"weights\.a"),
        ({"weights": BRIEF["weights"] | {"a": float("nan")}}, r"weights\.a"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Reward.model_validate(BRIEF | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "^reward: .*Scorer needs both judges, model and evaluator"),
        (
            {"weights": BRIEF["weights"]},
            "^reward.weights are for brief, fits, and .*Scorer gives coherence, natur",
        ),
        ({"max_length": 31}, r"^reward.max_length 31: .*at least 32"),
    ],
)
def test_the_judges_are_given_what_they_need(changes: dict[str, Any], message: str) -> None:
    paper = yaml.safe_load((ROOT / "config.yaml").read_text())["reward"]
    check_judges(Reward.model_validate(paper))
    settings = Reward.model_validate(paper | changes)
    with pytest.raises(InputError, match=message):
        check_judges(settings)
    with pytest.raises(InputError, match=message):
        load_scorer(settings, Path("model"), Path("evaluator"))


def test_its_file_is_found_without_an_import(tmp_path: Path) -> None:
    mine, root = tmp_path / "mine", tmp_path / "root"
    for path in ("mine/a.py", "root/a.py", "root/package/__init__.py", "root/package/b.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("raise SystemExit")
    homes = (mine, root)
    assert module_file("a.Name", homes) == mine / "a.py"
    assert module_file("package.Name", homes) == root / "package" / "__init__.py"
    assert module_file("package.b.Name", homes) == root / "package" / "b.py"
    assert module_file("json.JSONDecoder", homes) is None


@pytest.fixture
def given(experiment: Path, world: Path) -> dict[str, Any]:
    """What stage 2 is given to train on the README's scorer: one step, without any judge."""
    (experiment / "my_reward.py").write_text(EXAMPLE)
    rows = [
        Instruction(f"i{n:06}", text, 1, 0, [], "", 0.0, "", 0.0, 9, 9)
        for n, text in enumerate(["Sort.", "Say it.", "Name one.", "Add 1."])
    ]
    write_records(experiment / "segment" / "instructions.jsonl", rows)
    sampling = SETTINGS["sampling"] | {"temperature": 0.7, "stop": ["Do"]}
    return {
        "settings": ppo_settings(steps=1, sampling=sampling, samples_every=1),
        "reward": Reward.model_validate(BRIEF),
        "watch": PpoWatch.model_validate(WATCH | {"least_parsed": 0.0}),
        "compute": PpoMachine.model_validate(COMPUTE),
        "chat": False,
        "backbone": world / "llama",
        "reward_model": None,
        "evaluator": None,
        "judge_prompt": None,
        "judge_server": None,
        "report_to": [],
        "curves": experiment / "curves",
        "instructions": experiment / "segment",
        "prompt": world / "instances.txt",
        "progress": experiment / "kept",
        "ppo": experiment / "ppo",
    }


def test_ppo_trains_on_it_and_starts_anew_after_an_edit(
    given: dict[str, Any], experiment: Path
) -> None:
    stage2.main(**given)
    head = (experiment / "ppo" / "metrics.csv").read_text().splitlines()[0]
    scores = "step,reward_mean,reward_sd,brief_mean,brief_sd,fits_mean,fits_sd,kl,"
    assert head.startswith(scores)
    rows = list(map(json.loads, (experiment / "ppo" / "samples.jsonl").open()))
    parsed = [row for row in rows if row["output"] is not None]
    assert parsed
    for row in parsed:
        brief = 1 / (1 + len(row["output"].split()))
        assert row["components"] == {"brief": brief, "fits": 1.0}
        assert row["reward"] == pytest.approx(brief + 0.5)
    assert all(row["components"] is None for row in rows if row not in parsed)

    (experiment / "my_reward.py").write_text(EXAMPLE.replace("1 / (1 + count)", "2 / (1 + count)"))
    sys.modules.pop("my_reward")
    stage2.main(**given | {"ppo": experiment / "edited"})
    (edited,) = [
        row
        for row in map(json.loads, (experiment / "edited" / "samples.jsonl").open())
        if row["instruction_id"] == parsed[0]["instruction_id"]
    ]
    assert edited["components"]["brief"] == 2 * parsed[0]["components"]["brief"]
    assert len([path for path in given["progress"].iterdir() if path.is_dir()]) == 2


def test_stage_3_keeps_its_components(given: dict[str, Any], experiment: Path) -> None:
    config = demo_config()
    settings = Instances.model_validate(config["instances"] | {"prompts_per_round": 8})
    replies = [
        AskedReply(0, n, f"Input: x\nOutput: {'a ' * n}b\n", "stop", 9, 5, "input first")
        for n in range(4)
    ]
    write_records(experiment / "replies.jsonl", replies)
    stage3.segment(
        settings=settings,
        reward=given["reward"],
        watch=ParsedWatch(least_parsed=0.0, least_identified=0.0, patience=9),
        method="self-instruct",
        instructions=experiment / "segment",
        replies=[experiment / "replies.jsonl"],
        ppo=None,
        reward_model=None,
        evaluator=None,
        judge_prompt=None,
        judge_server=None,
        progress=experiment / "scored",
        segment=experiment / "instances",
    )
    rows = read_records(experiment / "instances" / "instances.jsonl", Instance)
    briefs = [1 / (2 + n) for n in range(4)]
    assert [row.components for row in rows] == [{"brief": brief, "fits": 1.0} for brief in briefs]
    assert [row.reward for row in rows] == pytest.approx([brief + 0.5 for brief in briefs])


def test_the_workflow_reruns_what_an_edited_scorer_scored(world: Path, tmp_path: Path) -> None:
    """Its code is a param of the rules that score, and null judges are inputs of none."""
    config = tiny_config(world)
    config["reward"] = BRIEF
    folder = write_experiment(tmp_path / "experiment", config)
    (folder / "my_reward.py").write_text("raise SystemExit('imported to plan')")
    done = snakemake("-n", "--cores", 1, "--resources", "gpu=1", "--directory", folder)
    assert done.returncode == 0, done.stdout
    inputs = re.findall(r"^rule (\w+):\n    input: (.*)", done.stdout, re.M)
    assert not any(str(world / "evaluator") in files for _, files in inputs)
    texts = (ROOT / "rules" / "ppo.smk").read_text() + (
        ROOT / "rules" / "instances.smk"
    ).read_text()
    scoring = re.findall(r"code=plan\.code\(\"(\w+)\"\),\n +scorer=plan\.scorer,", texts)
    assert scoring == ["ppo", "instances"]
