"""Sizes that count instances: as many rows as asked for, and an end where they do not come."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sft
from fine_tuning import segment as of_rows
from instances_sizes import count, first
from refine_af.errors import InputError
from refine_af.exports.formats import counts_of
from refine_af.files.rows import read_records, write_records
from refine_af.files.shares import by_folder
from refine_af.instances.parsing import REASONS
from refine_af.instances.segments import write_segment
from refine_af.instances.sizes import check_kept, up_to
from refine_af.records.instances import Instance
from refine_af.records.subsets import held, in_words, needed, spent
from refine_af.settings.subsets import Subsets
from refine_af.settings.watch import SubsetsWatch
from refine_af.workflow.segments import Segments
from test_instances import ONE, THREE, asked, found_in, instruction
from test_plan import plan_of

ROWS = Subsets(count="instances", order="prefix", pool=1, seed=0)
DRAWN = Subsets(count="instances", order="random", pool=7, seed=3)
HALF = SubsetsWatch(least_kept=0.5)


def rows_of(texts: dict[int, list[str]]) -> list[Instance]:
    """The instances of instructions by number: their outputs."""
    return [
        Instance(f"i{place:06d}-{k}", f"i{place:06d}", "refine-af", "Do.", "", text, "", 0.0, {})
        for place, outputs in texts.items()
        for k, text in enumerate(outputs)
    ]


@pytest.mark.parametrize(
    ("kept", "wanted", "names"),
    [
        ([4, 4], 8, ["0", "1"]),
        ([4, 4], 6, ["0", "1-2"]),
        ([4, 4], 4, ["0"]),
        ([4, 4], 1, ["0-1"]),
        ([2, 4, 4], 7, ["0", "1", "2-1"]),
        ([2, 4], 7, None),
        ([], 1, None),
    ],
)
def test_which_segments_hold_the_first_instances(
    kept: list[int], wanted: int, names: list[str] | None
) -> None:
    assert held(kept, wanted) == names


@given(kept=st.lists(st.integers(1, 9), min_size=1, max_size=9), data=st.data())
def test_they_hold_exactly_so_many_whatever_is_counted_beyond(
    kept: list[int], data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, sum(kept)))
    names = held(kept, wanted)
    assert names is not None and names == held([*kept, 5], wanted)
    cut = [name.split("-") for name in names]
    assert sum(int(of[1]) if len(of) > 1 else kept[int(of[0])] for of in cut) == wanted
    assert [int(of[0]) for of in cut] == list(range(len(names)))


def test_what_a_size_needs_and_when_it_is_given_up() -> None:
    assert needed(5, ROWS) == 5 and needed(5, DRAWN) == 7
    assert not spent(9, 5, HALF) and spent(10, 5, HALF)
    assert in_words(ROWS).startswith("A size counts instances: it has the first that a method kept")
    assert in_words(DRAWN) == (
        "A size's instances are drawn at random from the first 7 that a method kept (seed 3), and "
        "each size has all of a smaller one's."
    )


def growing(**changes: Any) -> Segments:
    """Segments of 4 instructions, for sizes that count instances."""
    given: dict[str, Any] = {"sizes": [4, 7], "subsets": {"count": "instances"}}
    given |= {"instructions": {"segment_size": 4}, "ppo": {"rollouts": 4, "batch_size": 1}}
    return plan_of(**given | changes).segments


def counted_in(folder: Path, kept: dict[int, list[int]]) -> Callable[[int], str]:
    """The files that count to each of some segments, and where one would be of any other."""
    for last, found in kept.items():
        folder.mkdir(exist_ok=True)
        (folder / f"{last}.json").write_text(json.dumps({"kept": found}))
    return lambda last: str(folder / f"{last}.json")


def test_segments_grow_until_a_data_set_has_enough(tmp_path: Path) -> None:
    segments = growing()
    counts = counted_in(tmp_path / "a", {})
    assert segments.holding(7, counts) == ["0", "1"], "7 need two segments in any case"
    assert segments.counted(7, counts) == [str(tmp_path / "a" / "1.json")]
    assert segments.holding(4, counts) == ["0"]
    assert segments.counted(4, counts) == [str(tmp_path / "a" / "0.json")]
    counts = counted_in(tmp_path / "a", {0: [2], 1: [2, 4]})
    assert segments.holding(7, counts) == ["0", "1", "2"], "one more, and counted again"
    assert segments.counted(7, counts) == [str(tmp_path / "a" / "2.json")]
    assert segments.holding(4, counts) == ["0", "1-2"], "of the smaller size all is known"
    assert segments.counted(4, counts) == [str(tmp_path / "a" / "1.json")]
    counts = counted_in(tmp_path / "a", {2: [2, 4, 4]})
    assert segments.holding(7, counts) == ["0", "1", "2-1"]
    easy = counted_in(tmp_path / "b", {1: [4, 4]})
    assert segments.holding("7", easy) == ["0", "1-3"]
    assert segments.pool([easy]) == [0, 1]
    assert segments.pool([easy, counts]) == [0, 1, 2], "stage 1 makes what the neediest wants"


def test_segments_end_where_instances_do_not_come(tmp_path: Path) -> None:
    segments = growing()
    assert segments.most == 4, "7 instances of 16 instructions are less than half, of 12 more"
    assert segments.possible == [0, 1, 2, 3]
    short = counted_in(tmp_path, {last: [1] * (last + 1) for last in range(1, 4)})
    assert segments.counted(7, short) == [str(tmp_path / "4.json")]
    assert segments.holding(7, short) == ["0", "1", "2", "3"]
    assert segments.counted_up_to(4) == [0, 1, 2, 3], "the job that ends the run makes none anew"
    assert segments.remarks == [
        "sizes 4, 7 count instances (subsets.count): stages 1 and 3 make 2 segments of 4 "
        "instructions, and further ones until each method has kept 7, 4 at most "
        "(watch.subsets.least_kept 0.5). The plan shows what is known so far."
    ]


def test_pairs_and_random_sizes_ask_for_what_they_need(tmp_path: Path) -> None:
    nowhere = counted_in(tmp_path, {})
    assert growing(instances={"per_instruction": 3}).holding(7, nowhere) == ["0"]
    drawn = {"count": "instances", "order": "random", "pool": 11}
    assert growing(subsets=drawn).holding(4, nowhere) == ["0", "1", "2"], "all that is drawn from"
    plans = [plan_of(subsets={"count": name}) for name in ("instructions", "instances")]
    one, other = (plan.subsets()(None) for plan in plans)
    assert one != other, "another count makes every cell anew"
    watched = plan_of(subsets={"count": "instances"}, watch={"subsets": {"least_kept": 0.9}})
    assert watched.subsets()(None) == other, "when to give up decides nothing"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sizes": [0]}, r"sizes\.0: Input should be greater than or equal to 1; got 0"),
        ({"sizes": [-5]}, r"sizes\.0: Input should be greater than or equal to 1; got -5"),
        ({"sizes": ["many"]}, r"sizes\.0: Input should be a valid integer; got 'many'"),
        ({"sizes": 100}, r"sizes: .*; got 100"),
        ({"sizes": [10**10]}, r"sizes\.0: Input should be less than or equal to 1000000000"),
        (
            {"sizes": [2500 * 1000 + 1]},
            r"2500001 needs more than 1,000 segments of 5000 \(instructions\.segment_size\), 0\.5 "
            r"of whose instructions are kept \(watch\.subsets\.least_kept\)",
        ),
        ({"subsets": {"count": "rows"}}, r"subsets\.count: .*'instructions' or 'instances'"),
        ({"watch": {"subsets": {"least_kept": 0}}}, r"least_kept: Input should be greater than 0"),
        ({"watch": {"subsets": {"least_kept": 1.1}}}, r"least_kept: .*less than or equal to 1"),
        (
            {"subsets": {"count": "instances", "order": "random", "pool": 9}},
            r"sizes: 15000 exceeds subsets\.pool 9, the first instances that",
        ),
    ],
)
def test_sizes_that_cannot_be_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        plan_of(**{"subsets": {"count": "instances"}} | changes)


REPLIES = ["Output: a", "no pair", "Output: b\nOutput: c", "Output: d"]


def test_a_segment_up_to_its_first_instances() -> None:
    instructions = [instruction(place) for place in range(4)]
    replies = [
        asked(text, "output first" if text[-1] == "b" else "input first") for text in REPLIES
    ]
    rows = rows_of({0: ["a"], 2: ["b"], 3: ["d"]})
    assert [entry.row.id for entry in found_in(ONE, *REPLIES).kept] == [
        row.instruction_id for row in rows
    ]
    found = up_to(rows[:2], ONE, instructions, replies)
    assert (found.instructions, found.parsed, len(found.kept)) == (3, 2, 2)
    assert [entry.source for entry in found.rejected][:1] == ["i000001"], "of the fourth, nothing"
    with pytest.raises(InputError, match="--instances: are not those that --replies hold"):
        up_to(rows_of({1: ["a"]}), ONE, instructions, replies)


def test_of_the_last_instruction_further_pairs_are_not_told() -> None:
    reply = "Example 1\nInput: x\nOutput: a\nExample 2\nInput: y\nOutput: b"
    found = up_to(rows_of({0: ["a"]}), THREE, [instruction(0)], [asked(reply)])
    assert [entry.pair.output for entry in found.kept] == ["a"] and found.rejected == []


def counts(instructions: int, kept: int, **reasons: int) -> dict[str, int]:
    named = {name.replace("_", " "): number for name, number in reasons.items()}
    return {"instructions": instructions, "kept": kept} | dict.fromkeys(REASONS, 0) | named


def test_an_end_says_what_came_and_why_not_more() -> None:
    few = [counts(4, 1, truncated=2, no_output=1), counts(4, 2, truncated=2)]
    check_kept(few, 3, HALF)
    check_kept(few, 5, HALF)  # 8 instructions may give 4 at least: a further segment is made
    with pytest.raises(InputError) as caught:
        check_kept(few, 4, HALF)
    said = str(caught.value)
    assert said.startswith("--size 4: 8 instructions gave 3 instances (37.5%), and watch.subsets")
    assert "Refused: 4 truncated, 1 no output. Look at" in said
    with pytest.raises(InputError, match=r"0 instances \(0\.0%\).*Refused: nothing"):
        check_kept([counts(8, 0)], 4, HALF)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A segment of four instructions: two rounds of replies, three instances of them."""
    write_records(tmp_path / "pool" / "instructions.jsonl", [instruction(n) for n in range(4)])
    for number, texts in enumerate((REPLIES[:2], REPLIES[2:])):
        lines = [
            {**vars(asked(text, place=place)), "round": number} for place, text in enumerate(texts)
        ]
        (tmp_path / f"{number}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
    rows = rows_of({0: ["a"], 2: ["b"], 3: ["d"]})
    write_segment(tmp_path / "made", found_in(ONE, *REPLIES), rows)
    return tmp_path


def first_of(folder: Path, size: int) -> Path:
    made = folder / f"made-{size}"
    replies = [folder / "0.jsonl", folder / "1.jsonl"]
    given = {"instructions": folder / "pool", "replies": replies, "instances": folder / "made"}
    first(settings=ONE, size=size, segment=made, **given)  # type: ignore[arg-type]
    return made


def test_the_first_instances_of_a_segment_are_a_segment(folder: Path) -> None:
    made = first_of(folder, 2)
    whole = (folder / "made" / "instances.jsonl").read_bytes()
    assert (made / "instances.jsonl").read_bytes() == b"".join(whole.splitlines(True)[:2])
    assert counts_of([made / "counts.csv"], 2)["instructions"] == 3
    assert len(read_records(made / "instances.jsonl", Instance)) == 2
    for size in (0, 4):
        with pytest.raises(InputError, match=f"--size {size}: .*made holds 3 instances"):
            first_of(folder, size)
    every = first_of(folder, 3)
    for name in ("instances.jsonl", "rejected.jsonl", "counts.csv"):
        assert (every / name).read_bytes() == (folder / "made" / name).read_bytes()


def test_segments_are_counted_and_faults_named(folder: Path) -> None:
    made = [folder / "made"] * 2
    count(size=6, watch=HALF, segments=made, counts=folder / "counts.json")
    assert json.loads((folder / "counts.json").read_text()) == {"kept": [3, 3]}
    strict = SubsetsWatch(least_kept=1.0)
    with pytest.raises(InputError, match="--size 8: 8 instructions gave 6 instances"):
        count(size=8, watch=strict, segments=made, counts=folder / "none.json")
    assert not (folder / "none.json").exists()
    (folder / "made" / "counts.csv").write_text("instructions,kept\n4,many\n")
    with pytest.raises(InputError, match=r"made/counts\.csv: 'kept' is no count: 'many'"):
        count(size=8, watch=strict, segments=made, counts=folder / "none.json")


def test_a_model_is_tuned_on_exactly_so_many(tmp_path: Path) -> None:
    rows = rows_of({0: ["a", "b"], 3: ["c"], 4: ["d", "e"], 9: ["f", "g", "h"]})
    parts = [of_rows(tmp_path / "0", rows[:3]), of_rows(tmp_path / "1", rows[3:])]
    files = [part / "instances.jsonl" for part in parts]
    assert sft._of_size(5, ROWS, files) == rows[:5]
    assert sft._of_size(5, ROWS.model_copy(update={"count": "instructions"}), files) == rows[:5]
    assert sft._of_size(2, ROWS.model_copy(update={"count": "instructions"}), files) == rows[:2]
    larger, smaller = (sft._of_size(size, DRAWN, files) for size in (6, 3))
    assert len(larger) == 6 and len(smaller) == 3 and all(row in larger for row in smaller)
    assert rows[7] not in larger, "which stands beyond the pool of seven"
    with pytest.raises(InputError, match="8 instances, which lack 1 of the 9 that are trained on"):
        sft._of_size(9, ROWS, files)


def test_paths_go_to_their_owners_by_folder() -> None:
    paths = [Path("a/0"), Path("a/1"), Path("b/0")]
    assert by_folder("--pools", paths, ["x", "y"]) == {"x": paths[:2], "y": paths[2:]}
    for wrong, owners in (
        (paths, ["x"]),
        (paths, ["x", "y", "z"]),
        ([Path("a/0"), Path("b/0"), Path("a/1")], ["x", "y", "z"]),
    ):
        with pytest.raises(InputError, match=r"--pools: 3 paths in . folders, which are not one"):
            by_folder("--pools", wrong, owners)
