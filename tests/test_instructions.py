"""Stage 1: the pool is a pure function of seeds, settings and replies, wherever segments end."""

from __future__ import annotations

import csv
import json
import random
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import instructions as script
from conftest import Script
from engines import Replies, Replying
from refine_af.engines.replies import Engine, Reply
from refine_af.errors import InputError
from refine_af.instructions.bootstrapping import Carry, Segment, bootstrap, carry_of
from refine_af.instructions.pool import Pool, run_on
from refine_af.instructions.rounds import COLUMNS, REASONS, RoundLog
from refine_af.jobs.command_line import canonical
from refine_af.jobs.progress import Progress
from refine_af.prompts.task_lists import decoding, items, refusal, task_list
from refine_af.prompts.templates import Prompt, prompt_of
from refine_af.records.human_tasks import Seed
from refine_af.records.instructions import Instruction
from refine_af.settings.fields import Section
from refine_af.settings.instructions import Instructions
from refine_af.settings.watch import YieldWatch
from refine_af.workflow.configuration import read_experiment
from tiny import ROOT, demo_config, tiny_config

PROMPT = prompt_of("Come up with tasks:\n{tasks}", {"tasks"}, "prompt")
SEEDS = [Seed(f"seed_{i}", f"Seed instruction number {i} about topic{i}:") for i in range(9)]


@pytest.fixture(scope="module")
def demo_settings() -> Instructions:

    config = demo_config()
    return read_experiment(config).instructions


def with_(settings: Instructions, **changes: object) -> Instructions:
    values = settings.model_dump()
    for key, value in changes.items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    return Instructions.model_validate(values)


def reply(text: str, finish: str = "stop") -> Reply:
    return Reply(text, finish, 50, len(text.split()))  # type: ignore[arg-type]


def scripted(tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()) -> Replies:
    """Two to four items a reply, drawn by the reply's seed, of words that seldom repeat."""
    for place in random.Random(len(answered)).sample(range(len(seeds)), len(seeds)):
        rng = random.Random(seeds[place])
        lines = [
            " " + " ".join(f"word{rng.randrange(60)}" for _ in range(rng.randint(3, 8))) + "."
            for _ in range(rng.randint(2, 4))
        ]
        text = "".join(f"{line}\nTask {10 + i}:" for i, line in enumerate(lines))
        yield place, reply(text, rng.choice(["stop", "length", "eos"]))


SCRIPTED = Replying(scripted)
NOTHING = Carry(next_round=0, surplus=[])
PATIENT = YieldWatch(least_yield=0.0, patience=20, longest_hours=1.0)


def bootstrapped(
    settings: Instructions,
    engine: Engine = SCRIPTED,
    *,
    watch: YieldWatch = PATIENT,
    prompt: Prompt = PROMPT,
    earlier: Sequence[Instruction] = (),
    carry: Carry = NOTHING,
    folder: Path | None = None,
) -> Segment:
    """A segment; what is logged on the way is kept in `folder`, or nowhere."""
    with tempfile.TemporaryDirectory() as nowhere:
        progress = Progress(settings.segment_size, "instructions")
        target, start = len(earlier) + settings.segment_size, len(earlier) + len(carry.surplus)
        place = folder or Path(nowhere)
        hours = watch.longest_hours
        with RoundLog(
            place, engine, progress, start=start, target=target, longest_hours=hours
        ) as log:
            return bootstrap(
                settings,
                watch,
                seeds=SEEDS,
                prompt=prompt,
                earlier=earlier,
                carry=carry,
                log=log,
            )


def grown(settings: Instructions, segments: int, watch: YieldWatch = PATIENT) -> list[Segment]:
    """Segments one after another, each from what the ones before left in their files."""
    made: list[Segment] = []
    pool: list[Instruction] = []
    for _ in range(segments):
        carry = made[-1].carry if made else Carry(0, [])
        made.append(bootstrapped(settings, watch=watch, earlier=pool, carry=carry))
        pool = pool + made[-1].instructions
    return made


def pool_of(segments: list[Segment]) -> list[Instruction]:
    return [row for segment in segments for row in segment.instructions]


@pytest.mark.parametrize("requests", [1, 3, 20])
def test_where_segments_end_changes_nothing(demo_settings: Instructions, requests: int) -> None:
    whole = grown(with_(demo_settings, segment_size=60, prompts_per_round=requests), 1)
    for size in (5, 20, 30):
        parts = grown(
            with_(demo_settings, segment_size=size, prompts_per_round=requests), 60 // size
        )
        assert pool_of(parts) == pool_of(whole)
        assert parts[-1].carry == whole[-1].carry
        assert [row for part in parts for row in part.rejected] == whole[0].rejected
        assert [row for part in parts for row in part.rounds] == whole[0].rounds


