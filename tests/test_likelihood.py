"""The scorer `likelihood`: numbers by hand, by a plain loop, and in whatever company."""

from __future__ import annotations

import math
import os
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, AutoTokenizer

from random_models import KINDS, random_model
from refine_af.errors import InputError
from refine_af.metrics.intervals import bootstrap_difference
from refine_af.models.backbones import load_tokenizer
from refine_af.models.encoding import special_names
from refine_af.rewards.equation_1 import check_judges
from refine_af.rewards.likelihood import Scorer, rows_of
from refine_af.rewards.own_code import own_code
from refine_af.rewards.scorer import Triplet
from refine_af.rewards.scorers import load_scorer
from refine_af.settings.reward import BUILT_IN, Reward
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.gpu_memory import check_memory
from refine_af.workflow.paths import role_of
from refine_af.workflow.plan import Plan
from scoring import RunScript, company_and_order_change_nothing, scored, trained
from tiny import ROOT, demo_config, tiny_config, write_experiment
from workflow import snakemake

FOLDER = os.environ.get("REFINE_AF_MODEL")
BOUND = 1e-4  # nats a token: what `Scorer` promises in float32
SECTION: dict[str, Any] = {
    "scorer": "likelihood",
    "model": None,
    "evaluator": None,
    "max_length": 64,
    "likelihood": {"quantization": "none"},
    "weights": {"pmi": 1.0, "fluency": 0.25, "constant": 0.0, "unparseable": -4.0},
}
REWARD = Reward.model_validate(SECTION)
SOME = [
    Triplet("Sort.", "b a", "a b"),
    Triplet("Name a river, and then a stone in it.", "", "Apple"),
    Triplet("Copy.", "word list", "word list word list"),
    Triplet("Say nothing.", "", ""),
    Triplet("ß 你好", "\u0301</s>", "🙂<s>"),
]
HOSTILE = st.text(max_size=12) | st.sampled_from(["</s>", "<s><pad>", "<|endoftext|>", "\ud800"])
TRIPLETS = st.builds(Triplet, HOSTILE, HOSTILE, HOSTILE)


