"""The rating page in a real headless Chromium: keys, reloads, files, and texts that mean harm."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

import chromium
import raters
from chromium import CONTRASTS, HOSTILE, Page, need_chromium
from conftest import Script
from raters import METHODS
from refine_af.ratings.items import Key, read_key
from refine_af.ratings.returned import read_returned


@pytest.fixture(scope="module")
def made(run_script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    raters.make_page(run_script, folder)
    return folder


@pytest.fixture(scope="module")
def key(made: Path) -> Key:
    return read_key(made / "key.json")


@pytest.fixture
def tab(browser: Page, made: Path) -> Page:
    """The page, opened by a browser that knows nothing of it."""
    fresh(browser, made / "page.html")
    return browser


def fresh(tab: Page, page: Path) -> None:
    tab.size(1280, 800)
    tab.open(page.as_uri())
    tab.evaluate("localStorage.clear()")
    tab.reload()
    tab.events.clear()


def begin(tab: Page, name: str) -> None:
    tab.evaluate("document.getElementById('rater').value = ''")
    tab.click("#rater")
    tab.type(name)
    tab.press("Enter")
    tab.until("!document.getElementById('desk').open")


def text(tab: Page, identity: str) -> str:
    said: str = tab.evaluate(f"document.getElementById({identity!r}).innerText")
    return said


def exported(tab: Page, kind: str, folder: Path) -> Path:
    """The file that a press of the button in the dialog downloads."""
    downloads = folder / kind
    downloads.mkdir()
    behaviour = {"behavior": "allow", "downloadPath": str(downloads)}
    tab.call("Browser.setDownloadBehavior", browser=True, **behaviour)
    tab.click("#open")
    tab.click(f'#desk [data-export="{kind}"]')
    end = time.monotonic() + chromium.PATIENCE
    while not (files := list(downloads.glob(f"*.{kind}"))):
        assert time.monotonic() < end, "nothing was downloaded"
        time.sleep(0.02)
    tab.click("#close")
    return files[0]


# ---- rating ---------------------------------------------------------------------------------


def test_a_whole_part_is_rated_by_keyboard_and_read_by_the_summary(
    tab: Page, key: Key, run_script: Script, made: Path, tmp_path: Path
) -> None:
    """12 replies and 8 instances, with an undo on the way, exported both ways."""
    begin(tab, "Anna")
    tab.press(*"abcdu")  # the fourth is taken back
    assert text(tab, "place") == "Reply 4 of 12 · 3 done"
    tab.press(*"dabcdabcd")
    assert "All 12 replies are done" in text(tab, "end")
    tab.press("t")
    assert text(tab, "place") == "Instance 1 of 8 · 0 done"
    tab.press(*("yny" * 8))
    assert "All 8 instances are done" in text(tab, "end")
    rated = tab.evaluate("order.ratings.map((item) => item.id)")
    files = [exported(tab, kind, tmp_path) for kind in ("json", "csv")]
    assert [file.name for file in files] == ["ratings_tiny_Anna.json", "ratings_tiny_Anna.csv"]
    read = [read_returned(file, key) for file in files]
    assert read[0].answers == read[1].answers
    assert [read[0].answers[item, "rating"] for item in rated] == list("ABCDABCDABCD")
    questions = {question: answer for (_, question), answer in read[0].answers.items()}
    assert questions == questions | {"task": "yes", "input": "no", "output": "yes"}
    assert not any(method in file.read_text() for file in files for method in METHODS)
    done = run_script(
        "ratings",
        "summary",
        *("--settings", '{"seed":0,"confidence":0.95,"resamples":100}'),
        *("--key", made / "key.json", "--files", files[0], "--summary", tmp_path / "s.csv"),
    )
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "s.csv").read_text()
    counts = [int(n) for n in re.findall(r"rating A,Anna,[a-z-]+,(\d+),", table)]
    assert sum(counts) == 3


def test_a_reload_keeps_answers_place_and_undo(tab: Page) -> None:
    begin(tab, "Anna")
    tab.press("b", "c")
    third = text(tab, "reply")
    tab.reload()
    assert not tab.evaluate("document.getElementById('desk').open")
    assert text(tab, "place") == "Reply 3 of 12 · 2 done"
    assert text(tab, "reply") == third
    tab.press("k")
    pressed = "document.querySelector('#ask-ratings [aria-pressed=true]').dataset.answer"
    assert tab.evaluate(pressed) == "C"
    tab.press("u", "u")
    assert text(tab, "place") == "Reply 1 of 12 · 0 done"
    assert tab.evaluate("document.getElementById('undo').disabled")


def test_keys_move_and_mark_and_a_held_key_answers_once(tab: Page) -> None:
    begin(tab, "Anna")
    tab.press("j", "ArrowRight")
    assert text(tab, "place") == "Reply 3 of 12 · 0 done"
    tab.press("ArrowLeft", "a", "o")
    assert text(tab, "place") == "Reply 1 of 12 · 1 done"
    for repeat in (False, True, True):
        code: dict[str, Any] = {"key": "b", "text": "b", "windowsVirtualKeyCode": 66}
        tab.call("Input.dispatchKeyEvent", type="keyDown", autoRepeat=repeat, **code)
    assert tab.evaluate("answers.size") == 2
    tab.press("t", "3", "n")
    marked = "document.querySelector('#ask-review [aria-current]').dataset.question"
    assert tab.evaluate(marked) == "task"  # the first that is still open
    assert tab.evaluate("[...answers.values()].join()") == "A,B,no"
    tab.press("?")
    tab.click("#keys")
    tab.press("Escape", "y")
    assert tab.evaluate("answers.size") == 3  # single keys are off


def test_the_mouse_rates_too(tab: Page) -> None:
    begin(tab, "Anna")
    tab.click('#ask-ratings [data-answer="D"]')
    tab.click("#undo")
    tab.click('#ask-ratings [data-answer="B"]')
    tab.click("#back")
    tab.click('#ask-ratings [data-answer="C"]')
    assert tab.evaluate("[...answers.values()].join()") == "C"
    tab.click("#undo")  # the answer that stood there before
    tab.click("#part-review")
    tab.click('[data-question="output"] [data-answer="no"]')
    assert tab.evaluate("[...answers.values()].join()") == "B,no"
    assert text(tab, "told") == "instance 1: no. Instance 1 of 8 · 0 done"


def test_raters_have_the_same_items_each_in_an_order_of_their_own(tab: Page) -> None:
    orders = []
    for name in ("Anna", "Ben", "Anna"):
        if tab.evaluate("rater"):
            tab.press("?")
        begin(tab, name)
        orders.append(tab.evaluate("order.ratings.map((item) => item.id)"))
        tab.press("a")
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1])
    assert text(tab, "place") == "Reply 3 of 12 · 2 done"  # Anna's first is still there


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_a_file_goes_on_in_another_browser(kind: str, tab: Page, tmp_path: Path) -> None:
    begin(tab, "Zoë d'Arc")
    tab.press("a", "b")
    file = exported(tab, kind, tmp_path)
    tab.evaluate("localStorage.clear()")
    tab.reload()
    tab.choose_file("#import", file)
    tab.until("document.getElementById('file-says').textContent !== ''")
    assert text(tab, "file-says").startswith("2 answers of Zoë d'Arc read: 2 new")
    tab.click("#close")
    assert text(tab, "place") == "Reply 3 of 12 · 2 done"
    tab.press("u")
    assert tab.evaluate("answers.size") == 0


def imported(tab: Page, folder: Path, **fields: Any) -> str:
    """What the page says of a file with these fields."""
    file = {"format": "blind ratings 1", "rater": "Anna", "answers": {}} | fields
    content = json.dumps({"page": tab.evaluate("DATA.page")} | file)
    return imported_text(tab, folder, content)


def imported_text(tab: Page, folder: Path, content: str) -> str:
    (folder / "file.json").write_text(content)
    tab.evaluate("get('file-says').textContent = ''")
    tab.choose_file("#import", folder / "file.json")
    tab.until("document.getElementById('file-says').textContent !== ''")
    said: str = tab.evaluate("get('file-says').textContent")
    return said


def test_an_imported_name_is_text_and_is_written_in_one_way(tab: Page, tmp_path: Path) -> None:
    begin(tab, "Zoë")
    for name in (None, 5, ["Zoë"]):
        assert "is no rater's name" in imported(tab, tmp_path, rater=name)
    tab.press("a")
    item = tab.evaluate("order.ratings[1].id")
    said = imported(tab, tmp_path, rater=" Zoe\u0308 ", answers={item: {"rating": "B"}})
    assert said.startswith("1 answers of Zoë read: 1 new")
    assert tab.evaluate("[rater, answers.size].join()") == "Zoë,2"


def test_an_import_takes_whole_names_once_each(tab: Page, tmp_path: Path) -> None:
    begin(tab, "Anna")
    item = tab.evaluate("order.ratings[0].id")
    for false in ({item: {"rating/zz": "A"}}, {f"{item}/rating": {"zz": "A"}}):
        assert "has no question rating/zz" in imported(tab, tmp_path, answers=false)
    page = tab.evaluate("DATA.page")
    doubled = (
        f'{{"format": "blind ratings 1", "page": "{page}", "rater": "Anna", "answers":'
        f' {{"{item}": {{"rating": "A"}}, "{item}" : {{"rating": "B"}}}}}}'
    )
    assert f"{item} stands there twice" in imported_text(tab, tmp_path, doubled)
    assert tab.evaluate("answers.size") == 0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ('{"format": "other"}', "its format is other"),
        ("{", "was not read"),
        ("page,rater,item,question,answer\nx,Ben,i1,rating,A\n", "belongs to another page"),
        ("a,b\n", "its first line is not"),
    ],
)
def test_a_file_that_is_none_is_not_imported(
    content: str, says: str, tab: Page, tmp_path: Path
) -> None:
    begin(tab, "Anna")
    tab.press("a", "?")
    (tmp_path / "file.json").write_text(content)
    tab.choose_file("#import", tmp_path / "file.json")
    tab.until("document.getElementById('file-says').textContent !== ''")
    assert says in text(tab, "file-says")
    assert tab.evaluate("[rater, ...answers.values()].join()") == "Anna,A"


def test_a_browser_that_does_not_save_says_so(tab: Page) -> None:
    begin(tab, "Anna")
    tab.evaluate(
        "void (Storage.prototype.setItem = () => {"
        " throw new DOMException('full', 'QuotaExceededError'); })"
    )
    tab.press("a")
    assert "not saved" in text(tab, "fault")
    assert "QuotaExceededError" in text(tab, "fault")
    assert text(tab, "saved") == "Not saved"
    assert tab.evaluate("answers.size") == 1
    tab.reload()  # asks before it goes: answers would be lost
    assert tab.dialogs == ["beforeunload"]
    tab.dialogs.clear()


def fill(tab: Page) -> None:
    """From now on this tab can save nothing; `put` is what another tab still can."""
    tab.evaluate(
        "void (window.put = localStorage.setItem.bind(localStorage),"
        " Storage.prototype.setItem = () => {"
        " throw new DOMException('full', 'QuotaExceededError'); })"
    )


def test_another_tabs_save_leaves_what_only_this_tab_holds(tab: Page) -> None:
    begin(tab, "Anna")
    tab.press("a", "b")
    fill(tab)
    tab.press("c", "d")
    # The other tab of the same rater knows the first two: it takes one back and adds the fifth.
    tab.evaluate("""
      (() => {
        const [first, , , , fifth] = order.ratings.map((item) => key(item, "rating"));
        const theirs = JSON.stringify({ answers: { [first]: "A", [fifth]: "D" }, past: [] });
        put(storeOf("Anna"), theirs);
        const told = { key: storeOf("Anna"), newValue: theirs };
        window.dispatchEvent(new StorageEvent("storage", told));
      })()
    """)
    held = "order.ratings.map((item) => answers.get(key(item, 'rating')) ?? '-').join('')"
    assert tab.evaluate(held)[:6] == "A-CDD-"
    assert "not saved" in text(tab, "fault")
    assert text(tab, "saved") == "Not saved"
    tab.press("u")
    assert tab.evaluate(held)[:6] == "A-C-D-"
    tab.reload()
    assert tab.dialogs == ["beforeunload"]
    tab.dialogs.clear()


def test_no_other_rater_begins_while_answers_are_unsaved(
    tab: Page, key: Key, tmp_path: Path
) -> None:
    begin(tab, "Anna")
    fill(tab)
    tab.press("a", "?")
    assert "export them first" in imported(tab, tmp_path, rater="Ben")
    tab.evaluate("get('rater').value = ''")
    tab.click("#rater")
    tab.type("Ben")
    tab.press("Enter")
    assert "export them first" in text(tab, "rater-fault")
    assert tab.evaluate("[rater, answers.size].join()") == "Anna,1"
    tab.click("#close")
    exported(tab, "json", tmp_path)
    tab.press("?")
    begin(tab, "Ben")
    assert tab.evaluate("[rater, answers.size].join()") == "Ben,0"


def set_stored(tab: Page, content: str) -> None:
    tab.evaluate(f"localStorage.setItem(storeOf('Anna'), {json.dumps(content)})")
    tab.reload()


def test_what_was_saved_and_cannot_be_read_is_set_aside_each_time(tab: Page) -> None:
    begin(tab, "Anna")
    faulty = ['{"answers": {"i1/rating": "E"}}', "null", "{}"]
    for content in faulty:
        set_stored(tab, content)
        assert "cannot be read" in text(tab, "fault")
        tab.press("a")
    kept = [
        tab.evaluate(f"localStorage.getItem(storeOf('Anna') + ' (unreadable {number})')")
        for number in (1, 2, 3)
    ]
    assert kept == faulty


@pytest.mark.parametrize(
    "past", ["[[]]", "[5]", '[[["nope/rating", null]]]', '[[["nope/rating", "A"]]]', '"ab"']
)
def test_an_edited_step_to_undo_cannot_be_read(past: str, tab: Page) -> None:
    begin(tab, "Anna")
    set_stored(tab, f'{{"answers": {{}}, "past": {past}}}')
    assert "cannot be read" in text(tab, "fault")
    tab.press("u", "a", "u")
    assert tab.evaluate("answers.size") == 0
    assert tab.told("Runtime.exceptionThrown") == []


def test_what_cannot_be_set_aside_is_not_written_over(tab: Page) -> None:
    begin(tab, "Anna")
    set_stored(tab, "null")
    tab.evaluate("localStorage.setItem(storeOf('Anna'), '{}')")
    fill(tab)
    tab.evaluate(
        "void (load(), Storage.prototype.setItem = (name, text) => {"
        " if (name.includes('unreadable')) throw new DOMException('full', 'QuotaExceededError');"
        " put(name, text); })"
    )
    tab.press("a")
    assert text(tab, "saved") == "Not saved"
    assert tab.evaluate("localStorage.getItem(storeOf('Anna'))") == "{}"
    tab.evaluate("void (answers = new Map())")  # or the next page would be asked for them


def test_a_name_of_markup_is_no_name(tab: Page) -> None:
    tab.click("#rater")
    tab.type("<b>=1")
    tab.press("Enter")
    assert "begins with a letter" in text(tab, "rater-fault")
    tab.press("Escape")
    assert tab.evaluate("document.getElementById('desk').open && rater === ''")


# ---- texts that mean harm -------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(run_script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose every reply, input, reference and output is one of HOSTILE."""

    def edit(rows: list[dict[str, Any]]) -> None:
        for index, row in enumerate(rows[:12]):
            row["prediction"] = HOSTILE[index]
            row["input"], row["reference"] = HOSTILE[index % 6], HOSTILE[6 + index % 6]
            row["instruction"] = HOSTILE[(index + 1) % 6]

    folder = tmp_path_factory.mktemp("hostile")
    outputs = [raters.instance(METHODS[0], n, output) for n, output in enumerate(HOSTILE)]
    done = raters.make_page(run_script, folder, drawn=12, edit=edit, instances=outputs)
    assert done.returncode == 0, done.stderr
    return folder


