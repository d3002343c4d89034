"""Alarms: each rule at its bound by hand, silence on noise, and what real PPO sets off."""

from __future__ import annotations

import random
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import ppo as stage2
from policies import COMPUTE, SETTINGS, WATCH, ppo_settings
from refine_af.errors import InputError
from refine_af.files.rows import write_records
from refine_af.ppo.alarm import Alarm, alarms, new_alarms, text_figures
from refine_af.ppo.policy import new_policy
from refine_af.ppo.rollouts import Environment
from refine_af.ppo.training import PpoTrainer, Step
from refine_af.prompts.templates import prompt_of
from refine_af.records.instructions import Instruction
from refine_af.rewards.equation_1 import COMPONENTS
from refine_af.rewards.scorer import Triplet
from refine_af.settings.compute import PpoMachine
from refine_af.settings.reward import Reward, Weights
from refine_af.settings.watch import Alarms, PpoWatch
from tiny import ROOT, make_taught

Row = dict[str, Any]

BOUNDS = Alarms(
    action="warn",
    window=2,
    kl=8.0,
    length=2.0,
    parse_rate=0.25,
    distinct=0.5,
    effect_size=0.5,
    flat_effect_size=0.125,
    min_standard_errors=3.0,
)


def row(step: int, **changes: float | str) -> Row:
    """A step whose scores all have mean 0 and standard deviation 2."""
    scores = {f"{name}_mean": 0.0 for name in ("reward", *COMPONENTS)}
    spread = {f"{name}_sd": 2.0 for name in ("reward", *COMPONENTS)}
    calm = {"kl": 1.0, "response_length": 10.0, "parse_rate": 0.75}
    return {"step": step, **scores, **spread, **calm, "distinct_1": 0.5, "distinct_2": 1} | changes


def course(*lasts: Mapping[str, float | str], calm: int = 2) -> list[Row]:
    """`calm` steps, then one for each of `lasts`."""
    firsts = [row(step) for step in range(1, calm + 1)]
    return firsts + [row(calm + place, **last) for place, last in enumerate(lasts, 1)]


def found(rows: Sequence[Row], **changes: Any) -> list[tuple[str, int, float]]:
    settings = BOUNDS.model_copy(update=changes)
    return [(alarm.name, alarm.step, alarm.value) for alarm in alarms(rows, settings)]


@pytest.mark.parametrize(
    ("name", "column", "at", "beyond", "value"),
    [
        # means of two steps: 8 is the bound; (8 + 8.5) / 2 is beyond
        ("KL", "kl", 8.0, 8.5, 8.25),
        ("longer replies", "response_length", 20.0, 21.0, 2.05),
        ("shorter replies", "response_length", 5.0, 4.0, 0.45),
        ("parse rate", "parse_rate", 0.5, 0.25, 0.375),
        ("distinct-1", "distinct_1", 0.25, 0.125, 0.375),
        ("distinct-2", "distinct_2", 0.5, 0.25, 0.375),
    ],
)
def test_a_rule_fires_beyond_its_bound(
    name: str, column: str, at: float, beyond: float, value: float
) -> None:
    assert found(course(*[{column: at}] * 6)) == []
    assert found(course({column: at}, {column: beyond})) == [(name, 4, value)]
    # One odd step of two does not reach, and what was at the start raises nothing later on.
    middle = (at + row(1)[column]) / 2
    assert found(course({column: middle}, {column: at}, {column: middle})) == []


def test_only_the_kl_has_a_bound_of_its_own_in_the_first_window() -> None:
    strange = {"response_length": 500.0, "parse_rate": 0.0, "distinct_1": 0.01, "reward_mean": 9.0}
    assert found([row(step, **strange) for step in range(1, 9)]) == []
    # A third step shares the second with the first window.
    assert (
        found(course({"response_length": 90.0, "reward_mean": 9.0, "coherence_mean": -9.0})) == []
    )
    assert found([row(1, kl=9.0), row(2, kl=9.0)]) == [("KL", 2, 9.0)]
    assert found([row(1, kl=99.0)]) == []


