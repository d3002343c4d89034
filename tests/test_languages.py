"""Other languages than English, from seeds to the report: what is kept, left out and counted."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import instructions as stage1
from engines import Replies, Replying
from fine_tuning import PAPER
from fine_tuning import settings as sft_settings
from made_up_run import make_run, overlap, write_rows
from overlap import main as find_overlap
from refine_af.engines.replies import Reply
from refine_af.errors import InputError
from refine_af.exports.card import card_of
from refine_af.exports.provenance import provenance
from refine_af.files.documents import read_document
from refine_af.files.rows import read_records, write_records
from refine_af.instances.parsing import parsed
from refine_af.instances.replies import AskedReply
from refine_af.overlap.comparison import shared_ngrams
from refine_af.ppo.alarm import text_figures
from refine_af.prompts.completions import Pair, refusal
from refine_af.prompts.task_lists import task_list
from refine_af.records.evaluation import EvaluationInstance, Prediction
from refine_af.records.human_tasks import read_seeds
from refine_af.records.instances import Instance
from refine_af.records.instructions import Instruction, RejectedInstruction
from refine_af.records.overlap import Overlap
from refine_af.settings.instructions import Instructions
from refine_af.sft.examples import encodings_of, examples, overlapping
from refine_af.superni.table import scored, table_rows
from refine_af.words import unicode_tokens, words_of
from refine_af.workflow.configuration import read_experiment
from test_report import report, words
from tiny import ROOT

SEEDS = ROOT / "tests" / "languages"


@dataclass(frozen=True)
class Language:
    """What a model writes in a language: `new` has `count` words, `short` too few."""

    keyword: str
    holds_it: str
    short: str
    new: str
    count: int


LANGUAGES = {
    "zh": Language(
        "图片", "请画一张图片并说明理由。", "画猫。", "解释五种关于城市的优点，并说明理由。", 16
    ),
    "ja": Language(
        "画像", "海の画像を選んでください。", "猫。", "駅までの道を友だちに教えてください。", 17
    ),
    "th": Language("รูปภาพ", "เลือกรูปภาพทะเลหนึ่งใบ", "แมว", "บอกทางไปสถานีรถไฟให้เพื่อน", 22),
    "ar": Language(
        "صورة", "ارسم صورة للبحر عند الغروب.", "صف البحر.", "أخبر صديقك بالطريق إلى المحطة.", 5
    ),
    "hi": Language(
        "चित्र", "समुद्र का एक चित्र बनाइए।", "समुद्र बताइए।", "एक प्रसिद्ध चित्रकार का परिचय दीजिए।", 6
    ),
    "ko": Language(
        "사진",
        "바다 사진 한 장을 골라 주세요.",
        "바다 그리기.",
        "친구에게 역까지 가는 길을 알려 주세요.",
        6,
    ),
    "ru": Language(
        "картинку",
        "Выбери картинку с морем и опиши её.",
        "Опиши море.",
        "Объясни другу дорогу до вокзала.",
        5,
    ),
}
ALL = pytest.mark.parametrize("name", LANGUAGES)


def rows_of(name: str) -> list[dict[str, Any]]:
    lines = (SEEDS / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def shipped() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    return config


def same_otherwise(text: str) -> str:
    """The text as another writer would have it: without its last sign, decomposed."""
    return unicodedata.normalize("NFD", text.rstrip(".。।"))


def grown(
    name: str,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    tokens: str = "unicode",
    non_ascii: bool = True,
    seed_file: Path | None = None,
) -> tuple[list[Instruction], list[RejectedInstruction]]:
    """A segment of one instruction by the shipped settings and docs/how-to.md's recipe."""
    own, seeds = LANGUAGES[name], rows_of(name)
    config = shipped()["instructions"] | {"segment_size": 1, "prompts_per_round": 1}
    config["novelty"]["tokens"] = tokens
    config["filter"] |= {"non_ascii": non_ascii, "keywords": [own.keyword, "map"]}
    items = [own.short, own.holds_it, same_otherwise(seeds[3]["instruction"]), own.new]
    text = items[0] + "".join(f"\nTask {n}: {item}" for n, item in enumerate(items[1:], 10))

    def replies(
        tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Replies:
        assert len(tails) == 1 and tails[0].count("Task ") == 9
        yield 0, Reply(text, "stop", 90, 40)

    monkeypatch.setattr(stage1, "engines_of", lambda *_: nullcontext(lambda _: Replying(replies)))
    stage1.segment(
        settings=Instructions.model_validate(config),
        watch=read_experiment(shipped()).watch.instructions,
        server=None,
        served=None,
        seeds=seed_file or SEEDS / f"{name}.jsonl",
        prompt=ROOT / "resources" / "prompts" / "instructions.txt",
        chat=False,
        backbone=ROOT / "resources" / "prompts",  # which is not looked into
        earlier=[],
        number=0,
        progress=folder / "progress",
        segment=folder / "segment",
    )
    made = read_records(folder / "segment" / "instructions.jsonl", Instruction)
    return made, read_records(folder / "segment" / "rejected.jsonl", RejectedInstruction)


@ALL
def test_words_of_the_seeds(name: str) -> None:
    rows = rows_of(name)
    assert len(rows) == len(read_seeds(SEEDS / f"{name}.jsonl")) == 12
    for row in rows:
        assert len(words_of(row["instruction"])) == row["words"]
        assert len(unicode_tokens(row["instruction"])) == row["words"]


@ALL
def test_stage_1(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, seeds = LANGUAGES[name], rows_of(name)
    (made,), rejected = grown(name, tmp_path, monkeypatch)
    assert made.instruction == own.new and len(words_of(own.new)) == own.count
    nearest = max(seeds, key=lambda row: rouge_l(own.new, row["instruction"]))
    assert made.nearest == nearest["id"]
    assert made.rouge_l == pytest.approx(rouge_l(own.new, nearest["instruction"]), abs=1e-6)
    assert [(row.reason, row.text) for row in rejected] == [
        ("too short", own.short),
        ("keyword", own.holds_it),
        ("similar", same_otherwise(seeds[3]["instruction"])),
    ]
    assert (rejected[2].nearest, rejected[2].rouge_l) == (seeds[3]["id"], 1.0)


def rouge_l(left: str, right: str) -> float:
    """ROUGE-L F1 of `unicode_tokens`, by the textbook's table."""
    a, b = unicode_tokens(left), unicode_tokens(right)
    table = [[0] * (len(b) + 1) for _ in range(len(a) + 1)]
    for i, one in enumerate(a):
        for j, other in enumerate(b):
            longest = max(table[i][j + 1], table[i + 1][j])
            table[i + 1][j + 1] = table[i][j] + 1 if one == other else longest
    return 2 * table[-1][-1] / (len(a) + len(b))


def instance_of(name: str, number: int, instruction: str, reply: str) -> Instance:
    """The instance that stage 3 reads in a reply, with made-up rewards."""
    row = Instruction(f"i{number:06}", instruction, 0, 0, [], "s", 0.5, "s", 0.5, 9, 9)
    settings = read_experiment(shipped()).instances
    (kept,) = parsed(settings, [row], [AskedReply(0, 0, reply, "stop", 9, 9, "input first")]).kept
    texts = (instruction, kept.pair.input, kept.pair.output)
    scores = {"reward_model": 1.0}
    return Instance(f"{row.id}-0", row.id, "refine-af", *texts, "ab" * 32, 0.5, scores)


def instances_of(name: str) -> list[Instance]:
    """Two: one whose texts the evaluation holds, and one that is its own."""
    texts = [row["instruction"] for row in rows_of(name)]
    return [
        instance_of(name, 0, LANGUAGES[name].new, f"Input: {texts[0]}\nOutput: {texts[1]}"),
        instance_of(name, 1, texts[2], f"Output: {texts[3]}\n{texts[4]}"),
    ]


@ALL
def test_stage_3_keeps_the_text(name: str) -> None:
    texts = [row["instruction"] for row in rows_of(name)]
    first, second = instances_of(name)
    assert (first.input, first.output) == (texts[0], texts[1])
    assert (second.input, second.output) == ("", f"{texts[3]}\n{texts[4]}")


def test_a_colon_of_full_width_is_a_colon() -> None:
    assert task_list(["写一首诗："], "{number}.") == "1. 写一首诗\n2."
    assert refusal(Pair("写一首诗", "答案：")) == "ends with colon"


@ALL
def test_overlap_is_found_and_taken_out(name: str, tmp_path: Path) -> None:
    rows, (first, second) = rows_of(name), instances_of(name)
    write_records(tmp_path / "segment" / "instances.jsonl", [first, second])
    evaluated = {"task": "t", "category": "c", "references": ["x"], "demonstration": ""}
    evaluated |= {"id": "task1-0", "definition": first.instruction, "input": first.input}
    write_rows(tmp_path / "superni.jsonl", [evaluated])
    asked = {"id": "user_0", "instruction": rows[7]["instruction"]}
    asked |= {"instances": [{"input": rows[8]["instruction"], "output": "x"}]}
    write_rows(tmp_path / "users.jsonl", [asked])
    find_overlap(
        settings=read_experiment(shipped()).overlap,
        segment=tmp_path / "segment",
        evaluation=tmp_path / "superni.jsonl",
        user_instructions=tmp_path / "users.jsonl",
        overlap=tmp_path / "overlap.jsonl",
    )
    found, other = read_records(tmp_path / "overlap.jsonl", Overlap)
    assert found.overlaps and (found.instruction_rouge_l, found.input_rouge_l) == (1.0, 1.0)
    assert (found.instruction_source, found.input_source) == ("task1-0", "task1-0")
    # A text of n words has n - 12 sequences of 13.
    sequences = sum(max(0, count - 12) for count in (LANGUAGES[name].count, rows[0]["words"]))
    assert (found.ngrams, found.ngram_source) == (sequences, "task1-0" if sequences else None)
    assert not other.overlaps and other.ngrams == 0

    without = overlapping([tmp_path / "overlap.jsonl"], [first, second])
    assert without == {first.id}
    encodings = encodings_of(read_document(PAPER), PAPER)
    kept, dropped = examples([first, second], encodings, sft_settings(), without=without)
    assert [row.instruction_id for row in kept] == [second.instruction_id]
    assert dropped["overlap"] == 1


def test_thirteen_letters_in_a_row_overlap() -> None:
    """Twelve do not; and what a reader cannot see between them changes nothing."""
    text = "天地玄黄宇宙洪荒日月盈昃"
    assert len(text) == 12
    evaluated = {f"{text}，辰宿列张。": "a"}
    held = [[f"请写{text}"], [f"请写{text}辰"], [f"请写{text}\u200d辰\ufe0f宿，好"]]
    assert shared_ngrams(held, evaluated, 13) == [(0, None), (1, "a"), (2, "a")]


@ALL
def test_the_card_counts_words(name: str) -> None:
    rows, found = rows_of(name), instances_of(name)
    counts = {"instructions": 2, "classification": 0, "parsed": 2, "kept": 2, "no output": 0}
    origin = provenance(read_experiment(shipped()), "mistral-7b")
    card = card_of(origin, "refine-af", found, counts, data_file="x", mended=0)
    lengths = {
        "instruction": (LANGUAGES[name].count, rows[2]["words"]),
        "output": (rows[1]["words"], rows[3]["words"] + rows[4]["words"]),
    }
    for what, (one, other) in lengths.items():
        mean, spread = (one + other) / 2, abs(one - other) / 2
        least, most = sorted((one, other))
        figures = f"{mean:.1f} | {spread:.1f} | {least:.1f} | {mean:.1f} | {most:.1f}"
        assert f"| {what} | 2 | {figures} |" in card


@ALL
@pytest.mark.slow
def test_the_report_counts_words(name: str, tmp_path: Path) -> None:
    """The made-up run's four instances have 4 words in the output; three have an input, of 3."""
    flags = make_run(tmp_path)
    own, rows = LANGUAGES[name], rows_of(name)
    for segment in range(2):
        pool = tmp_path / f"pool_tiny/{segment}" / "instructions.jsonl"
        lines = [json.loads(line) for line in pool.read_text().splitlines()]
        write_rows(pool, [line | {"instruction": own.new} for line in lines])
        file = tmp_path / f"instances_tiny_refine-af/{segment}" / "instances.jsonl"
        texts = {"instruction": own.new, "input": rows[0]["instruction"]}
        texts |= {"output": rows[1]["instruction"]}
        lines = [json.loads(line) | texts for line in file.read_text().splitlines()]
        write_rows(file, lines)
        write_rows(
            tmp_path / f"overlap_tiny_refine-af/{segment}.jsonl",
            [overlap(line["id"], near=not segment) for line in lines],
        )
    page = words(report(flags))
    for what, before, after in (
        ("instruction", own.count, own.count),  # of the pool, which the methods share
        ("input, where there is one", 3, rows[0]["words"]),
        ("output", 4, rows[1]["words"]),
    ):
        assert f"mean words: {what} {before}.0 {after}.0" in page
    assert "Of 4 instances of refine-af, 2 (50.0%) overlap." in page
    assert own.new in page


def test_the_alarm_counts_letters_where_no_space_parts_words() -> None:
    # 写诗写诗: two of four letters differ; of the pairs 写诗, 诗写, 写诗 two of three.
    assert text_figures(["写诗，写诗。"]) == {"distinct_1": 0.5, "distinct_2": 2 / 3}
    assert text_figures(["写诗", "写诗"]) == {"distinct_1": 0.5, "distinct_2": 0.5}
    assert text_figures(["मैं मैं नहीं"]) == {"distinct_1": 2 / 3, "distinct_2": 1.0}
    assert text_figures(["。"]) == {"distinct_1": 1.0, "distinct_2": ""}


def test_a_repeating_output_is_seen_in_every_language() -> None:
    """Three texts in turn are as many different words as one; said ten times they are a tenth."""
    for name in LANGUAGES:
        texts = [row["instruction"] for row in rows_of(name)]
        once, often = text_figures([texts[0]]), text_figures([texts[0]] * 10)
        assert often["distinct_1"] == pytest.approx(float(once["distinct_1"]) / 10)


def test_the_table_counts_words_of_replies() -> None:
    asked = [EvaluationInstance("t-0", "t", "c", "d", "x", ["y"], "")]
    cells = {"base": {"t-0": Prediction("t-0", "写诗，再画猫。", True)}}
    (row,) = table_rows(asked, cells, {"base": scored(asked, cells)["base"]})
    assert row["reply_words"] == 5


FOR_ENGLISH = [
    ({"tokens": "rouge"}, "hold no word that instructions.novelty.tokens: rouge knows", "unicode"),
    ({"non_ascii": False}, "begin with a character beyond ASCII", "filter.non_ascii: true"),
]


@pytest.mark.parametrize(("settings", "wrong", "advice"), FOR_ENGLISH)
def test_settings_for_english_refuse_seeds_that_are_not(
    settings: dict[str, Any],
    wrong: str,
    advice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(InputError, match=rf"zh\.jsonl: 12 of 12 instructions {wrong}.*{advice}"):
        grown("zh", tmp_path, monkeypatch, **settings)


@pytest.mark.parametrize(("settings", "_", "advice"), FOR_ENGLISH)
def test_settings_for_english_end_the_stage_with_advice(
    settings: dict[str, Any],
    _: str,
    advice: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Half of the seeds may be in another script; where only others enter, the stage says so."""
    english = [{"id": f"en_{n}", "instruction": f"Name river number {n}"} for n in range(12)]
    write_rows(tmp_path / "seeds.jsonl", [*english, *rows_of("zh")])
    with pytest.raises(InputError, match=f"What may help: .*{advice}"):
        grown("zh", tmp_path, monkeypatch, seed_file=tmp_path / "seeds.jsonl", **settings)