def test_no_text_runs_loads_or_changes_and_none_overflows_a_phone(
    browser: Page, hostile: Path
) -> None:
    fresh(browser, hostile / "page.html")
    browser.size(360, 640, phone=True)
    begin(browser, "Anna")
    lines = (hostile / "predictions.jsonl").read_bytes().splitlines()
    rows = [json.loads(line) for line in lines]
    cells = {method: rows[number * 6 :][:6] for number, method in enumerate(METHODS)}
    rated = read_key(hostile / "key.json").items
    seen = []
    for part, items in rated.items():
        browser.evaluate(f"turn('{part}')")
        for _ in items:
            told = items[browser.evaluate("shownItem().id")]
            number = int(re.sub(r"\D", "", told.source))
            if part == "ratings":
                row = cells[told.method][number]
                fields = {name: row[name] for name in ("instruction", "input", "reference")}
                check_shown(browser, fields | {"reply": row["prediction"]})
            else:
                check_shown(browser, {"reply": HOSTILE[number]})
            seen.append((part, told))
            browser.press("j")
    assert len(set(seen)) == 24
    assert browser.evaluate("window.harm") is None
    assert browser.evaluate("[frames.length, document.images.length].join()") == "0,0"
    assert browser.dialogs == []
    urls = {told["request"]["url"] for told in browser.told("Network.requestWillBeSent")}
    assert urls <= {(hostile / "page.html").as_uri()}
    assert browser.told("Runtime.exceptionThrown") == []
    assert browser.told("Log.entryAdded") == []  # nothing even tried what the policy forbids


