"""The page to browse data on in a real headless Chromium: finding, moving, and hostile texts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

import browsing
from browsing import METHODS, Data, instruction
from chromium import CONTRASTS, HOSTILE, Page
from conftest import Script
from refine_af.records.instances import Rejected
from refine_af.records.instructions import RejectedInstruction

SHOWN = (
    "[...document.querySelectorAll('#list .about')].map((line) => line.textContent.split(' ')[0])"
)
OPEN = "document.querySelector('#list [aria-current]')?.hash ?? ''"


@pytest.fixture(scope="module")
def made(run_script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    done = browsing.make_page(run_script, folder, Data())
    assert done.returncode == 0, done.stderr
    return folder / "page.html"


@pytest.fixture
def tab(browser: Page, made: Path) -> Page:
    fresh(browser, made.as_uri())
    return browser


def fresh(tab: Page, url: str) -> None:
    """The page, opened anew on a desk by a browser that ran into nothing before."""
    tab.size(1280, 800)
    tab.open("about:blank")
    tab.events.clear()
    tab.open(url)
    tab.until("!document.getElementById('main').hidden")


def text(tab: Page, identity: str) -> str:
    said: str = tab.evaluate(f"document.getElementById({identity!r}).innerText")
    return said


def ask(tab: Page, words: str, count: str) -> None:
    """Search, and wait for what the page says of it."""
    tab.evaluate("get('search').value = ''")
    tab.click("#search")
    tab.type(words)
    tab.until(f"get('count').textContent === {json.dumps(count)}")


def choose(tab: Page, identity: str, label: str) -> None:
    """Take the option whose words begin so, as a person does; an `input` event tells of it."""
    tab.evaluate(
        f"(() => {{ const box = get({identity!r}); box.value = [...box.options].find((each) =>"
        f" each.label.startsWith({label!r})).value;"
        " box.dispatchEvent(new Event('input', { bubbles: true })); })()"
    )


def bound(tab: Page, label: str, least: float | None, most: float | None) -> None:
    """Type bounds of a number, or leave them open."""
    for end, value in (("at least", least), ("at most", most)):
        written = "" if value is None else str(value)
        tab.evaluate(
            f"(() => {{ const box = document.querySelector('[aria-label=\"{label}, {end}\"]');"
            f" box.value = '{written}';"
            " box.dispatchEvent(new Event('input', { bubbles: true })); })()"
        )


# ---- finding --------------------------------------------------------------------------------


def test_counts_are_shown_from_the_start(tab: Page) -> None:
    assert text(tab, "count") == "11 of 11 instances"
    counts = tab.evaluate(
        "[...document.querySelectorAll('.count')].map((each) => each.textContent)"
    )
    assert counts == ["11", "3", "3"]
    assert tab.evaluate(SHOWN)[:3] == [
        "self-instruct/i000000-0",
        "refine-af/i000000-0",
        "self-instruct/i000001-0",
    ]
    assert tab.evaluate("get('sample').hidden")


@pytest.mark.parametrize(
    ("words", "count", "first"),
    [
        ("sort", "2 of 11 instances", "self-instruct/i000001-0"),
        ("SORT three", "2 of 11 instances", "self-instruct/i000001-0"),
        ("refine-af river", "2 of 11 instances", "refine-af/i000000-0"),  # in output, instruction
        ('"a river of the north"', "2 of 11 instances", "self-instruct/i000000-0"),
        ('"river a of"', "0 of 11 instances", None),
        ("i000003", "2 of 11 instances", "self-instruct/i000003-0"),
        ("CAFE\u0301", "2 of 11 instances", "self-instruct/i000002-0"),  # composed otherwise
        ("<b>bold</b>", "2 of 11 instances", "self-instruct/i000003-0"),
        (".*", "0 of 11 instances", None),
    ],
)
def test_a_search_looks_for_every_word_in_all_texts(
    words: str, count: str, first: str | None, tab: Page
) -> None:
    ask(tab, words, count)
    assert tab.evaluate(SHOWN)[:1] == ([first] if first else [])
    assert tab.evaluate("get('count').getAttribute('role')") == "status"
    tab.click("#clear")
    tab.until("get('count').textContent === '11 of 11 instances'")
    assert tab.evaluate("get('clear').disabled")


def test_filters_hold_together_and_rows_are_sorted(tab: Page) -> None:
    choose(tab, "method", "refine-af")
    tab.until("get('count').textContent === '6 of 11 instances'")
    bound(tab, "reward", 0.2, None)  # 0.05, 0.15, 0.25 and so on
    tab.until("get('count').textContent === '4 of 11 instances'")
    bound(tab, "naturalness", 0.95, None)
    tab.until("get('count').textContent === '0 of 11 instances'")
    bound(tab, "naturalness", 0.9, 0.9)
    bound(tab, "output words", None, 10)  # 6, 7, 8, 9, 10, 11
    tab.until("get('count').textContent === '3 of 11 instances'")
    assert text(tab, "bounded") == "(3 set)"
    choose(tab, "order", "reward")
    choose(tab, "direction", "descending")
    names = [f"refine-af/i00000{n}-0" for n in (4, 3, 2)]
    tab.until(f"({SHOWN}).join() === '{','.join(names)}'")
    choose(tab, "order", "ROUGE-L")
    choose(tab, "direction", "ascending")
    names = [f"refine-af/i00000{n}-0" for n in (4, 3, 2)]  # 0.1, 0.5, 0.667
    tab.until(f"({SHOWN}).join() === '{','.join(names)}'")
    choose(tab, "order", "id")
    choose(tab, "direction", "descending")
    tab.until(f"({SHOWN}).join() === '{','.join(names)}'")
    tab.evaluate("get('filters').reset()")
    tab.until("found.length === 11")


def test_instructions_are_found_by_their_verb(tab: Page) -> None:
    """Sort is the first's and fourth's, none the second's and fifth's, write the others'."""
    options = tab.evaluate("[...get('verb').options].map((each) => each.label)")
    assert options == ["any", "sort (4)", "write (4)", "none (3)"]
    choose(tab, "verb", "none")
    tab.until("get('count').textContent === '3 of 11 instances'")
    assert not tab.evaluate("get('clear').disabled")
    tab.press("j")
    assert "· no verb" in text(tab, "body")
    choose(tab, "verb", "sort")
    tab.until("get('count').textContent === '4 of 11 instances'")
    tab.press("j")
    assert "request 0 · verb: sort, noun: text" in text(tab, "body")
    tab.click("[data-part=rejected]")
    assert tab.evaluate("get('verb').disabled")
    assert text(tab, "count") == "3 of 3 refused instructions"


