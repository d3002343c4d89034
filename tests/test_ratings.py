"""Ratings by people: what a page holds, what may come back, and what the summary tells."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import math
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import raters
import ratings
from conftest import Script
from raters import CELLS, METHODS
from refine_af.errors import InputError
from refine_af.pages.standalone import embedded
from refine_af.randomness import derived_seed
from refine_af.ratings.agreement import agreement
from refine_af.ratings.items import QUESTIONS, Key, read_key, reviewed
from refine_af.ratings.returned import read_all, read_returned
from refine_af.ratings.summary import summary as rows_of
from refine_af.settings.fields import Section
from refine_af.settings.ratings import Page, Ratings, Summary
from refine_af.settings.report import Report
from tiny import ROOT

# Fleiss (1971), as Wikipedia's "Fleiss' kappa" works it: 10 subjects, 14 raters, 5 categories.
FLEISS_1971 = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


@pytest.fixture(scope="module")
def made(run_script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a page of 6 instructions by two methods, its key, and all that they need."""
    folder = tmp_path_factory.mktemp("ratings")
    raters.make_page(run_script, folder)
    return folder


@pytest.fixture(scope="module")
def key(made: Path) -> Key:
    return read_key(made / "key.json")


def shown_in(page: Path) -> dict[str, Any]:
    """What a page's block of JSON holds."""
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text())
    assert block
    data: dict[str, Any] = json.loads(block[1])
    return data


# ---- the page -------------------------------------------------------------------------------


def test_the_page_holds_each_cells_replies_and_the_drawn_instances(made: Path, key: Key) -> None:
    data = shown_in(made / "page.html")
    asked = {f"user_{n}": raters.user_text(n) for n in range(6)}
    for item in data["ratings"]:
        told = key.items["ratings"][item["id"]]
        instruction, given, reference = asked[told.source]
        assert (item["instruction"], item["input"]) == (instruction, given)
        assert item["reference"] == reference
        assert item["reply"] == raters.reply(CELLS[told.method], told.source)
    assert sorted((told.method, told.source) for told in key.items["ratings"].values()) == sorted(
        (method, source) for method in METHODS for source in asked
    )
    assert len(data["ratings"]) == 12
    assert len(data["review"]) == 2 * 4
    assert [item["id"] for item in data["ratings"]] == sorted(key.items["ratings"])


def test_no_method_and_no_cell_stands_in_the_page(made: Path) -> None:
    text = (made / "page.html").read_text()
    for name in (*METHODS, *CELLS.values(), "user_0", "i0000"):
        assert name not in text