def check_shown(tab: Page, fields: dict[str, str]) -> None:
    """Each text stands there as it was written, without an element in it, and fits the screen."""
    for identity, written in fields.items():
        box = f"document.getElementById('{identity}')"
        if written.strip(" \n\t"):
            assert tab.evaluate(f"{box}.textContent === {json.dumps(written)}"), written[:80]
        else:
            assert "white space alone" in tab.evaluate(f"{box}.textContent")
        assert tab.evaluate(f"{box}.childElementCount") == 0
        assert tab.evaluate(f"{box}.scrollWidth <= {box}.clientWidth")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    assert tab.evaluate("document.querySelector('footer').getBoundingClientRect().bottom") < 641


# ---- for everybody --------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_by_day_and_night(scheme: str, tab: Page) -> None:
    tab.scheme(scheme)
    try:
        begin(tab, "Anna")
        tab.press("a", "k")
        tab.evaluate("tellFault('A fault.')")
        for view in ("", "turn('review')", "moveTo(99)", "openDesk()"):
            tab.evaluate(f"void ({view or 0})")
            count, low = tab.evaluate(CONTRASTS)
            assert count > 15
            assert low == []
    finally:
        tab.scheme("")


def test_every_control_has_a_name_and_a_place_in_the_order(tab: Page) -> None:
    roles: set[str] = set()
    begin(tab, "Anna")
    for view in ("", "turn('review')", "moveTo(99)", "openDesk()"):
        tab.evaluate(f"void ({view or 0})")
        for node in tab.call("Accessibility.getFullAXTree")["nodes"]:
            told = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
            role = node.get("role", {}).get("value")
            if node["ignored"] or role == "RootWebArea":
                continue
            if told.get("focusable") or role in {"progressbar", "group", "dialog", "article"}:
                assert node.get("name", {}).get("value"), node
                roles.add(role)
    assert {"button", "textbox", "checkbox", "progressbar", "group", "dialog"} <= roles


def test_tab_goes_from_the_head_over_the_answers_to_the_moves(tab: Page) -> None:
    begin(tab, "Anna")
    tab.press("a")
    tab.evaluate("document.activeElement.blur()")
    order = []
    for _ in range(12):
        tab.press("Tab")
        order.append(
            tab.evaluate(
                "document.activeElement.id || document.activeElement.dataset.answer"
                " || document.activeElement.tagName"
            )
        )
    wanted = ["part-ratings", "part-review", "open", "SUMMARY", *"ABCD"]
    assert order == [*wanted, "back", "next", "open-item", "undo"]


# ---- the guard ------------------------------------------------------------------------------


def test_without_chromium_the_page_is_skipped_visibly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="no Chromium here: pages are not tried"):
        need_chromium()