def test_what_was_refused_is_found_by_its_reason(tab: Page) -> None:
    tab.click("[data-part=rejected]")
    assert text(tab, "count") == "3 of 3 refused instructions"
    options = tab.evaluate("[...get('reason').options].map((each) => each.label)")
    assert options == ["any", "similar (2)", "too short (1)"]
    choose(tab, "reason", "similar")
    tab.until("get('count').textContent === '2 of 3 refused instructions'")
    bound(tab, "ROUGE-L with the nearest", 0.8, None)
    tab.until("get('count').textContent === '1 of 3 refused instructions'")
    tab.press("j")
    assert text(tab, "title") == "refused/0-1-0"
    body = text(tab, "body")
    assert "Refused: similar\nName a river of the east." in body
    assert "Nearest in the pool: i000000, ROUGE-L 0.8333\nName a river of the north." in body
    tab.evaluate("get('filters').reset()")
    tab.click("[data-part=pairs]")
    tab.until("get('count').textContent === '3 of 3 refused pairs'")
    choose(tab, "reason", "surplus")
    tab.until("get('count').textContent === '1 of 3 refused pairs'")
    assert tab.evaluate(SHOWN) == ["refine-af/i000001/refused-0"]


def test_a_row_without_a_number_comes_last_and_meets_no_bound(tab: Page) -> None:
    tab.click("[data-part=rejected]")
    for direction in ("ascending", "descending"):
        choose(tab, "order", "ROUGE-L")
        choose(tab, "direction", direction)
        tab.until(f"({SHOWN})[2] === 'refused/0-1-1'")
    bound(tab, "ROUGE-L with the nearest", 0, None)
    tab.until("get('count').textContent === '2 of 3 refused instructions'")