def test_fewer_segments_are_a_prefix_of_more(demo_settings: Instructions) -> None:
    settings = with_(demo_settings, segment_size=10, prompts_per_round=4)
    assert grown(settings, 5)[:3] == grown(settings, 3)


def test_lineage_and_figures(demo_settings: Instructions) -> None:
    made = grown(with_(demo_settings, segment_size=40, prompts_per_round=4), 1)[0]
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
        assert 0 <= row.seed_rouge_l <= row.rouge_l < 0.7
        assert row.nearest_seed in {seed.id for seed in SEEDS}
        assert row.prompt_tokens == 50
        assert row.reply_tokens >= len(row.instruction.split())
        known.add(row.id)
    assert Counter(row.reason for row in made.rejected) == sum(
        (row.reasons for row in made.rounds), Counter[str]()
    )
    assert sum(row.accepted for row in made.rounds) == 40 + len(made.carry.surplus)
    assert made.rounds[0].row().keys() == set(COLUMNS)
    assert {row.reason for row in made.rejected} <= set(REASONS)
    for refused in made.rejected:
        judged = refused.reason == "similar"
        assert (refused.nearest is not None, refused.rouge_l is not None) == (judged, judged)
        assert not judged or (refused.nearest in known and (refused.rouge_l or 0) >= 0.7)


def test_the_prompt_is_a_numbered_list_that_the_model_goes_on_with(
    demo_settings: Instructions,
) -> None:
    assert task_list(["Sort  the\nlist::", "What is it?"], "Task {number}:") == (
        "Task 1: Sort the list\nTask 2: What is it?\nTask 3:"
    )
    assert task_list(["Sort it"], "{number}.") == "1. Sort it\n2."
    asked: list[str] = []

    def listening(
        tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Replies:
        asked.extend(tails)
        return scripted(tails, seeds)

    settings = with_(demo_settings, segment_size=1, prompts_per_round=2)
    bootstrapped(
        settings, Replying(listening), prompt=prompt_of("Go:\n{tasks}\n", {"tasks"}, "prompt")
    )
    assert asked[0] != asked[1]
    for tail in asked:
        lines = tail.split("\n")
        assert len(lines) == 9
        assert lines[-1] == "Task 9:", "no newline of the file's end after it"
        assert all(line.startswith(f"Task {i}: Seed") for i, line in enumerate(lines[:-1], 1))


def test_demonstrations_that_spread(demo_settings: Instructions) -> None:
    """Of all machine-made ones: first the farthest from the human ones, then from the first too."""
    rules = {"human_demonstrations": 2, "machine_demonstrations": 2, "demonstration_candidates": 9}
    seeds = [Seed("a", "Name a big river."), Seed("b", "Sort the list.")]
    texts = ["Name a big lake.", "Tell me of dogs.", "Tell me of cats.", "Why is it blue?"]
    machine = [row_of(place, text) for place, text in enumerate(texts)]

    def shown(**changes: object) -> set[tuple[str, ...]]:
        pool = Pool(with_(demo_settings, **rules | changes), seeds, machine)
        asked = [pool.request(0, number).demonstrations for number in range(40)]
        assert asked == [pool.request(0, number).demonstrations for number in range(40)]
        assert all({"a", "b"} < {row.id for row in rows} for rows in asked)
        return {tuple(sorted({row.id for row in rows} - {"a", "b"})) for rows in asked}

    # Dogs and cats share three words of four, the first lake and the human ones as many.
    assert shown() == {("i000001", "i000003"), ("i000002", "i000003")}
    assert len(shown(demonstration_candidates=None)) == 6, "any two"
    assert ("i000000", "i000001") in shown(demonstration_candidates=3), "of three that were drawn"
    with pytest.raises(ValidationError, match="demonstration_candidates 2 leave nothing to choose"):
        with_(demo_settings, machine_demonstrations=2, demonstration_candidates=2)


def test_the_end_of_the_list_is_a_stop_string(demo_settings: Instructions) -> None:
    assert decoding(with_(demo_settings, last_item=15)).stop == ("\n\n", "Task 16")
    counted = with_(demo_settings, last_item=15, numbering="{number}.")
    assert decoding(counted).stop == ("\n\n", "\n16.")
    assert decoding(counted).max_new_tokens == demo_settings.sampling.max_new_tokens


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
    "text",
    [
        " Sort it now please.\n**Task 10:** Explain x y z.\n**Task 11:** Name a city.\n**",
        " Sort it now please.\n**Task 10**: Explain x y z.\n**Task 11**: Name a city.\n\n",
        " Sort it now please.\n## Task 10: Explain x y z.\n### Task 11: Name a city.\n###",
        " Sort it now please.\n- **Task 10:** Explain x y z.\n- Task 11: Name a city.",
        " Sort it now please.\n**Task 10: Explain x y z.**\n**Task 11: Name a city.**",
        " Sort it now please.\n__Task 10:__ Explain x y z.\n`Task 11:` Name a city.",
    ],
)
def test_markdown_around_numbers_does_not_count(text: str, demo_settings: Instructions) -> None:
    numbered = with_(demo_settings, numbering="Task {number}:")
    found = ["Sort it now please.", "Explain x y z.", "Name a city."]
    assert items(text, numbered, truncated=False) == [(item, True) for item in found]
    bare = re.sub(r"Task (\d+):?", r"\1.", text).replace(".**:", ".**").replace("..", ".")
    plain = with_(demo_settings, numbering="{number}.")
    assert [item for item, _ in items(bare, plain, truncated=False)] == found


