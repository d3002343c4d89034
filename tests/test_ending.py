"""Replies that end early: at one character, whoever writes them, and nothing accepted is lost."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_af.engines.local import LocalEngine
from refine_af.engines.replies import Ending, Engine, Group, Reply
from refine_af.instructions.bootstrapping import Segment
from refine_af.instructions.ending import cut
from refine_af.instructions.pool import Pool, Request
from refine_af.models.backbones import load_backbone, load_tokenizer
from refine_af.prompts.task_lists import decoding, items, loop_end, refusal
from refine_af.records.human_tasks import Seed
from refine_af.settings.instructions import Instructions
from refine_af.workflow.configuration import read_experiment
from test_instructions import bootstrapped, demo_settings, reply, with_
from tiny import tiny_config

__all__ = ["demo_settings"]
SEEDS = [Seed("a", "Name a big river."), Seed("b", "Sort the list of numbers.")]
KNOWN, NEW, OTHER = "Name a big river!", "Tell me about your dog.", "Why is the sky blue?"


def ending_of(rules: Instructions) -> Ending:
    ending = Pool(rules, SEEDS, []).ending()
    assert ending
    return ending


def ended(rules: Instructions, *parts: str) -> str | None:
    """What is left of a reply with these items, or None where it goes on."""
    text = " " + "".join(f"{part}\nTask {10 + n}: " for n, part in enumerate(parts))
    place = ending_of(rules).place(text)
    return None if place is None else text[:place]


@pytest.mark.parametrize(
    ("words", "times", "end"),
    [
        ("a a a b", 3, 3),
        ("a a b a a b a a", 3, None),
        ("a a b a a b a a b", 3, 9),  # "a a b" thrice
        ("x Go go GO go", 4, 5),
        ("a b c d", 2, None),
        ("", 2, None),
    ],
)
def test_a_loop_by_hand(words: str, times: int, end: int | None) -> None:
    assert loop_end(words.split(), times) == end


LONG = "".join(map(chr, range(0x4E00, 0x4E28)))  # 40 letters of Chinese, all different


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("请写一首诗。" * 3, "loop"),
        ("请写一首诗。" * 2, None),
        (f"请写{'诗' * 3}", "loop"),
        (f"{LONG} {LONG} {LONG}", "loop"),  # three words, of more letters than a loop is long
        ("اكتب قصيدة اكتب قصيدة اكتب قصيدة", "loop"),
    ],
)
def test_a_loop_without_spaces_is_refused(
    demo_settings: Instructions, item: str, reason: str | None
) -> None:
    allowed = {"non_ascii": True, "min_words": 1, "max_words": 150}
    assert refusal(item, with_(demo_settings, filter={"loop": 3} | allowed).filter) == reason


def test_two_similar_items_in_a_row_end_a_reply(demo_settings: Instructions) -> None:
    rules = with_(demo_settings, end_after_similar=2, last_item=None)
    both = f" {KNOWN}\nTask 10: {KNOWN}"
    assert ended(rules, KNOWN, KNOWN, NEW) == both
    assert ended(rules, KNOWN, KNOWN) == both
    assert ended(rules, KNOWN, NEW, KNOWN, OTHER) is None, "not in a row"
    assert ended(rules, KNOWN, "Go.", KNOWN, OTHER) is None, "too short is no similar one"
    # The reply's own items count as the pool does: the second and third say the first again.
    assert ended(rules, NEW, NEW, NEW, OTHER) == f" {NEW}\nTask 10: {NEW}\nTask 11: {NEW}"
    assert ended(with_(rules, end_after_similar=3), NEW, NEW, NEW, OTHER) is None
    assert ending_of(rules).place(f" {KNOWN}\nTask 10: {KNOWN}\nTask 11:") is None, "may go on"
    marked = f" {KNOWN}\n**Task 10:** {KNOWN}\n**Task 11:** {NEW}\n"
    assert ending_of(rules).place(marked) == marked.index("\n**Task 11")
    bare = with_(rules, numbering="{number}.")
    text = f" {KNOWN}\n10. {KNOWN} in 3.5\n11. {NEW}"
    assert ending_of(bare).place(text) == text.index("\n11")
    marked = f" {KNOWN}\n**10.** {KNOWN}\n**11.** {NEW}"
    assert ending_of(bare).place(marked) == marked.index("\n**11")


def test_a_loop_ends_a_reply_within_an_item(demo_settings: Instructions) -> None:
    rules = with_(demo_settings, last_item=None, filter={"loop": 3})
    text = f" {NEW}\nTask 10: Say it and say it and say it and say it and say it and say"
    place = ending_of(rules).place(text)
    assert text[:place].endswith("Say it and say it and say it and")
    (kept, _), (looped, whole) = items(text[:place], rules, truncated=False)
    assert (kept, whole, refusal(looped, rules.filter)) == (NEW, True, "loop")
    assert ending_of(rules).place(text[: place or 0]) is None, "its words may be a number's"
    assert ended(rules, "Go go go go") == " Go go go"


def test_nothing_is_asked_where_nothing_ends_a_reply(demo_settings: Instructions) -> None:
    assert Pool(demo_settings, SEEDS, []).ending() is None
    assert cut(reply("a"), None).reply == reply("a")


PIECES = ["\nTask 10:", "\n**Task 11:**", "Task 12 :", " " + KNOWN, " " + NEW, " " + OTHER, "\n"]
PIECES += [" go on", " go", "\n10.", " Task", " 7", "*", ":", " \ufffd"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(PIECES), max_size=25).map("".join),
    st.sampled_from(["Task {number}:", "{number}.", "({number})"]),
    st.sampled_from(["spaced", "exact"]),
    st.sampled_from([None, 1, 2]),
)
def test_what_is_cut_was_not_accepted_and_when_it_is_asked_decides_nothing(
    demo_settings: Instructions, text: str, numbering: str, splitting: str, most: int | None
) -> None:
    changes = {"numbering": numbering, "splitting": splitting, "end_after_similar": most}
    rules = with_(demo_settings, **changes, last_item=None, filter={"loop": 3})
    ending = ending_of(rules)
    found = [ending.place(text[:end]) for end in range(len(text) + 1)]
    places = [place for place in found if place is not None]
    assert len(set(places)) <= 1 and found[len(found) - len(places) :] == places
    whole = reply(text)
    short = cut(whole, ending).reply
    assert cut(short, ending).reply == short
    accepted = [accepted_of(row, rules) for row in (whole, short)]
    assert accepted[1] == accepted[0][: len(accepted[1])]


def accepted_of(row: Reply, rules: Instructions) -> list[str]:
    """What of a reply enters a pool of the seeds."""
    pool = Pool(rules, SEEDS, [])
    for item, whole in items(row.text, rules, truncated=row.finish == "length"):
        if whole and not refusal(item, rules.filter):
            pool.enter(item, Request(0, 0, []), row)
    return [each.instruction for each in pool.machine]


class Heedless:
    """An engine that writes on where another ends a reply, as a server does; counts tokens."""

    loading_s = 0.0
    origin = ""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __call__(
        self, groups: Sequence[Group], seeds: Sequence[int], answered: Collection[int] = ()
    ) -> Iterator[tuple[int, Reply]]:
        return self._engine([replace(group, ending=None) for group in groups], seeds, answered)


def without_counts(made: Segment) -> Segment:
    """A segment without what the engines' ways differ in: tokens written, characters dropped."""
    return replace(
        made,
        instructions=[replace(row, reply_tokens=0) for row in made.instructions],
        rounds=[replace(row, tokens=0, dropped=0) for row in made.rounds],
        carry=replace(made.carry, surplus=[]),
    )