# ---- a row ----------------------------------------------------------------------------------


def test_both_methods_and_the_nearest_stand_side_by_side(tab: Page) -> None:
    tab.click("#list li:nth-child(3) a")
    tab.until("current !== null")
    assert text(tab, "title") == "self-instruct/i000001-0"
    body = text(tab, "body")
    assert "Instruction i000001\nSort the three words." in body
    assert "Nearest when it came: i000000, ROUGE-L 0.2500\nName a river of the north." in body
    assert "Nearest seed: seed_1, ROUGE-L 0.2500\nSort the words." in body
    assert "Nearest reference, ROUGE-L 0.1250\nSort the lines of a file." in body
    cards = tab.evaluate("[...document.querySelectorAll('.card')].map((each) => each.innerText)")
    assert len(cards) == 4  # an instance each, and two refused pairs
    assert cards[0].startswith("Input\nGiven text 1.\nOutput\nAnswer 1 of self-instruct with")
    assert "reward\n0.1000" in cards[0] and "output words\n7" in cards[0]
    assert cards[1].startswith("Input\nGiven text 1.\nOutput\nAnswer 1 of refine-af with")
    assert cards[2].startswith("Refused: surplus\nInput: b\nOutput: c")
    lefts = tab.evaluate(
        "[...document.querySelectorAll('.card')].map((each) => each.getBoundingClientRect().x)"
    )
    assert lefts[0] < lefts[1] == lefts[2] == lefts[3]
    assert tab.evaluate("document.querySelectorAll('.card[aria-current]').length") == 1


def test_a_text_that_is_not_among_the_data_is_said_to_be_missing(tab: Page) -> None:
    tab.evaluate("location.hash = 'i000004'")
    tab.until("current !== null")
    assert text(tab, "title") == "refine-af/i000004-0"
    said = "Nearest when it came: i000999, ROUGE-L 0.1000\nits text is not among the data"
    assert said in text(tab, "body")
    assert "Refused: truncated\nInput: a\nOutput: cut o" in text(tab, "body")


def test_shared_words_and_words_searched_for_are_marked(tab: Page) -> None:
    ask(tab, "river", "3 of 11 instances")
    tab.press("Tab")
    tab.evaluate("location.hash = 'refine-af/i000002-0'")
    tab.until("current !== null")
    marks = "[...CSS.highlights.get(%r)].map((range) => range.startContainer.data.slice("
    marks += "range.startOffset, range.endOffset)).join()"
    assert tab.evaluate(marks % "shared") == "the,the"  # "Tell where the café is."
    assert tab.evaluate(marks % "found") == ""
    tab.evaluate("location.hash = 'refine-af/i000000-0'")
    tab.until("current.key === 'refine-af/i000000-0'")
    assert tab.evaluate(marks % "shared") == "Name,Name,a,a,river,river,of,of,the,the,the"
    assert tab.evaluate(marks % "found") == "river,river"  # its own, and the seed's


def test_an_address_leads_to_its_row(browser: Page, made: Path) -> None:
    fresh(browser, f"{made.as_uri()}#refine-af/i000003-0")
    assert text(browser, "title") == "refine-af/i000003-0"
    assert browser.evaluate(OPEN) == "#refine-af/i000003-0"
    assert text(browser, "place") == "8 of 11"
    for name, title in (
        ("refused/1-7-0", "refused/1-7-0"),
        ("refine-af/i000001/refused-1", "refine-af/i000001/refused-1"),
        ("i000005", "self-instruct/i000005-0"),
    ):
        browser.evaluate(f"location.hash = {name!r}")
        browser.until(f"get('title').textContent === {title!r}")
    browser.evaluate("location.hash = 'i000777'")
    browser.until("!get('fault').hidden")
    assert text(browser, "fault") == "No row here has the address i000777."
    browser.evaluate("location.hash = '%E0%A4%A'")  # no address at all
    browser.until("get('fault').hidden")
    browser.evaluate("history.go(-2)")
    browser.until("get('title').textContent === 'self-instruct/i000005-0'")