def test_a_page_is_the_same_bytes_again_and_another_seed_gives_other_names(
    run_script: Script, made: Path, tmp_path: Path
) -> None:
    raters.make_page(run_script, tmp_path / "again")
    assert (tmp_path / "again" / "page.html").read_bytes() == (made / "page.html").read_bytes()
    raters.make_page(run_script, tmp_path / "other", seed=1)
    first, other = (shown_in(folder / "page.html") for folder in (made, tmp_path / "other"))
    assert first["page"] != other["page"]
    assert not {item["id"] for item in first["ratings"]} & {item["id"] for item in other["ratings"]}


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else(made: Path) -> None:
    text = (made / "page.html").read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    style, script = re.search(r"<style>(.*?)</style>", text, re.S), text.rpartition("<script>")[2]
    assert policy and style
    rules = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    for kind, inside in (("style", style[1]), ("script", script.partition("</script>")[0])):
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert rules["default-src"] == "'none'"
    assert not re.search(r"(src|href)=|url\(|@import", text)
    for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("):
        assert word not in text


@given(st.text(st.characters() | st.sampled_from("<>&\"'\0\u2028\u2029\ud800\udfff")))
def test_embedded_json_is_ascii_without_markup_and_says_the_same(text: str) -> None:
    written = embedded({"text": text})
    assert written.isascii()
    assert not set("<>&\0\r\n") & set(written)
    assert json.loads(written) == {"text": text}


FAULTY_PREDICTIONS: dict[str, tuple[Callable[[list[dict[str, Any]]], None], str]] = {
    "a reply is missing": (lambda rows: rows.remove(rows[7]), "no reply to 'user_1'"),
    "a reply twice": (lambda rows: rows.append(rows[0]), "line 15: self-instruct_8 answers"),
    "another question": (lambda rows: rows[7].update(input="else"), "'user_1' is not what"),
    "no cell": (lambda rows: rows.clear(), "no reply of tiny in self-instruct_8, refine-af_8"),
}


@pytest.mark.parametrize("fault", FAULTY_PREDICTIONS)
def test_predictions_that_do_not_match_are_refused(
    fault: str, run_script: Script, tmp_path: Path
) -> None:
    edit, message = FAULTY_PREDICTIONS[fault]
    done = raters.make_page(run_script, tmp_path, edit=edit)
    assert done.returncode == 1
    assert f"{tmp_path / 'predictions.jsonl'}" in done.stderr
    assert message in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_the_review_draws_instructions_that_methods_share() -> None:
    """A method that lacks some instructions is seen on those of the other's that it has."""
    rows = [raters.instance("self-instruct", n) for n in range(50)]
    rows += [raters.instance("refine-af", n) for n in range(0, 50, 2)]
    _, told = reviewed(rows, model="m", methods=METHODS, count=10, seed=3)
    drawn = {m: {item.source for item in told.values() if item.method == m} for m in METHODS}
    assert {method: len(sources) for method, sources in drawn.items()} == dict.fromkeys(METHODS, 10)
    even = {source for source in drawn["self-instruct"] if int(source[1:]) % 2 == 0}
    assert even <= drawn["refine-af"]


# ---- the settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("page", "files", "message"),
    [
        ({"methods": ["base", "base"]}, {}, "listed twice: base"),
        ({}, {"tiny": []}, "at least 1 item"),
        ({}, {"tiny": ["a\0b"]}, "NUL character"),
        ({}, {"tiny": ["a.json", "./a.json"]}, "tiny lists twice: a.json"),
    ],
)
def test_settings_of_ratings_that_cannot_be_meant_are_refused(
    page: dict[str, Any], files: dict[str, Any], message: str
) -> None:
    document = {
        "page": {"seed": 0, "methods": [*METHODS], "size": 8, "instances": 1} | page,
        "summary": {"seed": 0, "confidence": 0.95, "resamples": 10},
        "files": files,
    }
    with pytest.raises(ValueError, match=message):
        Ratings.model_validate(document)


@pytest.mark.parametrize("kind", [Summary, Report])
def test_a_confidence_has_a_finite_quantile(kind: type[Section]) -> None:
    others: dict[str, object] = {"seed": 0, "resamples": 10}
    if kind is Report:
        others |= {"count_wins_over": "tasks", "span": 1, "verbs": 1, "nouns": 1, "examples": 1}
    kind.model_validate(others | {"confidence": 0.999999})
    with pytest.raises(ValueError, match=r"confidence\n.*less than or equal to 0\.999999"):
        kind.model_validate(others | {"confidence": 0.9999999999999999})


@pytest.mark.parametrize("cells", [["base"], ["refine-af_8", "refine-af_8"]])
def test_a_page_has_one_cell_for_each_method(cells: list[str], made: Path) -> None:
    nothing = made / "page.html"
    with pytest.raises(InputError, match=r"--cells: .* one cell for each of"):
        ratings.page(
            settings=Page(seed=0, methods=METHODS, size=8, instances=1),
            model="tiny",
            cells=cells,
            predictions=made / "predictions.jsonl",
            instances=[],
            **dict.fromkeys(("markup", "style", "script", "page", "key"), nothing),
        )


KEYS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "no methods": (lambda k: k.update(methods=None), "'methods' is None"),
    "other methods": (lambda k: k.update(methods=["x"]), "'methods' is "),
    "a method twice": (lambda k: k["methods"].append("refine-af"), "'methods' is "),
    "no items": (lambda k: k.update(ratings={}, review={}), "the items are those of "),
    "a part that is a list": (lambda k: k.update(ratings=[]), "ratings: not a JSON object"),
    "an item that is a list": (lambda k: k["ratings"].update(i1=[]), "ratings.i1: not a method"),
    "an item with more": (
        lambda k: k["review"].update(i1={"method": "a", "source": "b", "z": 1}),
        "review.i1: not a method and a source",
    ),
    "a source that is a number": (
        lambda k: k["review"].update(i1={"method": "a", "source": 1}),
        "review.i1: not a method and a source",
    ),
    "an instruction twice": (
        lambda k: k["ratings"].update(i1=next(iter(k["ratings"].values()))),
        "twice",
    ),
    "a page that is a number": (lambda k: k.update(page=5), "'page' is no text: 5"),
}