def test_markdown_within_an_item_is_the_models_own(demo_settings: Instructions) -> None:
    text = " Sort **it** now.\nTask 10: **Explain** x\n- y\nTask 11: Use __init__ and `x`."
    numbered = with_(demo_settings, numbering="Task {number}:")
    found = ["Sort **it** now.", "**Explain** x - y", "Use __init__ and `x`."]
    assert [item for item, _ in items(text, numbered, truncated=False)] == found


def test_items_in_another_numbering(demo_settings: Instructions) -> None:
    settings = with_(demo_settings, numbering="{number}.", last_item=15)
    # As Self-Instruct numbers: within a line 3.5 and "in 2010." begin nothing.
    reply = " Add 3.5 to it in 2010. Then\n10. Name a river.\n 11 . Sing\n12.5 is a number"
    assert texts(reply, settings) == [
        "Add 3.5 to it in 2010. Then",
        "Name a river.",
        "Sing 12.5 is a number",
    ]
    assert len(texts("\n " * 40_000, settings)) == 1, "in a time that grows with the text alone"
    again = " 1. Add 3.5 to it in 2010. Then\n2. Name a river."  # a list of the reply's own
    for before in ("1.", "\n\n9. ", "**1.** ", "9. 1. "):
        own = again.replace(" 1. ", before, 1)
        assert texts(own, settings) == ["Add 3.5 to it in 2010. Then", "Name a river."]
    assert texts("3.5 is what?", settings) == ["3.5 is what?"]
    for hostile in ("1 " * 20_000, " " * 80_000, "1." * 40_000, "1. " * 20_000):
        assert len(texts(hostile, settings)) == 1
    assert texts("Task 9: Sort\nTask 10: Sing", demo_settings) == ["Sort", "Sing"]
    brackets = with_(demo_settings, numbering="({number})")
    assert texts(" Sort\n(10) Sing ( 11 )Hum", brackets) == ["Sort", "Sing", "Hum"]


@pytest.mark.parametrize(
    "numbering", ["Task:", "{number}", "{n}.", "{number}{number}.", "a\n{number}."]
)
def test_a_numbering_needs_a_number_and_a_sign(demo_settings: Instructions, numbering: str) -> None:
    with pytest.raises(ValidationError, match="numbering"):
        with_(demo_settings, numbering=numbering)


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
        ("write a Program that sorts", "prefix"),
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


def test_what_self_instruct_refuses_may_be_let_in(demo_settings: Instructions) -> None:
    rules = with_(demo_settings, filter={"punctuation": True, "non_ascii": True}).filter
    assert refusal("- name four big rivers", rules) is None
    assert refusal("Élan: name four rivers", rules) is None


