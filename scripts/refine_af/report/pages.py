"""A self-contained HTML page from parts, where every text but our own markup is escaped."""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Sequence

from refine_af.report.style import STYLE

LONGEST, MOST_LINES = 400, 8  # of a text that a model wrote
INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}  # control, format, surrogate, unassigned


class Html(str):
    """Markup that is fit for a page; every other text is escaped on its way into one."""


def safe(text: str) -> Html:
    """`text` as markup that shows it: escaped, with characters that cannot be seen named."""
    return text if isinstance(text, Html) else Html("".join(map(_shown, text)))


def join(*parts: str) -> Html:
    return Html("".join(map(safe, parts)))


def tag(name: str, *parts: str, attributes: str = "") -> Html:
    """An element; `attributes` is our own markup."""
    return Html(f"<{name}{' ' if attributes else ''}{attributes}>{join(*parts)}</{name}>")


def paragraph(*sentences: str) -> Html:
    """The sentences that hold something, as one paragraph."""
    return tag("p", Html(" ".join(safe(sentence) for sentence in sentences if sentence)))


def said(text: str | None, nothing: str = "empty") -> Html:
    """A text that a model wrote, cut at a sane length, on its own ground; `nothing` if None."""
    if text is None or not text:
        return tag("div", tag("em", nothing), attributes='class="said"')
    shown = "\n".join(text[:LONGEST].split("\n")[:MOST_LINES])
    left = len(text) - len(shown)
    more = tag("em", f" … and {left:,} more characters") if left else Html("")
    return tag("div", tag("bdi", shown), more, attributes='class="said"')


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Html:
    """A table whose rows begin with their name; on a narrow screen it scrolls in its own frame."""
    head = [tag("th", column, attributes='scope="col"') for column in columns]
    body = [
        tag(
            "tr",
            tag("th", row[0], attributes='scope="row"'),
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
    label = html.escape(caption, quote=True)
    return tag(
        "div", inner, attributes=f'class="frame" role="region" tabindex="0" aria-label="{label}"'
    )


def figure(svg: str, alternative: str, caption: str) -> Html:
    """A drawing; `alternative` says in words what it shows."""
    label = html.escape(alternative, quote=True)
    image = tag("div", Html(svg), attributes=f'class="drawing" role="img" aria-label="{label}"')
    return tag("figure", image, tag("figcaption", caption))


def card(title: str, fields: Sequence[tuple[str, str | None]], nothing: str = "empty") -> Html:
    """One example: a text that a model wrote, and what belongs to it, by name."""
    parts = [join(tag("dt", name), tag("dd", _field(value, nothing))) for name, value in fields]
    return tag("article", said(title), tag("dl", *parts), attributes='class="card"')


def details(summary: str, *parts: str) -> Html:
    """Parts that open on demand, without a script."""
    return tag("details", tag("summary", summary), *parts)


def section(identity: str, title: str, *parts: str, level: int = 2) -> Html:
    heading = tag(f"h{level}", title)
    return tag("section", heading, *parts, attributes=f'id="{html.escape(identity, quote=True)}"')


def page(title: str, lead: str, links: Sequence[tuple[str, str]], *sections: str) -> str:
    """The whole document; `links` are (id, name) of the sections that the top points to."""
    items = [
        tag("a", name, attributes=f'href="#{html.escape(identity, quote=True)}"')
        for identity, name in links
    ]
    navigation = tag("nav", *items, attributes='aria-label="Sections"')
    header = tag("header", tag("h1", title), paragraph(lead), navigation)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\">\n"
        f"{tag('title', title)}\n<style>\n{STYLE}</style>\n</head>\n<body>\n"
        f"{header}\n{tag('main', *sections)}\n</body>\n</html>\n"
    )


def _field(value: str | None, nothing: str) -> Html:
    return value if isinstance(value, Html) else said(value, nothing)


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in INVISIBLE:
        return html.escape(character, quote=True)
    return f'<span class="code">U+{ord(character):04X}</span>'