# ---- keys -----------------------------------------------------------------------------------


def test_keys_move_search_and_help(tab: Page) -> None:
    tab.press("j", "j")
    assert text(tab, "title") == "refine-af/i000000-0"
    assert tab.evaluate("location.hash") == "#refine-af/i000000-0"
    tab.press("ArrowRight", "k", "ArrowLeft")
    assert text(tab, "title") == "self-instruct/i000000-0"
    assert tab.evaluate("document.activeElement.id") == "title"
    tab.press("k")  # the first: there is none before
    assert text(tab, "place") == "1 of 11"
    tab.press("/")
    assert tab.evaluate("document.activeElement.id") == "search"
    tab.press(*"jk?/")  # letters of a search
    assert tab.evaluate("get('search').value") == "jk?/"
    tab.until("found.length === 0")
    assert text(tab, "place") == "not among the rows found"
    tab.evaluate("document.activeElement.blur()")
    tab.press("?")
    assert tab.evaluate("get('help').open")
    tab.press("j", "Escape")
    assert not tab.evaluate("get('help').open")
    assert text(tab, "title") == "self-instruct/i000000-0"
    tab.press("Escape")
    assert tab.evaluate("get('row').hidden && location.hash === ''")


def test_arrows_move_within_the_list_and_single_keys_can_be_off(tab: Page) -> None:
    tab.evaluate("document.querySelector('#list a').focus()")
    tab.press("ArrowDown", "ArrowDown", "ArrowUp")
    assert tab.evaluate("document.activeElement.hash") == "#self-instruct/i000000-0"
    tab.press("j")
    assert tab.evaluate("document.activeElement.hash") == "#refine-af/i000000-0"
    tab.press("?")
    tab.click("#keys")
    tab.press("Escape", "j")
    assert text(tab, "title") == "refine-af/i000000-0"
    tab.click("#next")
    assert text(tab, "title") == "self-instruct/i000001-0"