def test_the_parse_rate_falls_from_its_best_and_not_from_its_start() -> None:
    rates = [0.25, 0.25, 1.0, 1.0, 0.5, 0.5]
    rows = [row(step, parse_rate=rate) for step, rate in enumerate(rates, 1)]
    assert found(rows[:5]) == [] and found(rows) == [("parse rate", 6, 0.5)]
    rates = [0.25, 0.5, 0.75, 1.0, 1.0]
    assert found([row(step, parse_rate=rate) for step, rate in enumerate(rates, 1)]) == []


def test_a_component_that_falls_while_the_reward_rises() -> None:
    up, down = {"reward_mean": 1.5}, {"coherence_mean": -1.5}
    # 1.5 in standard deviations of 2 is 0.75; at 1.0, which is 0.5, nothing fires
    assert found(course(*[up | down] * 2)) == [("coherence falls", 4, -0.75)]
    assert found(course(*[up | {"coherence_mean": -1.0}] * 2)) == []
    assert found(course(*[down | {"reward_mean": 1.0}] * 2)) == []
    assert found(course(*[down] * 2)) == [] and found(course(*[up] * 2)) == []


def test_a_change_is_measured_by_the_spread_of_both_windows() -> None:
    wide = {"reward_sd": 28**0.5, "coherence_sd": 28**0.5}  # (2² + 28) / 2 = 4²
    moved = {"reward_mean": 3.0, "coherence_mean": -3.0}
    ((name, step, change),) = found(course(*[wide | moved] * 2))
    assert (name, step) == ("coherence falls", 4) and change == pytest.approx(-0.75)


def test_the_reward_rises_by_one_component_alone() -> None:
    alone = {"reward_mean": 1.5, "reward_model_mean": 1.5}
    assert found(course(*[alone] * 2)) == [("one component", 4, 0.0)]
    # another rises by 0.25 / 2 = 0.125, the bound, with it
    assert found(course(*[alone | {"coherence_mean": 0.25}] * 2)) == []
    assert found(course(*[alone | {"coherence_mean": 0.125}] * 2)) == [("one component", 4, 0.0625)]
    assert found(course(*[alone | {"reward_mean": 1.0}] * 2)) == []
    assert found(course(*[alone | {"reward_model_mean": 1.0}] * 2)) == []


def test_a_change_of_scores_below_the_noise_of_steps_is_none() -> None:
    # Means of the last two are 1.5 and −1.5, but each mean's standard error is 1.
    noisy = [
        {"reward_mean": 2.5, "coherence_mean": -2.5},
        {"reward_mean": 0.5, "coherence_mean": -0.5},
    ]
    assert found(course(*noisy)) == []
    assert found(course(*noisy), min_standard_errors=1.4) == [("coherence falls", 4, -0.75)]


def test_an_alarm_names_its_first_step_and_later_rows_change_none() -> None:
    rows = course(*[{"kl": 9.0}] * 2, {"kl": 0.0}, *[{"kl": 20.0, "response_length": 30.0}] * 2)
    assert found(rows) == [("KL", 4, 9.0), ("longer replies", 7, 3.0)]
    for end in range(len(rows) + 1):
        known = [alarm for alarm in alarms(rows, BOUNDS) if alarm.step <= end]
        assert alarms(rows[:end], BOUNDS) == known


def test_text_of_a_file_and_numbers_are_the_same_and_gaps_tell_nothing() -> None:
    gap: Row = {"kl": 9.0, "coherence_mean": "", "coherence_sd": ""}
    rows = course(gap, gap)
    texts = [{name: str(value) for name, value in entry.items()} for entry in rows]
    assert alarms(texts, BOUNDS) == alarms(rows, BOUNDS)
    assert alarms(rows, BOUNDS) == [
        Alarm(
            "KL",
            4,
            9.0,
            8.0,
            "the KL to the reference was 9 nats a reply over 2 steps, above 8",
        )
    ]
    old = [{"step": entry["step"], "kl": entry["kl"]} for entry in texts]
    assert [alarm.name for alarm in alarms(old, BOUNDS)] == ["KL"]
    assert alarms([], BOUNDS) == []
    silent = [row(step, distinct_1="", distinct_2="", parse_rate=0.0) for step in range(1, 9)]
    assert alarms(silent, BOUNDS) == []


