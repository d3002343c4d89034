"""The page to browse data on: what its columns hold, and in how many bytes."""

from __future__ import annotations

import base64
import json
import random
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import browsing
from browser import main, read_collection
from browsing import METHODS, SEEDS, Data
from conftest import Script
from refine_af.browser.bound import within
from refine_af.browser.collection import Collection, Written, collected, drawn
from refine_af.browser.columns import columns_of
from refine_af.errors import InputError
from refine_af.jobs.command_line import run
from refine_af.pages.standalone import packed, page, policy
from refine_af.records.instances import Rejected

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=40)


def collection(data: Data) -> Collection:
    written = [Written(name, data.written[name], data.refused[name]) for name in METHODS]
    return collected(
        "tiny",
        SEEDS,
        data.pool,
        data.rejected,
        written,
        browsing.neighbours(data.pool),
        browsing.verbs(data.pool),
    )


def unpacked(data: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(data)))


def data_of(html: str) -> Any:
    """What a page's block of data holds."""
    (found,) = re.findall(r'<script type="application/octet-stream" id="data">([^<]*)<', html)
    return unpacked(found)


def test_columns_hold_each_text_once_and_rows_by_number() -> None:
    columns = columns_of(collection(Data()), collection(Data()))
    texts = columns["texts"]["text"]
    assert len(texts) == len(set(texts))
    pool, instances = columns["pool"], columns["instances"]
    assert [texts[n] for n in pool["text"][:2]] == [
        "Name a river of the north.",
        "Sort the three words.",
    ]
    assert pool["rouge_l"][:3] == [0.5, 0.25, 0.666667]  # six digits
    assert len(instances["id"]) == 11
    assert instances["id"][5] == "i000000-0" and instances["method"] == [0] * 5 + [1] * 6
    assert instances["pool"] == [0, 1, 2, 3, 5, 0, 1, 2, 3, 4, 5]
    assert texts[instances["output"][1]] == "Answer 1 of self-instruct with many words."
    assert columns["texts"]["words"][instances["output"][1]] == 7
    assert instances["reward"][-1] == 0.55
    assert instances["components"] == [
        ["reward_model", [round(r - 0.5, 6) for r in instances["reward"]]],
        ["naturalness", [0.9] * 11],
    ]
    assert columns["pairs"]["reason"] == ["truncated", "surplus", "empty output"]
    assert columns["pairs"]["pool"] == [4, 1, 1]
    assert columns["rejected"]["nearest"] == ["i000000", None, "i000001"]
    assert columns["rejected"]["rouge_l"] == [0.8333, None, 0.75]
    assert columns["whole"] == {"pool": 6, "rejected": 3}
    references = [None if n is None else texts[n] for n in pool["reference"]]
    assert references == [None, browsing.REFERENCE, None] * 2
    assert pool["reference_rouge_l"] == [0.0, 0.125, 0.0] * 2
    assert pool["verb"] == ["sort", None, "write"] * 2
    assert pool["noun"] == ["text", None, None] * 2
    # The text of i000999 is in no file; those of the pool stand there already.
    assert columns["named"]["id"] == ["seed_0", "seed_1"]
    assert [texts[n] for n in columns["named"]["text"]] == [row.instruction for row in SEEDS]


def test_a_component_that_some_rows_lack_is_none_there() -> None:
    data = Data()
    data.written["refine-af"] = [
        replace(row, components={"brief": 1.0}) for row in data.written["refine-af"]
    ]
    ((first, scores), _, (last, others)) = columns_of(collection(data), collection(data))[
        "instances"
    ]["components"]
    assert (first, scores[5:]) == ("reward_model", [None] * 6)
    assert (last, others) == ("brief", [None] * 5 + [1.0] * 6)


@given(text=ANY_TEXT)
def test_any_text_comes_back_from_the_page_as_it_was(text: str) -> None:
    html = page(*assets(), data=packed({"text": text}))
    assert data_of(html) == {"text": text}
    assert html.count("</script") == 2