@pytest.fixture(scope="module")
def opinionated(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "llama"
    random_model("llama", AutoModelForCausalLM, folder, tiny_tokenizer)
    return folder


@pytest.fixture(scope="module")
def scorer(opinionated: Path) -> Scorer:
    return Scorer(REWARD, opinionated, None)


def by_hand(folder: Path, triplet: Triplet) -> dict[str, float]:
    """The components by a row at a time, with nothing of the project's own."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def plain(text: str) -> list[int]:
        return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))

    def mean(context: list[int], output: list[int]) -> float:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([context + output])).logits[0].double()
        places = range(len(context), len(context) + len(output))
        ids = context + output
        terms = [logits[n - 1, ids[n]] - torch.logsumexp(logits[n - 1], 0) for n in places]
        return float(sum(terms) / len(terms))

    task = f"Task: {triplet.instruction}"
    task += f"\nInput: {triplet.input}" if triplet.input else ""
    output = plain(f" {triplet.output}")
    alone = mean([1, *plain("Output:")], output)
    given_task = mean([1, *plain(task), *plain("\nOutput:")], output)
    return {"fluency": alone, "pmi": given_task - alone}


def agree(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    assert len(found) == len(wanted)
    for row, right in zip(found, wanted, strict=True):
        assert row == pytest.approx(right, abs=BOUND)


def test_it_is_a_plain_loop_of_single_rows(scorer: Scorer, opinionated: Path) -> None:
    real = [SOME[0], SOME[1], SOME[2], SOME[4]]
    wanted = [by_hand(opinionated, triplet) for triplet in real]
    agree(scorer(real), wanted)
    assert max(abs(row["pmi"]) for row in wanted) > 1000 * BOUND, "or the bound would say nothing"


def test_a_model_that_knows_nothing_gives_the_numbers_of_a_uniform_draw(
    tiny_tokenizer: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "uniform"
    model = random_model("llama", AutoModelForCausalLM, folder, tiny_tokenizer)
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    model.save_pretrained(folder)
    blind = {"fluency": -math.log(model.config.vocab_size), "pmi": 0.0}
    agree(Scorer(REWARD, folder, None)(SOME), [blind] * len(SOME))


def test_a_blank_output_has_a_score_of_its_own(scorer: Scorer, opinionated: Path) -> None:
    blank = {"fluency": -math.log(len(load_tokenizer(opinionated))), "pmi": 0.0}
    triplets = [Triplet("Say.", "x", text) for text in ("", " ", "\n\t")]
    assert scorer(triplets) == [blank] * 3
    assert scorer([]) == []
    assert scorer([triplets[0], SOME[0], triplets[1]])[1] != blank


def test_a_ceiling_bounds_pmi_and_nothing_else(scorer: Scorer, opinionated: Path) -> None:
    free = scorer(SOME)
    low, _, ceiling = sorted(row["pmi"] for row in free[:3])
    ceiling -= (ceiling - low) / 4
    bounded = {"likelihood": {"quantization": "none", "pmi_ceiling": ceiling}}
    found = Scorer(Reward.model_validate(SECTION | bounded), opinionated, None)(SOME)
    assert found == [row | {"pmi": min(row["pmi"], ceiling)} for row in free]
    assert len({row["pmi"] for row in found} & {ceiling}) == 1, "or the ceiling bounds nothing"


@pytest.mark.parametrize("kind", ["gpt_neox", "gemma2", "opt", "qwen3"])
def test_in_any_architecture_company_changes_nothing(
    kind: str, tiny_tokenizer: Path, tmp_path: Path
) -> None:
    assert kind in KINDS
    random_model(kind, AutoModelForCausalLM, tmp_path / kind, tiny_tokenizer)
    scorer = Scorer(REWARD, tmp_path / kind, None)
    agree(scorer(SOME), [row for triplet in SOME for row in scorer([triplet])])
    agree(scorer(SOME[:1]), [by_hand(tmp_path / kind, SOME[0])])


@settings(max_examples=25, deadline=None)
@given(st.lists(TRIPLETS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_neither_company_nor_order_counts(
    scorer: Scorer, triplets: list[Triplet], drawn: random.Random
) -> None:
    company_and_order_change_nothing(scorer, agree, triplets, drawn)


@settings(max_examples=50, deadline=None)
@given(TRIPLETS, st.integers(32, 80))
def test_what_a_model_wrote_is_no_markup_and_fits(
    opinionated: Path, triplet: Triplet, most: int
) -> None:
    tokenizer = load_tokenizer(opinionated)
    rows = rows_of(tokenizer, triplet, most)
    special = set(special_names(tokenizer).values())
    for row in (rows.given, rows.alone):
        assert [token for token in (*row.context, *row.output) if token in special] == [1]
        assert len(row.context) + len(row.output) <= most
    assert rows.given.output == rows.alone.output


def test_long_texts_are_cut_on_the_right_and_counted(
    scorer: Scorer, opinionated: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every letter of these is a token, and a label has as many as it has without company."""
    tokenizer = load_tokenizer(opinionated)
    label = len(tokenizer.encode("\nOutput:", add_special_tokens=False))
    task = len(tokenizer.encode("Task: "))
    room = 64 - label

    def sizes(asked: int, written: int) -> tuple[int, int, bool]:
        rows = rows_of(tokenizer, Triplet("z" * asked, "", "q" * written), 64)
        return len(rows.given.context) - label, len(rows.given.output), rows.cut

    output = len(tokenizer.encode(" q" + "q" * 9, add_special_tokens=False)) - 10
    assert sizes(3, 4) == (task + 3, output + 4, False)
    assert sizes(500, 500) == (room - room // 2, room // 2, True), "half each"
    assert sizes(500, 4) == (room - output - 4, output + 4, True), "a long task leaves room"
    assert sizes(3, 500) == (task + 3, room - task - 3, True), "and so does a short one"
    scorer([Triplet("z" * 500, "", "q"), SOME[0], Triplet("z", "", "q" * 500)])
    assert capsys.readouterr().out == "likelihood: 2 of 3 texts are cut to reward.max_length 64\n"
    scorer(SOME[:1])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"likelihood": None}, "the scorer likelihood needs the section likelihood"),
        ({"scorer": "mine.Scorer"}, "likelihood: of the scorer likelihood alone, and scorer is m"),
        ({"evaluator": "x"}, "evaluator: the scorer likelihood reads none: say null"),
        ({"likelihood": {"quantization": "int8"}}, "likelihood.quantization"),
        ({"likelihood": {}}, "likelihood.quantization"),
        (
            {"likelihood": {"quantization": "none", "pmi_ceiling": float("nan")}},
            "likelihood.pmi_ceiling",
        ),
        ({"scorer": "likelihoods"}, "scorer"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Reward.model_validate(SECTION | changes)


def test_what_cannot_serve_is_named(opinionated: Path, tmp_path: Path) -> None:
    check_judges(REWARD)
    weights = {"pmi": 1.0, "constant": 0.0, "unparseable": 0.0}
    with pytest.raises(InputError, match=r"^reward.weights are for pmi, and likelihood gives fl"):
        check_judges(Reward.model_validate(SECTION | {"weights": weights}))
    with pytest.raises(InputError, match=r"^reward.max_length 31: .*at least 32"):
        load_scorer(Reward.model_validate(SECTION | {"max_length": 31}), opinionated, None)
    with pytest.raises(InputError, match=r"^reward.max_length 257: .* at most 256 tokens"):
        load_scorer(Reward.model_validate(SECTION | {"max_length": 257}), opinionated, None)
    with pytest.raises(InputError, match="needs its section, and a model or the backbone"):
        load_scorer(REWARD, None, None)
    with pytest.raises(InputError, match="no such checkpoint folder"):
        load_scorer(REWARD, tmp_path / "gone", None)


def test_an_edit_of_its_code_counts() -> None:
    assert own_code("likelihood") not in ("", own_code("refine_af.rewards.likelihood.Scorer"))


def test_its_model_is_the_backbone_unless_one_is_named(world: Path) -> None:
    config = tiny_config(world)
    config["models"] = {"a": {"checkpoint": "x/a"}, "b": {"checkpoint": "x/b"}}

    def judges(**changes: Any) -> list[object]:
        experiment = read_experiment(config | {"reward": SECTION | changes})
        plan = Plan(experiment, Path("root"))
        cards = [type("Wildcards", (), {"model": name}) for name in "ab"]
        return [plan.judge(key)(card) for key in ("model", "evaluator") for card in cards]

    assert judges() == ["root/x/a", "root/x/b", [], []]
    assert judges(model="x/c") == ["root/x/c", "root/x/c", [], []]


def test_a_checkpoint_of_its_own_is_fetched_without_pickles() -> None:
    named = "some/model@0123abc"
    config = demo_config() | {"reward": SECTION | {"model": named}}
    assert role_of(named, read_experiment(config)) == "backbone"
    assert role_of(named, read_experiment(demo_config())) == "judge"


def test_its_weights_count_where_they_stand_beside_the_backbone(
    tiny_llama: Path, opinionated: Path
) -> None:
    """The two have 0.05 and 0.05 million weights; in a MB there is room for five of them."""
    config = demo_config()
    config["models"] = {"some": {"checkpoint": str(tiny_llama)}}
    config["compute"]["gpu_mem_mb"] = 1
    check_memory(read_experiment(config | {"reward": SECTION}), str)
    big = tiny_llama.parent / "big"
    random_model(
        "llama", AutoModelForCausalLM, big, tiny_llama, hidden_size=320, num_hidden_layers=3
    )
    config["compute"]["gpu_mem_mb"] = 2
    check_memory(read_experiment(config), str)
    told = r"models\.some\.checkpoint: .*ppo, with its scorer, needs [34] MB for the weights alone"
    with pytest.raises(InputError, match=told):
        check_memory(read_experiment(config | {"reward": SECTION | {"model": str(big)}}), str)


def test_the_stages_score_with_the_backbone_by_their_command_lines(
    run_script: RunScript, world: Path, tmp_path: Path
) -> None:
    samples = trained(run_script, REWARD, world / "llama", world, tmp_path)
    scorer = Scorer(REWARD, world / "llama", None)
    parsed = [row for row in samples if row["output"] is not None]
    assert parsed
    rows = scorer([Triplet(row["instruction"], row["input"], row["output"]) for row in parsed])
    agree([row["components"] for row in parsed], rows)
    for row in parsed:
        by_weight = row["components"]["pmi"] + 0.25 * row["components"]["fluency"]
        assert row["reward"] == pytest.approx(by_weight)
    head = (tmp_path / "ppo" / "metrics.csv").read_text().splitlines()[0]
    assert "fluency_mean,fluency_sd,pmi_mean,pmi_sd" in head

    instances = scored(run_script, REWARD, world / "llama", tmp_path)
    rows = scorer([Triplet(row.instruction, row.input, row.output) for row in instances])
    assert len(rows) == 4
    agree([row.components for row in instances], rows)


def test_the_workflow_hands_it_the_backbone(world: Path, tmp_path: Path) -> None:
    config = tiny_config(world) | {"reward": SECTION}
    folder = write_experiment(tmp_path / "experiment", config)
    done = snakemake("-n", "-p", "--cores", 1, "--resources", "gpu=1", "--directory", folder)
    assert done.returncode == 0, done.stdout
    found = re.findall(r"--reward-model (\S*) --evaluator (\S*) ", done.stdout)
    places = {Path(folder / place).resolve() for place, _ in found}
    assert places == {(world / "llama").resolve()} and {none for _, none in found} == {""}


PAIRS = """\
Translate 'good morning' into Spanish. || Buenos días.
Translate 'thank you' into French. || Merci.
Name the capital of Japan. || Tokyo.
Name the capital of Egypt. || Cairo.
Give the opposite of the adjective. | cold | hot
Give the opposite of the adjective. | tall | short
Add the two numbers. | 2 and 3 | 5
Write the word in capital letters. | river | RIVER
Name the colour of a ripe banana. || Yellow.
Give the plural of the noun. | mouse | mice
Say how many days a week has. || Seven.
Name the animal that gives us wool. || The sheep.
Write the past tense of the verb. | go | went
Name the largest planet of the solar system. || Jupiter.
Say who wrote the play Hamlet. || William Shakespeare.
Name the chemical symbol of gold. || Au.
Sort the words by alphabet. | pear, apple, fig | apple, fig, pear
Say in which season snow falls. || In winter.
Correct the spelling of the word. | recieve | receive
Say which language is spoken in Brazil. || Portuguese.
"""


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER, reason="REFINE_AF_MODEL names no folder with a model")
def test_a_real_model_tells_an_answer_from_another_questions() -> None:
    """The mean difference of `pmi`, right less shuffled, with its interval over the questions."""
    right = [Triplet(*(part.strip() for part in line.split("|"))) for line in _lines(PAIRS)]
    assert len(right) == 20
    moved = right[7:] + right[:7]
    shuffled = [
        Triplet(own.instruction, own.input, other.output)
        for own, other in zip(right, moved, strict=True)
    ]
    scores = Scorer(REWARD, Path(FOLDER or ""), None)([*right, *shuffled])
    found = [row["pmi"] for row in scores]
    mean, low, high = bootstrap_difference(
        found[20:], found[:20], confidence=0.95, resamples=2000, seed=0
    )
    assert 0 < low <= mean <= high


def _lines(text: str) -> list[str]:
    return text.strip().split("\n")


def test_the_guides_own_sections_are_right() -> None:
    text = (ROOT / "docs" / "how-to.md").read_text()
    sections = re.findall(r"```yaml\n(reward:\n  scorer: \w+\n.*?)```", text, re.S)
    rewards = [Reward.model_validate(yaml.safe_load(stated)["reward"]) for stated in sections]
    assert [reward.scorer for reward in rewards] == list(BUILT_IN)
    for reward in rewards:
        check_judges(reward)
