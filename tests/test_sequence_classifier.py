"""The scorer `sequence_classifier`: as transformers scores one conversation, whatever the batch."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from random_models import random_model
from refine_af.errors import InputError
from refine_af.models.backbones import load_tokenizer
from refine_af.models.chat import conversation_of
from refine_af.models.checkpoints import check_classifier
from refine_af.models.encoding import special_names
from refine_af.rewards.equation_1 import check_judges
from refine_af.rewards.scorer import Triplet
from refine_af.rewards.scorers import load_scorer
from refine_af.rewards.sequence_classifier import Scorer, conversation_ids
from refine_af.settings.reward import Reward
from refine_af.workflow.configuration import read_experiment
from refine_af.workflow.door import check_files
from scoring import RunScript, company_and_order_change_nothing, scored, trained
from tiny import ROOT, tiny_config

BOUND = 1e-4
SECTION: dict[str, Any] = {
    "scorer": "sequence_classifier",
    "model": "folder",
    "evaluator": None,
    "max_length": 96,
    "weights": {"reward_model": 1.0, "constant": 0.0, "unparseable": -4.0},
}
REWARD = Reward.model_validate(SECTION)
SOME = [
    Triplet("Sort.", "b a", "a b"),
    Triplet("Name a river, and then a stone in it.", "", "Apple"),
    Triplet("Copy.", "word list", "word list word list"),
    Triplet("Say nothing.", "", ""),
    Triplet("ß 你好", "\u0301 no markup", "🙂"),
]
HOSTILE = st.text(max_size=9) | st.sampled_from(["</s>", "<|endoftext|>\n<|prompter|>", "\ud800"])
TRIPLETS = st.builds(Triplet, HOSTILE, HOSTILE, HOSTILE)
NEWLINE = "Ċ"  # as the byte-level vocabulary spells it: what a conversation here ends with


def classifier(kind: str, folder: Path, tokenizer: Path, **changes: Any) -> Path:
    changes = {"num_labels": 1} | changes
    random_model(kind, AutoModelForSequenceClassification, folder, tokenizer, **changes)
    return folder


@pytest.fixture(scope="module")
def folder(tiny_tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "llama"
    return classifier("llama", place, tiny_tokenizer, pad_token_id=None)


@pytest.fixture(scope="module")
def scorer(folder: Path) -> Scorer:
    return Scorer(REWARD, folder, None)


def by_transformers(folder: Path, triplet: Triplet) -> dict[str, float]:
    """The score of one conversation, as a model card would have it computed."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    asked = f"{triplet.instruction}\n{triplet.input}" if triplet.input else triplet.instruction
    messages = [
        {"role": "user", "content": asked},
        {"role": "assistant", "content": triplet.output},
    ]
    ids = tokenizer.apply_chat_template(messages, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        return {"reward_model": float(model(input_ids=ids["input_ids"]).logits[0, 0])}


def agree(found: list[dict[str, float]], wanted: list[dict[str, float]]) -> None:
    assert len(found) == len(wanted)
    for row, right in zip(found, wanted, strict=True):
        assert row == pytest.approx(right, abs=BOUND, rel=BOUND)


@pytest.mark.parametrize(
    ("kind", "padding"),
    [
        ("llama", None),
        ("llama", NEWLINE),
        ("qwen2", None),
        ("qwen3", 0),
        ("gemma2", None),
        ("gpt_neox", None),
        ("gpt_neox", NEWLINE),
        ("deberta-v2", 0),
    ],
)
def test_a_batch_is_what_transformers_says_of_each_alone(
    kind: str, padding: str | int | None, tiny_tokenizer: Path, tmp_path: Path
) -> None:
    """Also without a padding token, and with one that ends texts, which is then passed over."""
    vocabulary = AutoTokenizer.from_pretrained(tiny_tokenizer).get_vocab()
    padded_by = vocabulary[padding] if isinstance(padding, str) else padding
    place = classifier(kind, tmp_path / "model", tiny_tokenizer, pad_token_id=padded_by)
    found = Scorer(REWARD, place, None)(SOME)
    wanted = [by_transformers(place, triplet) for triplet in SOME]
    agree(found, wanted)
    scores = [row["reward_model"] for row in wanted]
    assert max(scores) - min(scores) > 100 * BOUND, "or the bound would say nothing"


@settings(max_examples=25, deadline=None)
@given(st.lists(TRIPLETS, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_neither_company_nor_order_counts(
    scorer: Scorer, triplets: list[Triplet], drawn: random.Random
) -> None:
    company_and_order_change_nothing(scorer, agree, triplets, drawn)


@settings(max_examples=50, deadline=None)
@given(TRIPLETS, st.integers(40, 96))
def test_what_a_model_wrote_is_no_markup_and_the_template_stays_whole(
    folder: Path, triplet: Triplet, most: int
) -> None:
    tokenizer = load_tokenizer(folder)
    conversation = conversation_of(tokenizer)
    long = Triplet(triplet.instruction * 9, triplet.input, triplet.output * 9)
    special = special_names(tokenizer)
    markup = [special[name] for name in ("<|prompter|>", "<|endoftext|>") * 2]
    for row in (triplet, long):
        ids, cut = conversation_ids(tokenizer, conversation, row, most)
        assert [token for token in ids if token in set(special.values())] == markup
        assert len(ids) <= most
        assert tokenizer.decode(ids).endswith("<|endoftext|>\n")
        whole, never = conversation_ids(tokenizer, conversation, row, None)
        assert (ids == whole) is not cut and not never


def test_a_template_that_trims_is_kept_to(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert conversation_of(tokenizer).trimmed == (False, False)
    tokenizer.chat_template = tokenizer.chat_template.replace("['content']", "['content'] | trim")
    trimming = conversation_of(tokenizer)
    assert trimming.trimmed == (True, True)
    said = trimming.parts(" a\n", "\tb ")
    assert [str(part) for part in said] == [
        "<|prompter|>user\n",
        "a",
        "<|endoftext|>\n<|prompter|>assistant\n",
        "b",
        "<|endoftext|>\n",
    ]


def test_long_texts_are_counted(scorer: Scorer, capsys: pytest.CaptureFixture[str]) -> None:
    scorer([Triplet("z" * 500, "", "q"), SOME[0], Triplet("z", "", "q" * 500)])
    said = "sequence_classifier: 2 of 3 texts are cut to reward.max_length 96\n"
    assert capsys.readouterr().out == said
    assert scorer([]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": None}, "model: the scorer sequence_classifier needs a checkpoint"),
        ({"evaluator": "x"}, "evaluator: the scorer sequence_classifier reads none: say null"),
        ({"likelihood": {"quantization": "none"}}, "likelihood: of the scorer likelihood alone"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Reward.model_validate(SECTION | changes)


def edited(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_no_reward_model_is_named_at_the_door(
    tiny_tokenizer: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    two = classifier("llama", tmp_path / "two", tiny_tokenizer, num_labels=2)
    many = r"config\.json: a reward model gives one score, and this classifier has 2 labels"
    with pytest.raises(InputError, match=many):
        check_classifier(two)
    three = classifier("llama", tmp_path / "three", tiny_tokenizer, num_labels=3)
    with pytest.raises(InputError, match="has 3 labels"):
        check_classifier(three)
    with pytest.raises(InputError, match=r"architectures is \['LlamaForCausalLM'\], and names no"):
        check_classifier(tiny_llama)
    one = classifier("llama", tmp_path / "one", tiny_tokenizer)
    check_classifier(one)
    (one / "chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template, which sequence_classifier asks for"):
        check_classifier(one)
    edited(two, id2label=None, architectures=None)
    with pytest.raises(InputError, match="architectures is None"):
        check_classifier(two)


def test_the_door_looks_at_the_model(world: Path, folder: Path) -> None:
    def checked(model: Path) -> None:
        reward = SECTION | {"model": str(model)}
        check_files(
            read_experiment(tiny_config(world) | {"reward": reward}),
            lambda path: path if path.startswith("results/") else str(ROOT / path),
            lambda path: path.startswith("results/"),
            lambda message: "",
        )

    checked(folder)
    with pytest.raises(InputError, match=r"^config.yaml, reward.model: .*no sequence classifier"):
        checked(world / "llama")


def test_what_cannot_serve_is_named_as_it_is_loaded(
    tiny_tokenizer: Path, folder: Path, tmp_path: Path
) -> None:
    check_judges(REWARD)
    for length, message in (
        (31, "at least 32"),
        (257, "reads texts of at most 256 tokens"),
        (33, "the chat template of .* alone has .* tokens; at least twice"),
    ):
        with pytest.raises(InputError, match=rf"^reward.max_length {length}: .*{message}"):
            load_scorer(Reward.model_validate(SECTION | {"max_length": length}), folder, None)
    with pytest.raises(InputError, match="needs a model"):
        load_scorer(REWARD, None, None)
    weights = {"score": 1.0, "constant": 0.0, "unparseable": 0.0}
    with pytest.raises(InputError, match=r"^reward.weights are for score, and sequence_classif"):
        check_judges(Reward.model_validate(SECTION | {"weights": weights}))
    # Its weights are another class's, and its code is not the project's to run.
    other = classifier("llama", tmp_path / "other", tiny_tokenizer)
    edited(other, model_type="qwen3", architectures=["Qwen3ForSequenceClassification"])
    with pytest.raises(InputError, match=r"other: the weights do not fit|can be loaded"):
        load_scorer(REWARD, other, None)
    edited(other, model_type="mine", auto_map={"AutoModelForSequenceClassification": "m.Mine"})
    (other / "m.py").write_text("raise SystemExit('run')")
    with pytest.raises(InputError, match="other: "):
        load_scorer(REWARD, other, None)
    pickled = classifier("llama", tmp_path / "pickled", tiny_tokenizer)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(InputError, match="weights are pickles alone"):
        load_scorer(REWARD, pickled, None)


def test_the_stages_score_with_it_by_their_command_lines(
    run_script: RunScript, world: Path, folder: Path, tmp_path: Path
) -> None:
    samples = trained(run_script, REWARD, folder, world, tmp_path)
    parsed = [row for row in samples if row["output"] is not None]
    assert parsed
    scorer = Scorer(REWARD, folder, None)
    rows = scorer([Triplet(row["instruction"], row["input"], row["output"]) for row in parsed])
    agree([row["components"] for row in parsed], rows)
    instances = scored(run_script, REWARD, folder, tmp_path)
    rows = scorer([Triplet(row.instruction, row.input, row.output) for row in instances])
    agree([row.components for row in instances], rows)
    assert [row.reward for row in instances] == [
        row.components["reward_model"] for row in instances
    ]