@given(st.text(max_size=200), st.sampled_from(["stop", "eos", "length"]))
def test_hostile_replies_are_items_or_rejections(text: str, finish: str) -> None:
    settings = Instructions.model_validate(
        {
            "seed": 0, "engine": "transformers", "segment_size": 1, "prompts_per_round": 1,
            "human_demonstrations": 1, "machine_demonstrations": 0, "numbering": "Task {number}:",
            "splitting": "spaced", "demonstration_candidates": None, "end_after_similar": 2,
            "last_item": 9, "quantization": "none",
            "sampling": {"temperature": 1.0, "top_p": 1.0, "min_p": 0.0, "presence_penalty": 0.0,
                         "max_new_tokens": 8, "stop": ["\n\n"]},
            "filter": {"min_words": 1, "max_words": 9, "keywords": ["file"], "prefixes": ["x"],
                       "punctuation": False, "non_ascii": False, "capitalize": False,
                       "loop": 3, "truncated": "drop item"},
            "novelty": {"threshold": "0.7", "tie": "reject", "tokens": "rouge"},
        }
    )  # fmt: skip
    pool = Pool(settings, SEEDS, [])
    for item, whole in items(text, settings, truncated=finish == "length"):
        if whole and not refusal(item, settings.filter):
            refused = pool.enter(item, pool.request(0, 0), reply(text))
            assert refused is None or refused.reason in ("no tokens", "similar")


def garbage(tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()) -> Replies:
    yield 0, reply(" \x00\ufffd!!", "length")
    for place in range(1, len(tails)):
        yield place, reply("")


@pytest.mark.parametrize("least", [0.0, 0.2])
def test_a_model_that_writes_garbage_ends_in_figures(
    demo_settings: Instructions, least: float
) -> None:
    settings = with_(demo_settings, segment_size=5, prompts_per_round=4)
    with pytest.raises(InputError) as error:
        bootstrapped(
            settings,
            Replying(garbage),
            watch=PATIENT.model_copy(update={"least_yield": least, "patience": 3}),
        )
    message = str(error.value)
    assert "of the 12 items of the last 3 rounds 0 (0.0%) entered the pool" in message
    assert "holds 0 instructions" in message
    assert "75.0% empty, 25.0% truncated" in message


def test_prompts_without_room_are_named_so(demo_settings: Instructions) -> None:
    """The engine gives nothing for a prompt that fills the model's context."""

    def cramped(
        tails: Sequence[str], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Replies:
        for place in range(len(tails)):
            yield place, Reply("", "length", 999, 0)

    settings = with_(demo_settings, segment_size=5, prompts_per_round=4)
    with pytest.raises(InputError, match=r"100.0% no room.* shorten the prompt file or the seeds"):
        bootstrapped(
            settings,
            Replying(cramped),
            watch=PATIENT.model_copy(update={"patience": 2}),
        )


def test_a_yield_above_the_floor_goes_on_and_one_below_ends(demo_settings: Instructions) -> None:
    settings, watch = with_(demo_settings, segment_size=30, prompts_per_round=4), {"patience": 4}
    with pytest.raises(InputError, match=r"of the last 4 rounds .* asks for 99.0%"):
        grown(
            with_(settings, segment_size=500),
            1,
            PATIENT.model_copy(update={"least_yield": 0.99, **watch}),
        )
    low = PATIENT.model_copy(update={"least_yield": 0.05, **watch})
    assert len(grown(settings, 1, low)[0].instructions) == 30


def row_of(index: int, text: str = "x") -> Instruction:
    return Instruction(f"i{index:06d}", text, 2, 0, [], "", 0.0, "", 0.0, 9, 9)


def test_ids_must_run_on() -> None:
    row = row_of
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
        (b'{"next_round": 2, "surplus": []}', "next_round: 2, where round 2 has been"),
        (b'{"next_round": 3, "surplus": [{"id": 7}]}', "surplus.0.id"),
        (
            b'{"next_round": 3, "surplus": [{"id": "i000009", "instruction": "x", "round": 0,'
            b' "request": 0, "demonstrations": [], "nearest": "", "rouge_l": 0.5,'
            b' "nearest_seed": "", "seed_rouge_l": 0.5, "prompt_tokens": 9, "reply_tokens": 9}]}',
            "surplus.0.id: 'i000009', where i000004 follows",
        ),
    ],
)
def test_a_broken_carry_is_named(content: bytes, wrong: str) -> None:
    with pytest.raises(InputError, match="carry.json: " + wrong):
        carry_of(content, Path("carry.json"), [row_of(i) for i in range(4)])


def inputs(world: Path) -> dict[str, Any]:
    experiment = read_experiment(tiny_config(world))
    return {
        "settings": experiment.instructions,
        "watch": experiment.watch.instructions,
        "server": None,
        "served": None,
        "seeds": world / "seeds.jsonl",
        "prompt": ROOT / "demo" / "prompts" / "instructions.txt",
        "chat": False,
        "backbone": world / "llama",
    }


