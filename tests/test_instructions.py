"""Stage 1: the pool is a pure function of seeds, settings and replies, wherever segments end."""

from __future__ import annotations

import csv
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import instructions as script
from conftest import Script
from refine_af.errors import InputError
from refine_af.experiment import canonical, read_experiment
from refine_af.generation import Completion
from refine_af.instructions import (
    COLUMNS,
    REASONS,
    Carry,
    Segment,
    bootstrap,
    carry_of,
)
from refine_af.pool import Pool, run_on
from refine_af.progress import Progress
from refine_af.prompts import prompt_of
from refine_af.records import Instruction, Seed
from refine_af.settings import Instructions
from refine_af.task_lists import items, refusal, task_list
from tiny import ROOT, tiny_config

PROMPT = prompt_of("Come up with tasks:\n{tasks}", {"tasks"}, "prompt")
SEEDS = [Seed(f"seed_{i}", f"Seed instruction number {i} about topic{i}:") for i in range(9)]


@pytest.fixture(scope="module")
def demo_settings() -> Instructions:
    import yaml

    config = yaml.safe_load((ROOT / "demo" / "config.yaml").read_text())
    return read_experiment(config).instructions


def with_(settings: Instructions, **changes: object) -> Instructions:
    values = settings.model_dump()
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    return Instructions.model_validate(values)


def completion(text: str, finish: str = "stop") -> Completion:
    return Completion(text, tuple(range(len(text.split()))), finish)  # type: ignore[arg-type]


