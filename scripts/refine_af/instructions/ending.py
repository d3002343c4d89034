"""Where a reply of stage 1 is ended early: its items only say again what is there, or one loops."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache

from refine_af.engines.replies import Ending, Reply
from refine_af.metrics.novelty import NoveltyPool
from refine_af.prompts.task_lists import item_ends, items, loop_end, refusal
from refine_af.settings.instructions import Instructions

WORD = re.compile(r"\S+(?=\s)")  # one that has ended


def early_ending(settings: Instructions, pool: NoveltyPool) -> Ending | None:
    """What ends the replies of a round, for which `pool` stands still; None where nothing does."""
    if settings.end_after_similar is None and settings.filter.loop is None:
        return None
    last = settings.numbering.rstrip()[-1]
    return Ending("\n" if last == "}" else last, _Judge(settings, pool).place)


@dataclass(frozen=True)
class CutReply:
    """A reply as far as its ending lets it go, and how many characters followed."""

    reply: Reply
    dropped: int


def cut(reply: Reply, ending: Ending | None) -> CutReply:
    """A reply of any engine, ended where one that asks as it writes ends it."""
    if ending is None or reply.finish == "cut":
        return CutReply(reply, 0)
    place = ending.place(reply.text)
    if place is None:
        return CutReply(reply, 0)
    text = reply.text[:place]
    return CutReply(replace(reply, text=text, finish="cut"), len(reply.text) - place)


class _Judge:
    """Judges replies by the pool as it stood, and keeps each verdict until the round is over."""

    def __init__(self, settings: Instructions, pool: NoveltyPool) -> None:
        self._settings = settings
        # A reply is asked about again and again as it grows: what has ended in it stays the same.
        self._ended_loop, self._ended_run = cache(self._loop), cache(self._says_nothing_new)
        self._in_pool = cache(lambda item: pool.nearest(item).reason == "similar")
        # So many words can begin a number, and are then none of the item before it.
        self._number = len(settings.numbering.replace("{number}", " 1 ").split())

    def place(self, text: str) -> int | None:
        """Where the first loop of an item, or run of similar ones, ends in a reply; or None."""
        start = 0
        for end in item_ends(text, self._settings):
            if (place := self._ended_loop(text[start:end] + "\n")) is not None:
                return start + place
            if self._ended_run(text[:end]):
                return end
            start = end
        words = list(WORD.finditer(text, start))[: -self._number]
        place = self._loop(text[start : words[-1].end() + 1]) if words else None
        return None if place is None else start + place

    def _loop(self, item: str) -> int | None:
        """Where in an item its words have been said too often."""
        if not (times := self._settings.filter.loop):
            return None
        found = list(WORD.finditer(item))
        end = loop_end((word[0] for word in found), times)
        return found[end - 1].end() if end else None

    def _says_nothing_new(self, text: str) -> bool:
        """Whether the last items of a reply's beginning are similar, as many as end it."""
        rules, run = self._settings.novelty, 0
        if not (most := self._settings.end_after_similar):
            return False
        own = NoveltyPool(threshold=rules.threshold, tie=rules.tie, tokens=rules.tokens)
        for item, _ in items(text, self._settings, truncated=False):
            run = run + 1 if self._is_similar(item, own) else 0
        return run >= most

    def _is_similar(self, item: str, own: NoveltyPool) -> bool:
        """Whether an item is similar to the pool, or to those before it that are not."""
        if refusal(item, self._settings.filter):
            return False
        return self._in_pool(item) or own.offer(item).reason == "similar"