def flags(given: dict[str, Any]) -> list[object]:
    """The command line of a segment."""
    words: list[object] = ["segment"]
    for name, value in given.items():
        words.append(f"--{name}")
        if isinstance(value, list):
            words += value
        elif value is not None:
            words.append(canonical(value) if isinstance(value, Section) else value)
    return words


RESULTS = ["carry.json", "instructions.jsonl", "rejected.jsonl", "rounds.csv"]


def test_command_line(run_script: Script, world: Path, tmp_path: Path) -> None:
    given = inputs(world)
    first, again, second = (tmp_path / name for name in ("first", "again", "second"))
    called = given | {"earlier": [], "number": 0, "progress": tmp_path / "kept", "segment": first}
    done = run_script("instructions", *flags(called))
    assert done.returncode == 0, done.stderr
    assert "progress: 4/4 instructions" in done.stdout
    assert re.search(r"^round 0: \d+ of \d+ accepted, \d+ in the pool · [\d,]+ tokens/s · [\d,]+ "
                     r"instructions/h", done.stdout, re.M)  # fmt: skip

    script.segment(**called | {"progress": tmp_path / "other", "segment": again})
    assert sorted(path.name for path in first.iterdir()) == sorted([*RESULTS, "timing.csv"])
    for name in RESULTS:
        assert (first / name).read_bytes() == (again / name).read_bytes()
    with open(first / "rounds.csv", newline="") as file:
        assert tuple(next(csv.reader(file))) == COLUMNS

    grown = {"earlier": [first], "number": 1, "progress": tmp_path / "more", "segment": second}
    script.segment(**given | grown)
    merged = tmp_path / "pool.jsonl"
    done = run_script(
        "instructions", "merge", "--segments", first, second, "--instructions", merged
    )
    assert done.returncode == 0, done.stderr
    ids = [json.loads(line)["id"] for line in merged.read_text().splitlines()]
    assert ids == [f"i{index:06d}" for index in range(8)]
    with pytest.raises(InputError, match=r"again/instructions.jsonl, line 1: id 'i000000'"):
        script.merge(segments=[first, again], instructions=merged)
    whole = (second / "instructions.jsonl").read_bytes()
    for kept in (whole[: whole.index(b"\n") + 1], b""):
        (second / "instructions.jsonl").write_bytes(kept)
        count = len(kept.splitlines())
        with pytest.raises(InputError, match=f"holds {count} instructions, a whole segment 4"):
            script.merge(segments=[first, second], instructions=merged)
        later = {"earlier": [first, second], "number": 2, "segment": tmp_path / "third"}
        with pytest.raises(InputError, match=f"holds {count} instructions, a whole segment 4"):
            script.segment(**given | later | {"progress": tmp_path / "late"})


def test_faults_end_the_stage_before_it_writes(
    world: Path, tiny_llama: Path, tmp_path: Path
) -> None:
    given = inputs(world) | {"earlier": [], "number": 0, "segment": tmp_path / "segment"}
    given["progress"] = tmp_path / "kept"
    hopeless = {
        "chat": False,
        "backbone": tiny_llama,
        "settings": with_(given["settings"], filter={"min_words": 40}),
        "watch": PATIENT.model_copy(update={"patience": 2}),
    }
    with pytest.raises(InputError, match=r"of the last 2 rounds 0 \(0.0%\) entered the pool"):
        script.segment(**given | hopeless)
    assert not given["segment"].exists()

    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text("".join((world / "seeds.jsonl").read_text().splitlines(keepends=True)[:7]))
    with pytest.raises(InputError, match=f"{seeds}: 7 seed tasks; .* ask for 8"):
        script.segment(**given | {"seeds": seeds})
    with pytest.raises(InputError, match="--number 2: needs 2 earlier segments, got 0"):
        script.segment(**given | {"number": 2})
    given["segment"].mkdir()
    (given["segment"] / "file").touch()
    with pytest.raises(InputError, match="segment: exists already"):
        script.segment(**given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"last_item": 8}, "leaves nothing to write after the 8 demonstrations"),
        ({"novelty": {"threshold": "0.0"}}, "a threshold of 0 is reached by every text"),
        ({"filter": {"min_words": 41}}, "min_words 41 is greater than max_words 40"),
    ],
)
def test_settings_that_cannot_work(
    demo_settings: Instructions, change: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        with_(demo_settings, **change)
