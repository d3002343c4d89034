"""A self-contained HTML page from parts, where every text but our own markup is escaped."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Self

from markupsafe import Markup

from refine_af.report.style import STYLE

LONGEST, MOST_LINES = 400, 8  # of a text that a model wrote
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format, surrogate, unassigned


class Html(Markup):
    """Markup that is fit for a page; whatever else is joined or formatted into it is escaped."""

    __slots__ = ()

    @classmethod
    def escape(cls, text: Any, /) -> Self:
        """`text` as markup that shows it: escaped, with characters that cannot be seen named."""
        escaped = super().escape(text)
        return escaped if isinstance(text, Markup) else cls("".join(map(_seen, escaped)))


safe = Html.escape


def join(*parts: str) -> Html:
    """The parts one after another, escaped where they are no markup."""
    return Html().join(parts)


def tag(name: str, *parts: str, attributes: Mapping[str, str] | None = None) -> Html:
    """An element with its parts, and with its attributes' values as text."""
    # Not as `Html`: what names a character that cannot be seen is an element, and fits no value.
    pairs = [(key, Markup.escape(str(value))) for key, value in (attributes or {}).items()]
    given = join(*(Html(' {}="{}"').format(*pair) for pair in pairs))
    return Html("<{0}{1}>{2}</{0}>").format(name, given, join(*parts))


def paragraph(*sentences: str) -> Html:
    """The sentences that hold something, as one paragraph."""
    return tag("p", Html(" ").join(filter(None, sentences)))


def said(text: str | None, nothing: str = "empty") -> Html:
    """A text that a model wrote, cut short, on a ground of its own; `nothing` if it is empty."""
    if text is None or not text:
        return tag("div", tag("em", nothing), attributes={"class": "said"})
    shown = "\n".join(text[:LONGEST].split("\n")[:MOST_LINES])
    left = len(text) - len(shown)
    more = tag("em", f" … and {left:,} more characters") if left else Html("")
    return tag("div", tag("bdi", shown), more, attributes={"class": "said"})


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table whose rows begin with their name; on a narrow screen it scrolls in its own frame."""
    head = [tag("th", *_unbroken(column), attributes={"scope": "col"}) for column in columns]
    body = [
        tag(
            "tr",
            tag("th", row[0], attributes={"scope": "row"}),
            *[tag("td", cell) for cell in row[1:]],
        )
        for row in rows
    ]
    inner = tag(
        "table",
        tag("caption", tag("span", caption)),
        tag("thead", tag("tr", *head)),
        tag("tbody", *body),
    )
    frame = {"class": "frame", "role": "region", "tabindex": "0", "aria-label": caption}
    return tag("div", inner, attributes=frame)


def figure(svg: str, alternative: str, caption: str, lineage: str = "") -> Html:
    """A drawing; `alternative` says in words what it shows, `lineage` which files it is from."""
    drawing = {"class": "drawing", "role": "img", "aria-label": alternative}
    image = tag("div", Html(svg), attributes=drawing)
    made_from = tag("span", lineage, attributes={"class": "lineage"}) if lineage else Html("")
    return tag("figure", image, tag("figcaption", caption, made_from))


def card(title: str, fields: Sequence[tuple[str, str | None]], nothing: str = "empty") -> Html:
    """One example: a text that a model wrote, and what belongs to it, by name."""
    parts = [join(tag("dt", name), tag("dd", _field(value, nothing))) for name, value in fields]
    return tag("article", said(title), tag("dl", *parts), attributes={"class": "card"})


def details(summary: str, *parts: str) -> Html:
    """Parts that open on demand, without a script."""
    return tag("details", tag("summary", summary), *parts)


def section(identity: str, title: str, *parts: str, level: int = 2) -> Html:
    """A section with its heading; `identity` is the target of links to it."""
    heading = tag(f"h{level}", title)
    return tag("section", heading, *parts, attributes={"id": identity})


def navigation(name: str, links: Sequence[tuple[str, str]]) -> Html:
    """Links to sections by (id, name)."""
    items = [tag("a", shown, attributes={"href": f"#{identity}"}) for identity, shown in links]
    return tag("nav", *items, attributes={"aria-label": name})


def page(title: str, lead: str, links: Sequence[tuple[str, str]], *sections: str) -> str:
    """The whole document; `links` are (id, name) of the sections that the top points to."""
    header = tag("header", tag("h1", title), paragraph(lead), navigation("Sections", links))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"{tag('title', title)}\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        f"{header}\n{tag('main', *sections)}\n</body>\n</html>\n"
    )


def _unbroken(heading: str) -> list[Html]:
    """The words of a heading, which may part at spaces and not at hyphens."""
    words = [tag("span", word, attributes={"class": "word"}) for word in heading.split(" ")]
    return [part for word in words for part in (word, Html(" "))][:-1]


def below(name: str) -> Html:
    """The name of a row that belongs to the one above."""
    return tag("span", name, attributes={"class": "below"})


def _field(value: str | None, nothing: str) -> Html:
    return value if isinstance(value, Html) else said(value, nothing)


def _seen(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in INVISIBLE:
        return character
    return f'<span class="code">U+{ord(character):04X}</span>'