def assets() -> list[str]:
    return [(browsing.PAGE / f"page.{kind}").read_text() for kind in ("html", "css", "js")]


def test_the_policy_lets_nothing_load_and_nothing_else_run() -> None:
    _, style, script = assets()
    told = policy(style, script)
    assert told.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in told and "http" not in told and "'self'" not in told
    assert f'content="{told}"' in page(*assets(), data="")


def test_the_script_never_takes_a_text_for_markup() -> None:
    script = assets()[2]
    for sink in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert sink not in script


def test_the_command_line_writes_the_same_bytes_again(run_script: Script, tmp_path: Path) -> None:
    done = browsing.make_page(run_script, tmp_path, Data())
    assert done.returncode == 0, done.stderr
    assert done.stdout == "11 instances of 6 of 6 instructions, and 3 of 3 refused ones\n"
    first = (tmp_path / "page.html").read_bytes()
    browsing.make_page(run_script, tmp_path, Data())
    assert (tmp_path / "page.html").read_bytes() == first
    found = data_of(first.decode())
    assert found == columns_of(collection(Data()), collection(Data()))


def test_one_method_without_verbs_has_a_page(tmp_path: Path) -> None:
    Data().write(tmp_path)
    flags = browsing.arguments(tmp_path, METHODS[1:]) | {"diversity": []}
    run(main, arguments=browsing.words(flags))
    found = data_of((tmp_path / "page.html").read_text())
    assert "verb" not in found["pool"]
    assert found["methods"] == ["refine-af"] and len(found["instances"]["id"]) == 6


# ---- a bound on bytes -----------------------------------------------------------------------


