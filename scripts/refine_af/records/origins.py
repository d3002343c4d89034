"""What a run begins from, as a rule tells it to a job: names that may be told, and paths."""

from __future__ import annotations

from refine_af.settings.fields import Section


class Origin(Section):
    """A file, a folder or a checkpoint; `path` is None where its name says what is in it."""

    what: str
    name: str
    path: str | None


class Origins(Section):
    """All that a run begins from, in the order of its stages."""

    entries: tuple[Origin, ...]