def test_an_alarm_is_said_once_or_ends_the_stage_for_good() -> None:
    rows = course(*[{"kl": 9.0}] * 4)
    assert [len(new_alarms(rows[:end], BOUNDS)) for end in range(7)] == [0, 0, 0, 0, 1, 0, 0]
    strict = BOUNDS.model_copy(update={"action": "error"})
    assert new_alarms(rows[:3], strict) == []
    for end in (4, 6):  # killed by it and called again, the stage stands beyond that step
        with pytest.raises(InputError, match=r"\n  step 4: the KL .* 9 nats .* above 8$"):
            new_alarms(rows[:end], strict)


def test_replies_that_begin_empty_raise_nothing() -> None:
    rows = [row(step, response_length=0.0 if step < 3 else 9.0) for step in range(1, 9)]
    assert found(rows) == []


def test_distinct_words_by_hand() -> None:
    # words a b a | a b, of which two differ; pairs ab ba | ab, of which two differ
    assert text_figures(["a b a", "a\nb"]) == {"distinct_1": 2 / 5, "distinct_2": 2 / 3}
    assert text_figures(["one", "two"]) == {"distinct_1": 1.0, "distinct_2": ""}
    assert text_figures(["", " "]) == text_figures([]) == {"distinct_1": "", "distinct_2": ""}


def papers_bounds() -> Alarms:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    return Alarms.model_validate(config["watch"]["ppo"]["alarm"])


@pytest.mark.slow
@pytest.mark.parametrize("rise", [0.0, 0.3])
def test_the_papers_bounds_are_silent_on_noise(rise: float) -> None:
    """Runs of 200 steps of 16 rollouts, four in five parsed.

    The reward stays, or rises by 0.75 standard deviations and every component by 0.6.
    """
    draw = np.random.default_rng(0)
    bounds = papers_bounds()
    raised = 0
    for _ in range(50):
        rows = []
        for step in range(1, 201):
            parsed = max(2, draw.binomial(16, 0.8))
            shift = rise * step / 200
            scores = {
                "reward": draw.normal(shift, 0.4, 16),
                "reward_model": draw.normal(5 * shift, 2.5, parsed),
                "naturalness": 0.3 * shift + draw.beta(4, 1, parsed),
                "coherence": 0.5 * shift + draw.beta(2, 2, parsed),
                "understandability": 0.2 * shift + draw.beta(8, 1, parsed),
            }
            rows.append(
                row(step)
                | {f"{name}_mean": values.mean() for name, values in scores.items()}
                | {f"{name}_sd": values.std(ddof=1) for name, values in scores.items()}
                | {
                    "kl": draw.normal(6, 3),
                    "response_length": draw.gamma(2, 50, 16).mean(),
                    "parse_rate": parsed / 16,
                    "distinct_1": draw.normal(0.6, 0.06),
                    "distinct_2": draw.normal(0.8, 0.05),
                }
            )
        raised += bool(alarms(rows, bounds))
    assert raised <= 1


PROMPT = "Task: Sort the list.\nOutput: 1 2\nTask: {instruction}\n"
WORDS = ["1", "2", "3", "Yes", "No", "Sort", "list", "Say", "Name", "Add"]