def large(count: int) -> Collection:
    """As many instructions, a third as many refused ones, and texts that no packing shortens."""
    data = Data()
    data.pool = [
        browsing.instruction(n, f"Task {n} {'%x' % (7919**40 * (n + 1))}.") for n in range(count)
    ]
    data.rejected = [replace(data.rejected[0], text=f"No {n}.") for n in range(count // 3)]
    data.written = {
        method: [browsing.instance(method, n, "", f"{method} {n}", 0.5) for n in range(count)]
        for method in METHODS
    }
    data.refused = {
        method: [Rejected(f"i{n:06}", "surplus", "more") for n in range(count)]
        for method in METHODS
    }
    return collection(data)


def test_what_fits_is_shown_whole() -> None:
    whole = large(30)
    shown, data = within(whole, 10**6, seed=0)
    assert shown is whole and unpacked(data) == columns_of(whole, whole)


def test_of_what_does_not_fit_a_sample_is_shown_and_its_share_is_told() -> None:
    whole = large(300)
    size = len(packed(columns_of(whole, whole)))
    shown, data = within(whole, size // 2, seed=0)
    assert 0.7 * (size // 2) < len(data) <= size // 2
    columns = unpacked(data)
    assert columns["whole"] == {"pool": 300, "rejected": 100}
    count = len(columns["pool"]["id"])
    assert 90 < count < 200 and columns["pool"]["id"] == sorted(columns["pool"]["id"])
    assert len(columns["rejected"]["text"]) == pytest.approx(count / 3, abs=1)
    # All that was made of a drawn instruction is there.
    assert len(columns["instances"]["id"]) == len(columns["pairs"]["pool"]) == 2 * count
    assert within(whole, size // 2, seed=0)[1] == data
    assert within(whole, size // 2, seed=1)[0].pool != shown.pool


def test_a_smaller_sample_is_part_of_a_larger_one() -> None:
    whole = large(60)
    samples = [{row.id for row in drawn(whole, share, 3).pool} for share in (0.1, 0.5, 1.0)]
    assert [len(sample) for sample in samples] == [6, 30, 60]
    assert samples[0] < samples[1] < samples[2]


@pytest.mark.parametrize("most", [0, -50, 100])
def test_where_nothing_fits_nothing_is_shown(most: int) -> None:
    shown, data = within(large(9), most, seed=0)
    assert shown.pool == [] and shown.rejected == []
    assert unpacked(data)["whole"] == {"pool": 9, "rejected": 3}


def test_the_bound_is_of_the_whole_file(run_script: Script, tmp_path: Path) -> None:
    data = Data()
    long = random.Random(0).randbytes(800_000).hex()  # a byte deflated, 4/3 in base64
    data.written["refine-af"][0] = replace(data.written["refine-af"][0], output=long)
    sizes = {}
    for megabytes in (1, 30):
        done = browsing.make_page(run_script, tmp_path, data, megabytes=megabytes)
        assert done.returncode == 0, done.stderr
        sizes[megabytes] = (tmp_path / "page.html").stat().st_size
        assert ("of 6 of 6 instructions" in done.stdout) is (megabytes == 30)
    assert sizes[1] <= 1_000_000 < sizes[30]


# ---- faults ---------------------------------------------------------------------------------


def first_of_refined(**fields: Any) -> Callable[[Data], None]:
    def edit(data: Data) -> None:
        rows = data.written["refine-af"]
        rows[0] = replace(rows[0], **fields)

    return edit


FAULTS: dict[str, tuple[Callable[[Data], Any], str]] = {
    "another method": (
        first_of_refined(method="self-instruct"),
        r"refine-af, 'i000000-0': is of method 'self-instruct'",
    ),
    "an id of another instruction": (
        first_of_refined(id="i000001-0"),
        "'i000001-0': no number of 'i000000'",
    ),
    "an id twice": (
        lambda data: data.written["refine-af"].append(data.written["refine-af"][0]),
        "refine-af, 'i000000-0': stands there twice",
    ),
    "a reward that is no number": (
        first_of_refined(reward=float("nan")),
        r"'i000000-0': has the scores \{'reward': nan\}",
    ),
    "a component that no float holds": (
        first_of_refined(components={"brief": 10**400}),
        r"'i000000-0': has the scores \{'brief': 1000",
    ),
    "an instance of no instruction": (
        first_of_refined(instruction_id="i000777", id="i000777-0"),
        "refine-af names instruction 'i000777', which --pools do not hold",
    ),
    "a pair of no instruction": (
        lambda data: data.refused["self-instruct"].append(Rejected("i9", "surplus", "")),
        "self-instruct names instruction 'i9', which",
    ),
    "an instruction twice": (
        lambda data: data.pool.append(data.pool[0]),
        "--pools: instruction i000000 stands there twice",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_rows_that_do_not_belong_are_named(name: str) -> None:
    edit, said = FAULTS[name]
    data = Data()
    edit(data)
    with pytest.raises(InputError, match=said):
        collection(data)


def test_files_that_cannot_be_are_named(tmp_path: Path) -> None:
    Data().write(tmp_path)
    pools = [tmp_path / "pool_0", tmp_path / "pool_1"]
    folders = [tmp_path / method / f"{k}" for method in METHODS for k in (0, 1)]
    seeds = tmp_path / "seeds.jsonl"
    near = tmp_path / "neighbours.jsonl"
    with pytest.raises(InputError, match="--instances: 2 paths in 1 folders, which are not one "):
        read_collection("tiny", [*METHODS], seeds, pools, folders[:2], near, None)
    with pytest.raises(InputError, match="--method 'alpaca': known are"):
        read_collection("tiny", ["alpaca"], seeds, pools, folders, near, None)
    (tmp_path / "refine-af" / "1" / "rejected.jsonl").write_text('{"source": 1}\n')
    with pytest.raises(InputError, match=r"refine-af/1/rejected\.jsonl, line 1: no 'reason'"):
        read_collection("tiny", [*METHODS], seeds, pools, folders, near, None)
    near.write_bytes(b"".join(near.read_bytes().splitlines(keepends=True)[:5]))
    (tmp_path / "refine-af" / "1" / "rejected.jsonl").write_text("")
    with pytest.raises(InputError, match="--neighbours: none of instruction 'i000005'"):
        read_collection("tiny", [*METHODS], seeds, pools, folders, near, None)
