"""How the report's tables fit a window and a phone, in a real Chromium where there is one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chromium import Page, chromium, program
from refine_af.report.pages import page, paragraph, section, table, tag

COLUMNS = ["category", "tasks", "instances", "self-instruct", "refine-af", "base"]
COLUMNS += ["base-first-line", "base-few-shot", "copy-demonstration", "copy-input"]
NAMES = ["information extraction", "item selection", "sentence rewriting"]
FRAMES = "[...document.querySelectorAll('.frame')]"


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page with the widest table that a report of the demo has, and a narrow one."""
    if not program():
        pytest.skip("no Chromium here")
    wide = table("By category", COLUMNS, [[name, *["12.34"] * 9] for name in NAMES])
    narrow = table("Scores", ["method", "score"], [["refine-af", "12.34"]])
    long = [tag(name, "commit ", "0123456789" * 9) for name in ("li", "p", "h3")]
    folder = tmp_path_factory.mktemp("layout")
    text = page(
        "Report", "A lead.", [], section("a", "A", paragraph("Words. " * 60), wide, narrow, *long)
    )
    (folder / "report.html").write_text(text)
    with chromium(folder) as opened:
        opened.open((folder / "report.html").as_uri())
        yield opened


def test_nothing_is_cut_in_a_window_of_1280_pixels(tab: Page) -> None:
    tab.size(1280, 900)
    assert tab.evaluate("document.documentElement.scrollWidth") == 1280
    assert tab.evaluate(f"{FRAMES}.map(frame => frame.scrollWidth - frame.clientWidth)") == [0, 0]
    left, right = tab.evaluate(
        f"(box => [box.left, box.right])({FRAMES}[0].getBoundingClientRect())"
    )
    assert left >= 16 and 1100 < right <= 1280 - 16, "the wide table takes the room at both sides"
    text = tab.evaluate("document.querySelector('h2').getBoundingClientRect().left")
    assert tab.evaluate(f"{FRAMES}[1].getBoundingClientRect().left") == text


def test_on_a_phone_a_wide_table_scrolls_beside_the_names_of_its_rows(tab: Page) -> None:
    tab.size(390, 844, phone=True)
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
    wide, narrow = tab.evaluate(f"{FRAMES}.map(frame => frame.scrollWidth - frame.clientWidth)")
    assert wide > 300 and narrow == 0
    tab.evaluate(f"void ({FRAMES}[0].scrollLeft = 9999)")
    edges = """(frame => [
        frame.getBoundingClientRect(),
        frame.querySelector('tbody th').getBoundingClientRect(),
        frame.querySelector('tbody td:last-child').getBoundingClientRect(),
    ].flatMap(box => [box.left, box.right]))"""
    frame_left, frame_right, name_left, name_right, _, last_right = tab.evaluate(
        f"{edges}({FRAMES}[0])"
    )
    assert abs(name_left - frame_left) < 1, "the name stays"
    assert name_right - name_left < (frame_right - frame_left) / 2, "and leaves room for values"
    assert abs(last_right - frame_right) < 1, "the last column can be reached"
    ground = "getComputedStyle(document.querySelector('tbody th')).backgroundColor"
    assert tab.evaluate(ground) == "rgb(255, 255, 255)", "no value shines through the name"
