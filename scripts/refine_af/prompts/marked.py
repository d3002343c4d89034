"""A prompt's text, which knows what of it the operator wrote and what filled a slot."""

from __future__ import annotations

from collections.abc import Iterable

Span = tuple[int, int]


class Marked(str):
    """A text of which the spans `own` are the operator's: there a special token's name is one.

    All else filled a slot, and so is any plain `str`: what a person or a model wrote is text
    through and through. As with markupsafe's Markup, what str's other methods give is plain.
    `begun` says that a chat template wrote its beginning: no begin token goes before it.
    """

    own: tuple[Span, ...]
    begun: bool

    def __new__(cls, text: str, own: Iterable[Span] = (), *, begun: bool = False) -> Marked:
        made = super().__new__(cls, text)
        made.own, made.begun = tuple(own), begun
        return made

    def __add__(self, other: str) -> Marked:
        return _joined(self, other)

    def __radd__(self, other: str) -> Marked:
        return _joined(other, self)

    def lstrip(self, chars: str | None = None) -> Marked:
        return self.cut(len(self) - len(super().lstrip(chars)), len(self))

    def rstrip(self, chars: str | None = None) -> Marked:
        return self.cut(0, len(super().rstrip(chars)))

    def cut(self, start: int, end: int) -> Marked:
        """The text from one place to another, with what is the operator's there."""
        own = ((max(a, start) - start, min(b, end) - start) for a, b in self.own)
        return Marked(
            str(self)[start:end],
            (span for span in own if span[0] < span[1]),
            begun=self.begun and start == 0,
        )


def own(text: str) -> Marked:
    """A text that the operator wrote, all of it."""
    return Marked(text, [(0, len(text))] if text else [])


def marked(text: str) -> Marked:
    """A text as it is, or a plain one as what filled a slot."""
    return text if isinstance(text, Marked) else Marked(text)


def _joined(first: str, second: str) -> Marked:
    left, right = marked(first), marked(second)
    moved = [(start + len(left), end + len(left)) for start, end in right.own]
    spans = list(left.own)
    if spans and moved and spans[-1][1] == moved[0][0]:  # a name may stand across the seam
        spans[-1] = (spans[-1][0], moved.pop(0)[1])
    return Marked(str.__add__(left, right), [*spans, *moved], begun=left.begun)