@pytest.mark.parametrize("fault", KEYS)
def test_an_edited_key_is_refused(fault: str, made: Path, tmp_path: Path) -> None:
    edit, message = KEYS[fault]
    document = json.loads((made / "key.json").read_text())
    edit(document)
    (tmp_path / "key.json").write_text(json.dumps(document))
    with pytest.raises(InputError) as refused:
        read_key(tmp_path / "key.json")
    assert str(tmp_path / "key.json") in str(refused.value)
    assert message in str(refused.value)


# ---- files that come back -------------------------------------------------------------------


def test_json_and_csv_say_the_same(key: Key, tmp_path: Path) -> None:
    given_answers = raters.answers(key, seed=1)
    one = raters.write_json(tmp_path / "a.json", key, "Anna", given_answers)
    other = raters.write_csv(tmp_path / "a.csv", key, "Anna", given_answers)
    marked = tmp_path / "b.csv"  # as a spreadsheet writes it
    marked.write_bytes(b"\xef\xbb\xbf" + other.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    read = [read_returned(path, key) for path in (one, other, marked)]
    assert [each.answers for each in read] == [read[0].answers] * 3
    assert len(read[0].answers) == 12 + 3 * 8


def test_a_part_may_be_left_out_whole(key: Key, tmp_path: Path) -> None:
    ratings = {item: given for item, given in raters.answers(key).items() if "rating" in given}
    returned = read_returned(raters.write_json(tmp_path / "a.json", key, "Anna", ratings), key)
    assert returned.of("ratings", key)
    assert not returned.of("review", key)


def test_an_incomplete_file_is_counted_as_far_as_it_goes(key: Key, tmp_path: Path) -> None:
    anna, bert = raters.answers(key, seed=1), raters.answers(key, seed=2)
    left = sorted(key.items["ratings"])[:4]  # four of Bert's 12 ratings are not there
    half = sorted(key.items["review"])[0]  # and of one of his 8 reviews, one question of three
    given = {item: answers for item, answers in bert.items() if item not in left}
    given[half] = {name: answer for name, answer in given[half].items() if name != "output"}
    files = [
        raters.write_json(tmp_path / "anna.json", key, "Anna", anna),
        raters.write_json(tmp_path / "bert.json", key, "Bert", given),
    ]
    one, other = read_all(files, key)
    assert one.gap(key) == ""
    said = (
        "incomplete, counted as far as it goes: 8 of 12 items of the ratings, 7 of 8 items of the"
    )
    assert said in other.gap(key)
    rows = {
        (row["measure"], row["rater"], row["method"]): row["value"] for row in _rows(files, key)
    }
    assert sum(rows["ratings", "Bert", method] for method in key.methods) == 8
    assert sum(rows["ratings", "", method] for method in key.methods) == 20
    assert (
        sum(rows["reviews", "", method] for method in key.methods if _reviewed(method, key)) == 15
    )
    assert (rows["missing ratings", "Bert", ""], rows["missing reviews", "Bert", ""]) == (4, 1)
    assert ("missing ratings", "Anna", "") not in rows
    both = [item for item in key.items["ratings"] if item not in left]
    same = sum(anna[item] == bert[item] for item in both)
    assert float(rows["agreement rating", "", ""]) == pytest.approx(same / 8, abs=1e-6)
    method = key.methods[0]
    values = [
        [
            {"A": 4, "B": 3, "C": 2, "D": 1}[who[item]["rating"]]
            for who in (anna, given)
            if item in who
        ]
        for item, told in key.items["ratings"].items()
        if told.method == method
    ]
    mean = sum(sum(each) / len(each) for each in values) / len(values)
    assert float(rows["mean rating", "", method]) == pytest.approx(mean, abs=1e-6)


def _rows(files: list[Path], key: Key) -> list[dict[str, Any]]:
    settings = Summary(seed=0, confidence=0.95, resamples=100)
    return list(rows_of(read_all(files, key), key, settings))


def _reviewed(method: str, key: Key) -> bool:
    return any(told.method == method for told in key.items["review"].values())


Edit = Callable[[dict[str, Any], Key], None]


def _first(file: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = next(each for each in file["answers"].values() if "rating" in each)
    return given


FAULTY_FILES: dict[str, tuple[Edit, str]] = {
    "unknown item": (lambda f, k: f["answers"].update(i9={"rating": "A"}), "no item of the page"),
    "unknown question": (lambda f, k: _first(f).update(mood="A"), "'mood'"),
    "a grade that is none": (lambda f, k: _first(f).update(rating="E"), "A, B, C, D: 'E'"),
    "a grade that is a list": (lambda f, k: _first(f).update(rating=["A"]), "['A']"),
    "nothing": (lambda f, k: f["answers"].clear(), "holds no answer"),
    "another page": (lambda f, k: f.update(page="0" * 64), "the ratings of another page"),
    "another format": (lambda f, k: f.update(format="v0"), "'format' is 'v0'"),
    "no rater": (lambda f, k: f.update(rater=" "), "'rater' is no name: ' '"),
    "a rater of markup": (lambda f, k: f.update(rater="=1<b>"), "'rater' is no name: '=1<b>'"),
    "an unknown key": (lambda f, k: f.update(note="hi"), "unknown key 'note'"),
    "answers that are a list": (lambda f, k: f.update(answers=["A"]), "answers: not a JSON object"),
}


@pytest.mark.parametrize("fault", FAULTY_FILES)
def test_a_file_that_is_not_whole_is_refused_with_the_reason(
    fault: str, key: Key, tmp_path: Path
) -> None:
    edit, message = FAULTY_FILES[fault]
    path = raters.write_json(tmp_path / "a.json", key, "Anna", raters.answers(key))
    file = json.loads(path.read_text())
    edit(file, key)
    path.write_text(json.dumps(file))
    with pytest.raises(InputError) as refused:
        read_returned(path, key)
    assert str(path) in str(refused.value)
    assert message in str(refused.value)


def test_a_doubled_item_is_refused_in_json_and_in_csv(key: Key, tmp_path: Path) -> None:
    path = raters.write_json(tmp_path / "a.json", key, "Anna", raters.answers(key))
    item = next(iter(key.items["ratings"]))
    text = path.read_text().replace('"answers": {', f'"answers": {{"{item}": {{"rating": "A"}}, ')
    path.write_text(text)
    with pytest.raises(InputError, match=f"answers: '{item}' stands there twice"):
        read_returned(path, key)
    table = raters.write_csv(tmp_path / "a.csv", key, "Anna", raters.answers(key))
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(InputError, match=r"a\.csv, line 38: .* stands there twice"):
        read_returned(table, key)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: not the columns"),
        ("{", "not JSON that can be read"),
        ("page,rater,item,question,answer\n", "holds no answer"),
        ("page;rater;item;question;answer\n", "line 1: not the columns"),
        ('page,rater,item,question,answer\n"a\n', "neither JSON nor CSV"),
        ("page,rater,item,question,answer\np,Anna,i1,rating,A\np,Ben,i2,rating,A\n", "line 3"),
    ],
)
def test_text_that_is_no_file_of_ratings_is_refused(
    text: str, message: str, key: Key, tmp_path: Path
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_returned(path, key)


def test_two_files_of_one_rater_are_refused(key: Key, tmp_path: Path) -> None:
    paths = [
        raters.write_json(tmp_path / name, key, "Zoë", raters.answers(key, seed=seed))
        for seed, name in enumerate(("a.json", "b.json"))
    ]
    decomposed = paths[1].read_text().replace("Zo\\u00eb", "Zoe\\u0308")
    paths[1].write_text(decomposed)  # the same name, as another keyboard writes it
    with pytest.raises(InputError, match=r"b\.json: the rater 'Zoë' has another file, .*a\.json"):
        read_all(paths, key)


def test_spaces_around_a_name_make_no_other_rater(key: Key, tmp_path: Path) -> None:
    paths = [
        raters.write_json(tmp_path / f"{number}.json", key, name, raters.answers(key))
        for number, name in enumerate(("Anna", "Anna "))
    ]
    with pytest.raises(InputError, match="the rater 'Anna' has another file"):
        read_all(paths, key)


# ---- agreement ------------------------------------------------------------------------------


def test_cohens_kappa_of_a_table_worked_by_hand() -> None:
    """50 items: both yes 20, both no 15, yes–no 5, no–yes 10. Observed 0.7, by chance 0.5: 0.4."""
    one = ["yes"] * 20 + ["no"] * 15 + ["yes"] * 5 + ["no"] * 10
    other = ["yes"] * 20 + ["no"] * 15 + ["no"] * 5 + ["yes"] * 10
    assert agreement([one, other]) == (0.7, 0.4)


def test_fleiss_kappa_of_the_worked_example() -> None:
    rows = [
        [str(n) for n, many in enumerate(counts) for _ in range(many)] for counts in FLEISS_1971
    ]
    share, kappa = agreement(list(zip(*rows, strict=True)))
    assert round(share, 3) == 0.378
    assert round(kappa, 4) == 0.2099


ANSWERS = st.integers(2, 5).flatmap(
    lambda raters: st.lists(
        st.lists(st.sampled_from("ABCD"), min_size=raters, max_size=raters), min_size=1, max_size=30
    )
)


@given(ANSWERS, st.randoms(use_true_random=False))
def test_kappa_asks_neither_who_rates_nor_in_which_order(
    items: list[list[str]], shuffle: random.Random
) -> None:
    raters_first = [list(row) for row in zip(*items, strict=True)]
    before = agreement(raters_first)
    shuffle.shuffle(raters_first)
    shuffle.shuffle(items)
    moved = [list(row) for row in zip(*items, strict=True)]
    for found in (agreement(raters_first), agreement(moved)):
        assert found == before or all(map(math.isnan, (found[1], before[1])))
    assert before[1] <= 1 or math.isnan(before[1])


@given(st.lists(st.sampled_from("ABCD"), min_size=2), st.integers(2, 5))
def test_raters_of_one_mind_have_kappa_1(answers: list[str], count: int) -> None:
    share, kappa = agreement([answers] * count)
    assert share == 1
    assert kappa == 1 if len(set(answers)) > 1 else math.isnan(kappa)


# ---- the summary ----------------------------------------------------------------------------


def summary(
    run_script: Script, made: Path, folder: Path, *files: Path
) -> dict[tuple[str, ...], Any]:
    """The table's rows by (measure, rater, method): value, low, high."""
    settings = '{"seed":0,"confidence":0.95,"resamples":500}'
    done = run_script(
        "ratings",
        "summary",
        *("--settings", settings, "--key", made / "key.json"),
        *("--files", *files, "--summary", folder / "summary.csv"),
    )
    assert done.returncode == 0, done.stderr
    with open(folder / "summary.csv", encoding="utf-8", newline="") as file:
        return {
            (row["measure"], row["rater"], row["method"]): tuple(
                float(row[name]) if row[name] else None for name in ("value", "low", "high")
            )
            for row in csv.DictReader(file)
        }


def test_one_raters_counts_means_and_difference(
    run_script: Script, made: Path, key: Key, tmp_path: Path
) -> None:
    """Self-instruct gets B, C, D, D, D, D; refine-af one grade more each: 9/6 and 15/6."""
    grades = {"self-instruct": "BCDDDD", "refine-af": "ABCCCC"}
    given_answers = raters.graded(key, grades)
    path = raters.write_csv(tmp_path / "a.csv", key, "Anna", given_answers)
    found = summary(run_script, made, tmp_path, path)
    counted = {m: [found[f"rating {g}", "Anna", m][0] for g in "ABCD"] for m in METHODS}
    assert counted == {"self-instruct": [0, 1, 1, 4], "refine-af": [1, 1, 4, 0]}
    assert found["ratings", "", "refine-af"] == (6, None, None)
    assert found["mean rating", "", "self-instruct"][0] == 1.5
    assert found["mean rating", "", "refine-af"][0] == 2.5
    difference = "refine-af − self-instruct"
    assert found["difference in mean rating", "", difference] == (1, 1, 1)
    value, low, high = found["difference in share A or B", "", difference]
    assert value == pytest.approx(1 / 6, abs=1e-6)
    assert low <= value <= high
    assert not [measure for measure, _, _ in found if "kappa" in measure or "task" in measure]


def test_where_all_agree_a_share_still_has_a_width(
    run_script: Script, made: Path, key: Key, tmp_path: Path
) -> None:
    """6 of 6: Wilson's low end is 6 / (6 + 1.96²) = 0.610; no change has Agresti and Min's."""
    given_answers = raters.graded(key, dict.fromkeys(METHODS, "AAAAAA"))
    found = summary(
        run_script, made, tmp_path, raters.write_json(tmp_path / "a.json", key, "A", given_answers)
    )
    assert found["share A or B", "", "refine-af"] == (1, pytest.approx(0.609666, abs=1e-6), 1)
    value, low, high = found["difference in share A or B", "", "refine-af − self-instruct"]
    # Half a prompt changes to either side, of 8: the variance is 1 / 8².
    reach = pytest.approx(1.959964 / 8, abs=1e-6)
    assert (value, -low, high) == (0, reach, reach)


def test_several_raters_agree_as_far_as_they_do(
    run_script: Script, made: Path, key: Key, tmp_path: Path
) -> None:
    """Two who answer alike, then a third who does not: Cohen's kappa 1, Fleiss' below."""
    same = raters.answers(key, seed=5)
    paths = [
        raters.write_json(tmp_path / f"{name}.json", key, name, each)
        for name, each in (("Anna", same), ("Ben", same), ("Cy", raters.answers(key, seed=6)))
    ]
    two = summary(run_script, made, tmp_path, *paths[:2])
    assert two["Cohen's kappa rating", "", ""] == (1, None, None)
    assert two["agreement rating", "", ""] == (1, None, None)
    of_task = [given["task"] for given in same.values() if "task" in given]
    assert two["task yes", "", METHODS[0]][0] + two["task yes", "", METHODS[1]][0] == (
        2 * of_task.count("yes")
    )
    three = summary(run_script, made, tmp_path, *paths)
    items = sorted(key.items["ratings"])
    rows = [[json.loads(p.read_text())["answers"][i]["rating"] for i in items] for p in paths]
    assert three["Fleiss' kappa rating", "", ""][0] == pytest.approx(agreement(rows)[1], abs=1e-6)
    assert three["Fleiss' kappa rating", "", ""][0] < 1
    assert three["ratings", "", "refine-af"] == (18, None, None)


def test_no_file_is_an_error_that_names_the_key(
    run_script: Script, made: Path, tmp_path: Path
) -> None:
    done = run_script(
        "ratings",
        "summary",
        *("--settings", '{"seed":0,"confidence":0.95,"resamples":500}'),
        *("--key", made / "key.json", "--files", "--summary", tmp_path / "summary.csv"),
    )
    assert done.returncode == 1
    assert "ratings.files" in done.stderr


def test_the_questions_are_the_papers() -> None:
    """Figure 6's definitions and table IV's questions, word for word, in the page's markup."""
    markup = " ".join((ROOT / "resources/ratings/page.html").read_text().split())
    for words in (
        "The response is valid and satisfactory.",
        "The response is acceptable but contains minor errors or imperfections.",
        "The response is relevant and addresses the instruction, but significant errors are "
        "present.",
        "The response is irrelevant or completely invalid.",
        "Does the instruction describe a valid task?",
        "Is the input appropriate for the instruction?",
        "Is the output a correct and acceptable response to the instruction and input?",
    ):
        assert words in markup
    assert [len(each) for each in QUESTIONS.values()] == [1, 3]


def test_names_hide_the_order_of_the_cells() -> None:
    """Names sort as drawn: of 200 instructions about half have one method first."""
    first = sum(
        derived_seed(0, "ratings", "m", "ratings", "self-instruct", json.dumps(str(n)))
        < derived_seed(0, "ratings", "m", "ratings", "refine-af", json.dumps(str(n)))
        for n in range(200)
    )
    assert 70 < first < 130