@pytest.fixture(scope="module")
def segments(world: Path) -> tuple[Segment, Segment]:
    """By an engine that ends replies as it writes, and by one that never does."""
    rules = read_experiment(tiny_config(world)).instructions
    changes = {"end_after_similar": 1, "segment_size": 24, "prompts_per_round": 6}
    rules = with_(rules, **changes, filter={"loop": 2}, novelty={"threshold": "0.6"})
    model = load_backbone(world / "llama", quantization="none")
    tokenizer = load_tokenizer(world / "llama")
    engine = LocalEngine(lambda: (model, tokenizer), decoding(rules))
    return bootstrapped(rules, engine), bootstrapped(rules, Heedless(engine))


@pytest.mark.slow
def test_both_engines_make_the_same_pool(segments: tuple[Segment, Segment]) -> None:
    ending, heedless = segments
    assert without_counts(ending) == without_counts(heedless)
    assert any(row.cut and row.unwritten for row in ending.rounds)


def test_what_is_cut_is_not_written_or_is_counted(segments: tuple[Segment, Segment]) -> None:
    ending, heedless = (made.rounds for made in segments)
    assert sum(row.tokens for row in ending) < sum(row.tokens for row in heedless)
    assert sum(row.dropped for row in heedless) > sum(row.dropped for row in ending)