def scripted(tails: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
    """Two to four items a reply, drawn by the reply's seed, of words that seldom repeat."""
    replies = []
    for seed in seeds:
        rng = random.Random(seed)
        lines = [
            " " + " ".join(f"word{rng.randrange(60)}" for _ in range(rng.randint(3, 8))) + "."
            for _ in range(rng.randint(2, 4))
        ]
        text = "".join(f"{line}\nTask {10 + i}:" for i, line in enumerate(lines))
        replies.append(completion(text, rng.choice(["stop", "length", "eos"])))
    return replies


def grown(settings: Instructions, segments: int) -> list[Segment]:
    """Segments one after another, each from what the ones before left in their files."""
    made: list[Segment] = []
    pool: list[Instruction] = []
    for _ in range(segments):
        carry = made[-1].carry if made else Carry(0, [])
        made.append(
            bootstrap(
                settings,
                seeds=SEEDS,
                prompt=PROMPT,
                earlier=pool,
                carry=carry,
                generate=scripted,
                progress=Progress(settings.segment, "instructions"),
            )
        )
        pool = pool + made[-1].instructions
    return made


def pool_of(segments: list[Segment]) -> list[Instruction]:
    return [row for segment in segments for row in segment.instructions]


@pytest.mark.parametrize("requests", [1, 3, 20])
def test_where_segments_end_changes_nothing(demo_settings: Instructions, requests: int) -> None:
    whole = grown(with_(demo_settings, segment=60, requests=requests), 1)
    for size in (5, 20, 30):
        parts = grown(with_(demo_settings, segment=size, requests=requests), 60 // size)
        assert pool_of(parts) == pool_of(whole)
        assert parts[-1].carry == whole[-1].carry
        assert [row for part in parts for row in part.rejected] == whole[0].rejected
        assert [row for part in parts for row in part.rounds] == whole[0].rounds


def test_fewer_segments_are_a_prefix_of_more(demo_settings: Instructions) -> None:
    settings = with_(demo_settings, segment=10, requests=4)
    assert grown(settings, 5)[:3] == grown(settings, 3)


def test_lineage_and_figures(demo_settings: Instructions) -> None:
    made = grown(with_(demo_settings, segment=40, requests=4), 1)[0]
    assert [row.id for row in made.instructions] == [f"i{i:06d}" for i in range(40)]
    known = {seed.id for seed in SEEDS}
    last_round, ids = -1, set(known)
    for row in made.instructions:
        if row.round != last_round:
            last_round, ids = row.round, set(known)
        assert len(set(row.demonstrations)) == 8
        assert set(row.demonstrations) <= ids, "only what stood in the pool at the round's start"
        machine = sum(name.startswith("i") for name in row.demonstrations)
        assert machine == min(2, len(ids) - len(SEEDS))
        assert row.nearest in known
        assert 0 <= row.rouge_l < 0.7
        known.add(row.id)
    assert Counter(row.reason for row in made.rejected) == sum(
        (row.reasons for row in made.rounds), Counter[str]()
    )
    assert sum(row.accepted for row in made.rounds) == 40 + len(made.carry.surplus)
    assert made.rounds[0].row().keys() == set(COLUMNS)
    assert {row.reason for row in made.rejected} <= set(REASONS)


def test_the_prompt_is_a_numbered_list_that_the_model_goes_on_with(
    demo_settings: Instructions,
) -> None:
    assert task_list(["Sort  the\nlist::", "What is it?"]) == (
        "Task 1: Sort the list\nTask 2: What is it?\nTask 3:"
    )
    asked: list[str] = []

    def listening(tails: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
        asked.extend(tails)
        return scripted(tails, seeds)

    settings = with_(demo_settings, segment=1, requests=2)
    bootstrap(
        settings,
        seeds=SEEDS,
        prompt=prompt_of("Go:\n{tasks}\n", {"tasks"}, "prompt"),
        earlier=[],
        carry=Carry(0, []),
        generate=listening,
        progress=Progress(1, "instructions"),
    )
    assert asked[0] != asked[1]
    for tail in asked:
        lines = tail.split("\n")
        assert len(lines) == 9
        assert lines[-1] == "Task 9:", "no newline of the file's end after it"
        assert all(line.startswith(f"Task {i}: Seed") for i, line in enumerate(lines[:-1], 1))


def texts(text: str, settings: Instructions, *, truncated: bool = False) -> list[str]:
    return [item for item, whole in items(text, settings, truncated=truncated) if whole]


def test_items_of_a_reply(demo_settings: Instructions) -> None:
    reply = " Sort the\n list\nTask 10: Name a river. Task 11 : Sing\nTask 12:"
    settings = with_(demo_settings, last_item=15)
    assert texts(reply, settings) == ["Sort the list", "Name a river.", "Sing", ""]
    assert texts(reply, with_(settings, last_item=10)) == ["Sort the list", "Name a river."]
    assert texts(reply, settings, truncated=True) == ["Sort the list", "Name a river.", "Sing"]
    whole = with_(settings, filter={"truncated": "drop reply"})
    assert texts(reply, whole, truncated=True) == []
    assert len(items(reply, whole, truncated=True)) == 4, "each is rejected as truncated"
    lowered = with_(settings, filter={"capitalize": True})
    assert texts(" name an NBA team", lowered) == ["Name an nba team"]
    # The cut falls past the last item that counts: that one is whole.
    assert texts(reply, with_(settings, last_item=11), truncated=True)[-1] == "Sing"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Name four big rivers", None),
        ("", "empty"),
        ("Name three rivers", "too short"),
        ("word " * 41, "too long"),
        ("Describe the Picture in words", "keyword"),
        ("Where should I go to eat", "keyword"),
        ("Describe the mapping between two sets", None),
        ("Write a program that sorts", "prefix"),
        ("Please Write a program now", None),
        ("- name four big rivers", "punctuation"),
        ("Élan: name four rivers", "not ascii"),
        ("Name the river Élan again", None),
        ("Name \ud800 four big rivers", "not unicode"),
    ],
)
def test_self_instructs_filters(demo_settings: Instructions, text: str, reason: str | None) -> None:
    assert refusal(text.strip(), demo_settings.filter) == reason


def test_no_keywords_and_no_prefixes_refuse_nothing(demo_settings: Instructions) -> None:
    rules = with_(demo_settings, filter={"keywords": (), "prefixes": ()}).filter
    assert refusal("Write a program that draws a picture", rules) is None


@given(st.text(max_size=200), st.sampled_from(["stop", "eos", "length"]))
def test_hostile_replies_are_items_or_rejections(text: str, finish: str) -> None:
    settings = Instructions.model_validate(
        {
            "seed": 0, "segment": 1, "requests": 1, "human_demonstrations": 1,
            "machine_demonstrations": 0, "last_item": 9, "quantization": "none",
            "sampling": {"temperature": 1.0, "top_p": 1.0, "presence_penalty": 0.0,
                         "max_new_tokens": 8, "stop": ["\n\n"]},
            "filter": {"min_words": 1, "max_words": 9, "keywords": ["file"], "prefixes": ["x"],
                       "capitalize": False, "truncated": "drop item"},
            "novelty": {"threshold": "0.7", "tie": "reject", "tokens": "rouge"},
            "least_yield": 0.0, "patience": 1,
        }
    )  # fmt: skip
    pool = Pool(settings, SEEDS, [])
    for item, whole in items(text, settings, truncated=finish == "length"):
        if whole and not refusal(item, settings.filter):
            assert pool.enter(item, pool.request(0, 0)) in (None, "no tokens", "similar")


def garbage(tails: Sequence[str], seeds: Sequence[int]) -> list[Completion]:
    return [completion(" \x00\ufffd!!", "length")] + [completion("")] * (len(tails) - 1)


def run_garbage(settings: Instructions) -> None:
    bootstrap(
        settings,
        seeds=SEEDS,
        prompt=PROMPT,
        earlier=[],
        carry=Carry(0, []),
        generate=garbage,
        progress=Progress(settings.segment, "instructions"),
    )


@pytest.mark.parametrize("least", [0.0, 0.2])
def test_a_model_that_writes_garbage_ends_in_figures(
    demo_settings: Instructions, least: float
) -> None:
    settings = with_(demo_settings, segment=5, requests=4, patience=3, least_yield=least)
    with pytest.raises(InputError) as error:
        run_garbage(settings)
    message = str(error.value)
    assert "of the 12 items of the last 3 rounds 0 (0.0%) entered the pool" in message
    assert "holds 0 instructions" in message
    assert "75.0% empty, 25.0% truncated" in message


def test_a_yield_above_the_floor_goes_on_and_one_below_ends(demo_settings: Instructions) -> None:
    low = with_(demo_settings, segment=500, requests=4, patience=4, least_yield=0.99)
    with pytest.raises(InputError, match=r"of the last 4 rounds .* asks for 99.0%"):
        grown(low, 1)
    assert len(grown(with_(low, segment=30, least_yield=0.05), 1)[0].instructions) == 30


def test_ids_must_run_on() -> None:
    def row(index: int) -> Instruction:
        return Instruction(f"i{index:06d}", "x", 0, 0, [], "", 0.0)

    parts = [(Path("a"), [row(0), row(1)]), (Path("b"), [row(2)])]
    assert [entry.id for entry in run_on(parts)] == ["i000000", "i000001", "i000002"]
    with pytest.raises(InputError, match=r"b, line 1: id 'i000003', where i000002 follows"):
        run_on([parts[0], (Path("b"), [row(3)])])
    with pytest.raises(InputError, match=r"b, line 1: id 'i000001', where i000002 follows"):
        run_on([parts[0], (Path("b"), [row(1)])])


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        (b"{", "JSON"),
        (b'{"next_round": 3}', "surplus"),
        (b'{"next_round": "3", "surplus": []}', "next_round"),
        (b'{"next_round": 3, "surplus": [{"id": 7}]}', "surplus.0.id"),
        (
            b'{"next_round": 3, "surplus": [{"id": "i000009", "instruction": "x", "round": 0,'
            b' "request": 0, "demonstrations": [], "nearest": "", "rouge_l": 0.5}]}',
            "surplus.0.id: 'i000009', where i000004 follows",
        ),
    ],
)
def test_a_broken_carry_is_named(content: bytes, wrong: str) -> None:
    with pytest.raises(InputError, match="carry.json: " + wrong):
        carry_of(content, Path("carry.json"), pool=4)