@pytest.fixture(scope="module")
def answering(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama, taught in seconds to write an output of one to four different words."""

    def text(rng: random.Random) -> str:
        asked = PROMPT.replace("{instruction}", f"Say {rng.choice(WORDS)}.")
        return f"{asked}Output: {' '.join(rng.sample(WORDS, rng.randint(1, 4)))}\nTask"

    folder = tmp_path_factory.mktemp("answering")
    make_taught(folder, tiny_llama, text, steps=150)
    return folder


def trained(
    backbone: Path, judge: Callable[[Triplet], dict[str, float]], **changes: Any
) -> list[Step]:
    from refine_af.models.backbones import load_tokenizer

    weights = dict.fromkeys(COMPONENTS, 0.25) | {"constant": 0.0, "unparseable": -1.0}
    settings = ppo_settings(
        **{
            "steps": 16,
            "rollouts": 32,
            "batch_size": 32,
            "gradient_accumulation_steps": 1,
            "epochs": 2,
            "learning_rate": 0.01,
            "value_learning_rate": 0.01,
            "kl": {"coefficient": 0.001, "adaptive": False, "target": 6.0, "horizon": 10000.0},
            "sampling": SETTINGS["sampling"] | {"max_new_tokens": 40},
        }
        | changes
    )
    environment = Environment(
        tokenizer=load_tokenizer(backbone),
        prompt=prompt_of(PROMPT, {"instruction"}, "here"),
        sampling=settings.sampling,
        judge=lambda triplets: [judge(triplet) for triplet in triplets],
        weights=Weights.model_validate(weights),
    )
    asked = [
        Instruction(f"i{place}", f"Say {word}.", 1, 0, [], "", 0.0, "", 0.0, 9, 9)
        for place, word in enumerate(WORDS * 4)
    ]
    policy = new_policy(backbone, settings.lora, quantization="none", seed=0)
    return list(PpoTrainer(policy, environment, settings).train(asked))


def named(steps: Sequence[Step]) -> set[str]:
    """The alarms of a run, from its lines of metrics.csv."""
    rows = [
        step.metrics
        | text_figures([rollout.pair.output for rollout in step.rollouts if rollout.pair])
        for step in steps
    ]
    bounds = BOUNDS.model_copy(update={"window": 4, "kl": 10.0, "flat_effect_size": 0.1})
    return {alarm.name for alarm in alarms(rows, bounds)}


def test_a_reward_that_pays_for_length_is_hacked_and_noticed(answering: Path) -> None:
    def judge(triplet: Triplet) -> dict[str, float]:
        return dict.fromkeys(COMPONENTS, 0.5) | {"reward_model": len(triplet.output) / 10}

    steps = trained(answering, judge)
    # The hack is real: half as much again is paid, for outputs that say less and less. Of three
    # seeds under each of default, avx2 and avx512 the least was 2.3 times as much, and the last of
    # these alarms came at step 12.
    first, last = rewards(steps)
    assert last > 1.5 * first
    assert {"KL", "longer replies", "one component"} <= named(steps)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_reward_for_real_words_raises_no_alarm(answering: Path, seed: int) -> None:
    """Every component is the share of words that are such, and said for the first time.

    The penalty keeps the policy by the backbone: without it to say one word always is paid best,
    and whether that is found in time hangs on the seed. Of seven seeds under each of default, avx2
    and avx512 none raised an alarm: the KL reached 1.5 of 10 nats, the replies kept 0.77 to 1.17 of
    their length, the outputs two thirds of their distinct words; the reward rose by .06 to .21.
    """

    def judge(triplet: Triplet) -> dict[str, float]:
        words = triplet.output.split()
        return dict.fromkeys(COMPONENTS, len(set(words) & set(WORDS[:8])) / len(words))

    kl = {"coefficient": 0.1, "adaptive": False, "target": 6.0, "horizon": 10000.0}
    steps = trained(answering, judge, seed=seed, steps=12, learning_rate=0.005, kl=kl)
    first, last = rewards(steps)
    assert last > first + 0.02
    assert named(steps) == set()


def rewards(steps: Sequence[Step]) -> tuple[float, float]:
    """The mean reward of the first four steps, and of the last four."""
    means = [step.metrics["reward_mean"] for step in steps]
    return statistics.fmean(means[:4]), statistics.fmean(means[-4:])


class Lengthy:
    """A scorer that pays for length."""

    def __init__(self, settings: Reward, model: Path | None, evaluator: Path | None) -> None:
        pass

    def __call__(self, triplets: Sequence[Triplet]) -> list[dict[str, float]]:
        return [{"length": len(triplet.output) / 10} for triplet in triplets]


@pytest.fixture
def hackable(answering: Path, tmp_path: Path) -> dict[str, Any]:
    """What stage 2 is given to train on that scorer alone, but where it writes."""
    rows = [
        Instruction(f"i{place:06}", f"Say {word}.", 1, 0, [], "", 0.0, "", 0.0, 9, 9)
        for place, word in enumerate(WORDS * 4)
    ]
    write_records(tmp_path / "segment" / "instructions.jsonl", rows)
    (tmp_path / "prompt.txt").write_text(PROMPT)
    weights = {"length": 1.0, "constant": 0.0, "unparseable": -1.0}
    reward = {"scorer": f"{__name__}.Lengthy", "model": None, "evaluator": None, "max_length": 9}
    settings = ppo_settings(
        steps=7,
        rollouts=16,
        batch_size=16,
        gradient_accumulation_steps=1,
        learning_rate=0.01,
        value_learning_rate=0.01,
        kl={"coefficient": 0.001, "adaptive": False, "target": 6.0, "horizon": 10000.0},
        sampling=SETTINGS["sampling"] | {"max_new_tokens": 40},
    )
    return {
        "settings": settings,
        "reward": Reward.model_validate(reward | {"weights": weights}),
        "compute": PpoMachine.model_validate(COMPUTE | {"checkpoint_every": 3}),
        "chat": False,
        "backbone": answering,
        "reward_model": None,
        "evaluator": None,
        "judge_prompt": None,
        "judge_server": None,
        "report_to": [],
        "curves": tmp_path / "curves",
        "instructions": tmp_path / "segment",
        "prompt": tmp_path / "prompt.txt",
    }


def watching(action: str) -> PpoWatch:
    """The first alarm is of the length, at step 4, the first that can raise it.

    There the replies were 1.35 to 2 times as long, with six seeds under each of default, avx2 and
    avx512; no other alarm came before.
    """
    bounds = WATCH["alarm"] | {"action": action, "window": 2, "length": 1.2}
    return PpoWatch.model_validate(WATCH | {"alarm": bounds})


def test_a_stage_that_an_alarm_ended_goes_on_with_warn_as_if_it_had_not(
    hackable: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    places = [
        {"progress": tmp_path / name / "kept", "ppo": tmp_path / name / "ppo"}
        for name in ("warned", "ended")
    ]
    stage2.main(**hackable | places[0], watch=watching("warn"))
    told = re.findall(r"alarm at step (\d+): (.*)", capsys.readouterr().out)
    first, words = told[0]
    assert " times as long as at the start " in words and 3 < int(first) < 7
    sounded = "\n".join(f"  step {step}: {said}" for step, said in told if step == first)

    for _ in range(2):  # started again with the same bounds it ends at the same step
        with pytest.raises(InputError, match=r"watch\.ppo\.alarm\.action is error") as ended:
            stage2.main(**hackable | places[1], watch=watching("error"))
        assert str(ended.value).endswith(f"the same command goes on:\n{sounded}")
        assert not places[1]["ppo"].exists()
    capsys.readouterr()
    stage2.main(**hackable | places[1], watch=watching("warn"))
    assert "going on after step 3\n" in capsys.readouterr().out
    names = {path.relative_to(places[0]["ppo"]) for path in places[0]["ppo"].rglob("*.*")}
    assert Path("alarms.csv") in names
    for name in names - {Path("timing.csv")}:
        assert (places[1]["ppo"] / name).read_bytes() == (places[0]["ppo"] / name).read_bytes()