@pytest.fixture(scope="module")
def many(run_script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 250 instructions, an instance each of both methods."""
    folder = tmp_path_factory.mktemp("many")
    data = Data(pool=[instruction(n, f"Do the task {n}.") for n in range(250)])
    data.written = {
        method: [browsing.instance(method, n, "", f"Done {n}.", 0.5) for n in range(250)]
        for method in METHODS
    }
    done = browsing.make_page(run_script, folder, data)
    assert done.returncode == 0, done.stderr
    return folder / "page.html"


def test_a_long_list_has_pages_which_keys_and_addresses_turn(browser: Page, many: Path) -> None:
    fresh(browser, f"{many.as_uri()}#self-instruct/i000124-0")
    assert text(browser, "page") == "201–300 of 500"
    assert text(browser, "place") == "249 of 500"
    browser.click("#earlier")
    assert text(browser, "page") == "101–200 of 500"
    assert len(browser.evaluate(SHOWN)) == 100
    browser.evaluate("location.hash = 'refine-af/i000149-0'")
    browser.until("current.key === 'refine-af/i000149-0'")
    assert text(browser, "page") == "201–300 of 500"
    browser.press("j")
    assert text(browser, "page") == "301–400 of 500"
    assert browser.evaluate(OPEN) == "#self-instruct/i000150-0"
    ask(browser, "i000150", "2 of 500 instances")
    assert browser.evaluate("get('pages').hidden")


# ---- texts that mean harm -------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile(run_script: Script, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page whose every text is one of HOSTILE."""
    folder = tmp_path_factory.mktemp("hostile")
    count = len(HOSTILE)
    data = Data(pool=[instruction(n, HOSTILE[n]) for n in range(count)])
    data.rejected = [
        RejectedInstruction(0, n, HOSTILE[(n + 1) % 6], HOSTILE[n], "i000000", 0.9)
        for n in range(count)
    ]
    for method in METHODS:
        rows = [
            browsing.instance(method, n, HOSTILE[-n - 1], HOSTILE[n], 0.5) for n in range(count)
        ]
        data.written[method] = rows
        data.refused[method] = [
            Rejected(f"i{n:06}", HOSTILE[n % 6], HOSTILE[n]) for n in range(count)
        ]
    scores = {"</dt><img src=x onerror=harm()>": 0.5, "__proto__": 0.25}
    data.written["refine-af"] = [
        replace(row, components=scores) for row in data.written["refine-af"]
    ]
    done = browsing.make_page(run_script, folder, data)
    assert done.returncode == 0, done.stderr
    return folder / "page.html"


# What each box says, with the character that a sign names for the sign, as often as it says.
WRITTEN = """[...document.querySelectorAll('#body .said')].map((box) =>
  [...box.childNodes].map((node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data;
    const [, code, times] = node.textContent.match(/^U\\+([0-9A-F]+)(?: ×([0-9,]+))?$/);
    const sign = String.fromCodePoint(parseInt(code, 16));
    return sign.repeat(Number((times ?? '1').replaceAll(',', '')));
  }).join(''))"""


def test_no_text_runs_loads_or_hides_and_none_overflows_a_phone(
    browser: Page, hostile: Path
) -> None:
    fresh(browser, hostile.as_uri())
    browser.size(360, 640, phone=True)
    for part in ("instances", "rejected"):  # a row of pairs is shown as its instruction's is
        browser.click(f"[data-part={part}]")
        browser.press("j")
        for _ in range(len(HOSTILE)):
            number = browser.evaluate("current.pool ?? current.at")
            check_row(browser, HOSTILE[number])
            browser.press(*("j" if part == "rejected" else "jj"))  # a row each by two methods
    assert browser.evaluate("window.harm") is None
    assert browser.evaluate("[frames.length, document.images.length].join()") == "0,0"
    assert browser.dialogs == []
    urls = {told["request"]["url"] for told in browser.told("Network.requestWillBeSent")}
    assert urls <= {hostile.as_uri(), "about:blank"}
    assert browser.told("Runtime.exceptionThrown") == []
    assert browser.told("Log.entryAdded") == []  # nothing even tried what the policy forbids


def check_row(tab: Page, written: str) -> None:
    """The open row says what was written, with no other element in it, and fits the screen."""
    tab.evaluate("document.querySelectorAll('.said button').forEach((each) => each.click())")
    assert tab.evaluate("document.querySelectorAll('.said :not(.sign)').length") == 0
    assert tab.evaluate("document.querySelectorAll('.sign *').length") == 0
    if written.strip(" \n\t"):
        assert tab.evaluate(f"({WRITTEN}).includes({json.dumps(written)})"), written[:80]
    else:
        assert "white space alone" in text(tab, "body")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    wide = "[...document.querySelectorAll('.said')].filter((e) => e.scrollWidth > e.clientWidth)"
    assert tab.evaluate(f"({wide}).length") == 0


def test_what_would_not_be_seen_is_named(browser: Page, hostile: Path) -> None:
    fresh(browser, f"{hostile.as_uri()}#rejected")
    signs = (
        "[...document.querySelectorAll('.asked .sign')].map((each) => each.textContent).join(' ')"
    )
    for number, seen in ((5, "U+202E U+2066 U+2069"), (8, "U+D83D U+DC00")):
        browser.evaluate(f"location.hash = 'refused/0-{number}-0'")
        browser.until(f"current?.at === {number}")
        found = browser.evaluate(signs)
        assert all(
            sign in found for sign in seen.split() if chr(int(sign[2:], 16)) in HOSTILE[number]
        )
        assert found
    browser.evaluate("location.hash = 'refused/0-6-0'")
    browser.until("current?.at === 6")
    assert browser.evaluate(signs) == "U+0000 U+0001 U+0007 U+001B U+007F U+0085 U+FFFE"


def test_of_a_long_text_the_first_part_is_shown_until_all_is_asked_for(
    browser: Page, hostile: Path
) -> None:
    fresh(browser, f"{hostile.as_uri()}#refused/0-9-0")
    box = "document.querySelector('.asked .said')"
    assert browser.evaluate(f"{box}.firstChild.data.length") == 20_000
    browser.click(".asked .said button")
    assert browser.evaluate(f"{box}.textContent.length") == 100_000


# ---- for everybody --------------------------------------------------------------------------


@pytest.mark.parametrize("view", ["list", "row"])
def test_a_phone_has_the_list_or_a_row_and_nothing_beside(view: str, tab: Page) -> None:
    tab.size(360, 640, phone=True)
    tab.evaluate("get('bounds').open = true")
    if view == "row":
        tab.click("#list li:last-child a")  # far below the window's edge
        tab.until("current !== null")
        assert tab.evaluate("scrollY") == 0, "a row is seen from its head"
        assert tab.evaluate("document.activeElement.id") == "title"
    assert tab.evaluate("document.documentElement.scrollWidth") == 360
    seen = tab.evaluate("['.find', '#row'].map((e) => document.querySelector(e).checkVisibility())")
    assert seen == [view == "list", view == "row"]
    if view == "row":
        tab.click("#close")
        assert tab.evaluate("document.activeElement.hash") == "#refine-af/i000005-0"
        box = "document.activeElement.getBoundingClientRect()"
        assert tab.evaluate(f"{box}.top >= 0 && {box}.bottom <= innerHeight"), "back at its place"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_by_day_and_night(scheme: str, tab: Page) -> None:
    tab.scheme(scheme)
    try:
        ground = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (ground == "rgb(255, 255, 255)") is (scheme == "light")
        tab.evaluate("get('bounds').open = true")
        for view in ("0", "step(1)", "turn('rejected')", "step(1)", "get('help').showModal()"):
            tab.evaluate(f"void ({view})")
            count, low = tab.evaluate(CONTRASTS)
            assert count > 15
            assert [each for each in low if "disabled" not in each[0]] == []
    finally:
        tab.scheme("")


def test_every_control_has_a_name(tab: Page) -> None:
    roles: set[str] = set()
    tab.evaluate("get('bounds').open = true")
    for view in ("step(1)", "get('help').showModal()"):
        tab.evaluate(f"void ({view})")
        for node in tab.call("Accessibility.getFullAXTree")["nodes"]:
            told = {each["name"]: each["value"].get("value") for each in node.get("properties", [])}
            role = node.get("role", {}).get("value")
            if node["ignored"] or role == "RootWebArea":
                continue
            if told.get("focusable") or role in {"search", "dialog", "article", "list", "status"}:
                named = node.get("name", {}).get("value")
                assert named or role in {"search", "status", "list"}, node
                roles.add(role)
    assert {"searchbox", "combobox", "spinbutton", "button", "link", "dialog"} <= roles


# ---- pages that are not whole ---------------------------------------------------------------


def test_a_sample_is_said_to_be_one(
    browser: Page, run_script: Script, tmp_path: Path, made: Path
) -> None:
    data = Data(
        pool=[instruction(n, f"{n} {'%x' % (7919 ** (n % 900 + 99))}") for n in range(1100)]
    )
    data.written = {method: [] for method in METHODS}
    data.refused = {method: [] for method in METHODS}
    done = browsing.make_page(run_script, tmp_path, data, megabytes=1)
    assert done.returncode == 0, done.stderr
    fresh(browser, (tmp_path / "page.html").as_uri())
    shown = len(browser.evaluate("DATA.pool.id"))
    assert 100 < shown < 1100
    assert text(browser, "sample").startswith(f"A random sample: {shown:,} of 1,100 instructions")


def test_a_file_cut_short_says_so(browser: Page, made: Path, tmp_path: Path) -> None:
    whole = made.read_text()
    start = whole.index('id="data">') + 10
    (tmp_path / "cut.html").write_text(whole[:start] + whole[start + 400 :])
    browser.open((tmp_path / "cut.html").as_uri())
    browser.until("!document.getElementById('fault').hidden")
    assert text(browser, "fault").startswith("⚠") or "cannot be unpacked" in text(browser, "fault")
    assert browser.evaluate("document.getElementById('main').hidden")