def inputs(world: Path) -> dict[str, Any]:
    return {
        "settings": read_experiment(tiny_config(world)).instructions,
        "seeds": world / "seeds.jsonl",
        "prompt": ROOT / "demo" / "prompts" / "instructions.txt",
        "backbone": world / "llama",
    }


def test_command_line(run_script: Script, world: Path, tmp_path: Path) -> None:
    given = inputs(world)
    flags = given | {"settings": canonical(given["settings"]), "number": 0}
    pairs = [part for name, value in flags.items() for part in (f"--{name}", value)]
    folders = [tmp_path / name for name in ("first", "again", "second")]
    done = run_script("instructions", "segment", *pairs, "--earlier", "--segment", folders[0])
    assert done.returncode == 0, done.stderr
    assert "progress: 4/4 instructions" in done.stdout

    script.segment(**given, earlier=[], number=0, segment=folders[1])
    names = ["carry.json", "instructions.jsonl", "rejected.jsonl", "rounds.csv"]
    assert sorted(path.name for path in folders[0].iterdir()) == names
    for name in names:
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    with open(folders[0] / "rounds.csv", newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS

    script.segment(**given, earlier=[folders[0]], number=1, segment=folders[2])
    merged = tmp_path / "pool.jsonl"
    segments = [folders[0], folders[2]]
    done = run_script("instructions", "merge", "--segments", *segments, "--instructions", merged)
    assert done.returncode == 0, done.stderr
    ids = [json.loads(line)["id"] for line in merged.read_text().splitlines()]
    assert ids == [f"i{index:06d}" for index in range(8)]
    with pytest.raises(InputError, match=r"again/instructions.jsonl, line 1: id 'i000000'"):
        script.merge(segments=folders[:2], instructions=merged)


def test_faults_end_the_stage_before_it_writes(
    world: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    given = inputs(world) | {"earlier": [], "number": 0, "segment": tmp_path / "segment"}
    long_ones = given["settings"].filter.model_copy(update={"min_words": 40})
    impatient = with_(given["settings"], patience=2, filter=long_ones)
    with pytest.raises(InputError, match=r"of the last 2 rounds 0 \(0.0%\) entered the pool"):
        script.segment(**given | {"backbone": tiny_llama, "settings": impatient})
    assert not given["segment"].exists()

    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join((world / "seeds.jsonl").read_text().splitlines(keepends=True)[:7]))
    with pytest.raises(InputError, match=f"{seeds}: 7 seed tasks; .* ask for 8"):
        script.segment(**given | {"seeds": seeds})
    with pytest.raises(InputError, match="--number 2: needs 2 earlier segments, got 0"):
        script.segment(**given | {"number": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"last_item": 8}, "leaves nothing to write after the 8 demonstrations"),
        ({"novelty": {"threshold": "0.0"}}, "rejects every instruction"),
        ({"filter": {"min_words": 41}}, "min_words 41 is greater than max_words 40"),
    ],
)
def test_settings_that_cannot_work(
    demo_settings: Instructions, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        with_(demo_settings, **change)
