"""The novelty filter: exact at the threshold, and equal to rouge_score everywhere else."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Literal
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from refine_af.metrics import novelty
from refine_af.metrics.novelty import NoveltyPool, Verdict
from refine_af.words import rouge_tokens, unicode_tokens

TIES: tuple[Literal["reject", "accept"], ...] = ("reject", "accept")
ROUGE = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=False)

few_words = st.lists(st.sampled_from(["a", "b", "c", "Dog", "42"]), max_size=14).map(" ".join)
hostile = st.text(
    st.sampled_from("ab aB\n\t\0.,-_ıİßéЖ中\u0301\u2028\U0001f600\ud800'\"{}<|"), max_size=30
)
texts = st.one_of(few_words, few_words, hostile, st.text(max_size=20))


def lcs(left: list[str], right: list[str]) -> int:
    """The longest common subsequence by the textbook's table."""
    table = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i, j in itertools.product(range(len(left)), range(len(right))):
        both = table[i][j] + 1
        table[i + 1][j + 1] = both if left[i] == right[j] else max(table[i][j + 1], table[i + 1][j])
    return table[-1][-1]


def score(left: str, right: str) -> Fraction:
    a, b = rouge_tokens(left), rouge_tokens(right)
    return Fraction(2 * lcs(a, b), len(a) + len(b)) if a and b else Fraction(0)


@contextmanager
def small_index() -> Iterator[None]:
    """Pools of a few texts grow, and hold common items, as pools of thousands do."""
    with mock.patch.multiple(novelty, ROOM=1, COMMON=0.4):
        yield


def words(*numbers: int) -> str:
    return " ".join(f"w{number}" for number in numbers)


def test_exactly_the_threshold_is_decided_by_the_tie_rule() -> None:
    # 7 shared words in order, 10 words each: 2·7 / 20 is 7/10 exactly.
    known, new = words(*range(10)), words(*range(7), 20, 21, 22)
    rejecting = NoveltyPool([known], threshold="0.7", tie="reject").nearest(new)
    accepting = NoveltyPool([known], threshold="0.7", tie="accept").nearest(new)
    assert (rejecting.accepted, rejecting.reason, rejecting.rouge_l) == (False, "similar", 0.7)
    assert (accepting.accepted, accepting.reason, accepting.rouge_l) == (True, None, 0.7)
    # rouge_score itself says 0.7000000000000001 or 0.7, by how the quotients round.
    assert ROUGE.score(known, new)["rougeL"].fmeasure == pytest.approx(0.7, abs=1e-15)


def test_a_threshold_that_no_float_holds_is_exact() -> None:
    # A score of exactly 7/10 lies below and above thresholds that are 0.7 as floating point.
    known, new = words(*range(10)), words(*range(7), 20, 21, 22)
    above, below = "0.70000000000000000000001", "0.69999999999999999999999"
    assert float(above) == float(below) == 0.7
    assert NoveltyPool([known], threshold=above, tie="reject").nearest(new).accepted
    assert not NoveltyPool([known], threshold=below, tie="accept").nearest(new).accepted


BAD_THRESHOLDS = ["abc", "1.5", "0", "0.00", "-0.7", "", ".7", "7/10", "nan", "7e-1", " 0.7", "٠.٧"]


@pytest.mark.parametrize("threshold", BAD_THRESHOLDS)
def test_a_bad_threshold_is_named(threshold: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"threshold {threshold!r}: not ")):
        NoveltyPool(threshold=threshold)


def test_other_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"threshold 0\.7: not a decimal in quotes"):
        NoveltyPool(threshold=0.7)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tie 'keep': neither 'reject' nor 'accept'"):
        NoveltyPool(tie="keep")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="tokens 'words': neither 'rouge' nor 'unicode'"):
        NoveltyPool(tokens="words")  # type: ignore[arg-type]


@pytest.mark.parametrize(("shared", "accepted"), [(6, True), (7, False), (8, False)])
def test_ten_words_with_some_shared(shared: int, accepted: bool) -> None:
    new = words(*range(shared), *range(100, 110 - shared))
    verdict = NoveltyPool([words(*range(10))]).nearest(new)
    assert verdict.accepted is accepted
    assert verdict.rouge_l == shared / 10


def test_what_shares_words_in_another_order_is_new() -> None:
    # Reversed, the longest common subsequence is one word: 2·1 / 10.
    verdict = NoveltyPool([words(1, 2, 3, 4, 5)]).nearest(words(5, 4, 3, 2, 1))
    assert verdict.accepted
    assert verdict.rouge_l == 0.2


def test_text_without_tokens_is_refused_and_resembles_nothing() -> None:
    pool = NoveltyPool(["?!", "write a poem"])
    for text in ["", "…", "¿?", "напиши стихи"]:
        verdict = pool.offer(text)
        assert (verdict.accepted, verdict.reason) == (False, "no tokens")
        assert (verdict.rouge_l, verdict.nearest) == (0.0, None)
    assert len(pool) == 2
    assert pool.nearest("write a poem").nearest == 1
    assert pool.nearest("sing").nearest == 0, "all at 0: the lowest index"


def test_the_first_text_of_an_empty_pool_enters() -> None:
    pool = NoveltyPool()
    first = pool.offer("Name a river")
    assert (first.accepted, first.nearest, first.rouge_l) == (True, None, 0.0)
    again = pool.offer("name a RIVER!")
    assert (again.accepted, again.nearest, again.rouge_l) == (False, 0, 1.0)
    assert len(pool) == 1


def test_of_equally_near_texts_the_first_is_named() -> None:
    pool = NoveltyPool([words(9, 8), words(1, 2, 3, 4), words(1, 2, 4, 3), words(1, 2, 3, 4)])
    assert pool.nearest(words(1, 2, 3, 4)).nearest == 1
    assert pool.nearest(words(2, 3, 5, 6)).nearest == 1


@pytest.mark.parametrize("turned", [2, 3, 5, 7])
@pytest.mark.parametrize("groups", [1, 2, 3, 11])
def test_a_tie_with_what_shares_more_words_is_found(turned: int, groups: int) -> None:
    # The second text holds all words, each group turned round: one of each group is in order.
    # The first holds as many in order, and no more; both score groups / length.
    length = turned * groups
    shuffled = [start + turned - 1 - i for start in range(0, length, turned) for i in range(turned)]
    half = words(*range(groups), *range(100, 100 + length - groups))
    verdict = NoveltyPool([half, words(*shuffled)]).nearest(words(*range(length)))
    assert (verdict.nearest, verdict.rouge_l) == (0, groups / length)


def test_unicode_words() -> None:
    assert unicode_tokens("Напиши Стихи, Straße!") == ["напиши", "стихи", "strasse"]
    assert unicode_tokens("हिन्दी में") == ["हिन्दी", "में"], "marks belong to their word"
    assert unicode_tokens("写诗 ok") == ["写", "诗", "ok"]
    pool = NoveltyPool(["напиши короткие стихи"], tokens="unicode")
    assert pool.offer("напиши короткие стихи!").reason == "similar"
    assert pool.offer("переведи это предложение").accepted


@given(st.lists(texts, max_size=8), texts, st.sampled_from(["0.7", "0.5", "0.25", "1.0"]))
@settings(max_examples=300)
def test_nearest_is_the_maximum_over_the_pool(known: list[str], new: str, threshold: str) -> None:
    with small_index():
        verdict = NoveltyPool(known, threshold=threshold).nearest(new)
    assert verdict == NoveltyPool(known, threshold=threshold).nearest(new)
    if not rouge_tokens(new):
        assert verdict.reason == "no tokens"
        return
    scores = [score(text, new) for text in known]
    best = max(scores, default=Fraction(0))
    assert verdict.rouge_l == float(best)
    assert verdict.nearest == (scores.index(best) if known else None)
    assert verdict.accepted is (best < Fraction(threshold))


@given(st.lists(texts, max_size=12), st.sampled_from(["0.5", "0.7"]), st.sampled_from(TIES))
@example([words(1, 2), words(1, 3), words(1, 2, 3)], "0.5", "reject")
@example([words(1, 2), words(1, 3), words(1, 2, 3)], "0.5", "accept")
@settings(max_examples=200)
def test_what_is_offered_enters_where_it_is_accepted(
    offered: list[str], threshold: str, tie: Literal["reject", "accept"]
) -> None:
    entered: list[str] = []
    with small_index():
        pool = NoveltyPool(threshold=threshold, tie=tie)
        for text in offered:
            judged, size = pool.nearest(text), len(pool)
            assert len(pool) == size, "nearest only judges"
            assert pool.offer(text) == judged
            highest = max((score(other, text) for other in entered), default=Fraction(0))
            below = highest < Fraction(threshold)
            at = highest == Fraction(threshold) and tie == "accept"
            assert judged.accepted is (bool(rouge_tokens(text)) and (below or at))
            entered += [text] if judged.accepted else []
            assert len(pool) == len(entered)


@given(st.lists(texts, min_size=1, max_size=6), texts)
@settings(max_examples=200)
def test_equals_rouge_score_but_at_exact_ties(known: list[str], new: str) -> None:
    verdict = NoveltyPool(known).nearest(new)
    if verdict.reason == "no tokens":
        assert not rouge_tokens(new)
        return
    check_against_rouge_score(verdict, known, new)


def check_against_rouge_score(
    verdict: Verdict, known: Sequence[str], new: str, scorer: rouge_scorer.RougeScorer = ROUGE
) -> None:
    """Decision, score and neighbour are rouge_score's; an exact tie is left to the tie rule."""
    scores = [scorer.score(text, new)["rougeL"].fmeasure for text in known]
    highest = max(scores)
    assert verdict.rouge_l == pytest.approx(highest, abs=1e-12)
    assert verdict.nearest is not None
    assert scores[verdict.nearest] == pytest.approx(highest, abs=1e-12)
    if abs(highest - 0.7) > 1e-9:
        assert verdict.accepted is (highest < 0.7)
    else:
        assert not verdict.accepted


LONG = {
    "different words": words(*range(1000)),
    "one word a thousand times": words(*[1] * 1000),
    "few words": words(*(place % 7 for place in range(1000))),
}


@pytest.mark.parametrize("name", LONG)
@pytest.mark.parametrize("length", [1, 537, 538, 539, 1000])
def test_a_thousand_words_equal_rouge_score(name: str, length: int) -> None:
    # Of 1,000 words the first 539 score 2·539/1539 = 0.70045, and the first 538 score 0.69961.
    known, new = ["other words", LONG[name]], " ".join(LONG[name].split()[:length])
    verdict = NoveltyPool(known).nearest(new)
    check_against_rouge_score(verdict, known, new)
    assert verdict.rouge_l == 2 * length / (1000 + length)
    assert verdict.accepted is (length < 539)


many_scripts = st.lists(
    st.sampled_from(["напиши", "Стихи", "诗", "写", "ok", "हिन्दी", "σας", "ΣΑΣ", "ไทย", "!?", "٣"]),
    max_size=12,
).map(" ".join)


class UnicodeWords:
    def tokenize(self, text: str) -> list[str]:
        return unicode_tokens(text)


UNICODE_ROUGE = rouge_scorer.RougeScorer(["rougeL"], tokenizer=UnicodeWords())


@given(st.lists(st.one_of(many_scripts, hostile), min_size=1, max_size=6), many_scripts)
@settings(max_examples=150)
def test_other_scripts_equal_rouge_score_over_unicode_tokens(known: list[str], new: str) -> None:
    verdict = NoveltyPool(known, tokens="unicode").nearest(new)
    if verdict.reason == "no tokens":
        assert not unicode_tokens(new)
        return
    check_against_rouge_score(verdict, known, new, UNICODE_ROUGE)


@given(st.text(st.characters(max_codepoint=127)))
def test_both_kinds_of_tokens_agree_on_ascii(text: str) -> None:
    assert unicode_tokens(text) == rouge_tokens(text)


@pytest.fixture(scope="module")
def real_texts() -> list[str]:
    """175 seeds, 252 user-oriented instructions and 119 Super-NI definitions."""
    name = os.environ.get("REFINE_AF_MIRROR")
    if name is None:
        pytest.skip("REFINE_AF_MIRROR names no folder with the real data")
    keys = {
        "seed_tasks.jsonl": ("instruction", 175),
        "user_oriented_instructions.jsonl": ("instruction", 252),
        "superni/task_definitions.jsonl": ("definition", 119),
    }
    found: list[str] = []
    for file, (key, count) in keys.items():
        lines = (Path(name) / file).read_text(encoding="utf-8").splitlines()
        assert len(lines) == count, f"REFINE_AF_MIRROR={name}: {file} holds {len(lines)} lines"
        found += [json.loads(line)[key] for line in lines]
    return found


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150)
def test_edited_real_texts_equal_rouge_score(real_texts: list[str], data: st.DataObject) -> None:
    rng = random.Random(data.draw(st.integers(0, 2**32)))
    known = rng.sample(real_texts, 30)
    edited = rng.choice(known).split()[:120]
    for _ in range(data.draw(st.integers(0, len(edited)))):
        place = rng.randrange(len(edited))
        edited[place : place + 1] = rng.choice([[], ["and"], rng.choice(known).split()[:2]])
        if not edited:
            return
    new = " ".join(edited)
    with small_index():
        check_against_rouge_score(NoveltyPool(known).nearest(new), known, new)


@pytest.mark.slow
def test_a_pool_of_real_texts_equals_rouge_score(real_texts: list[str]) -> None:
    rng = random.Random(0)
    known = real_texts[:427]
    pool, accepted = NoveltyPool(known), 0
    for index in rng.sample(range(427), 60):
        tokens = known[index].split()
        kept = [token for token in tokens if rng.random() < 0.6] or tokens
        verdict = pool.nearest(" ".join(kept))
        check_against_rouge_score(verdict, known, " ".join(kept))
        accepted += verdict.accepted
    assert 15 < accepted < 45, "both decisions are among what was compared"


def test_every_real_text_is_nearest_to_its_first_copy(real_texts: list[str]) -> None:
    pool = NoveltyPool(real_texts)
    tokens = [rouge_tokens(text) for text in real_texts]
    for text, own in zip(real_texts, tokens, strict=True):
        verdict = pool.nearest(text)
        assert (verdict.rouge_l, verdict.nearest) == (1.0, tokens.index(own))


@given(hostile)
def test_tokens_are_those_of_rouge_score(text: str) -> None:
    from rouge_score.tokenize import tokenize

    assert rouge_tokens(text) == tokenize(text, None)


def test_a_pool_of_long_repetitive_and_ordinary_texts_equals_brute_force() -> None:
    rng = random.Random(0)
    lengths = [rng.randint(1, 30) for _ in range(1500)]
    known = [words(*(int(rng.paretovariate(0.6)) for _ in range(length))) for length in lengths]
    known += [words(*([1] * 1000)), words(*range(1000)), words(1)]
    pool = NoveltyPool(known)
    for text in [*rng.sample(known, 15), words(*([1] * 900)), words(*range(0, 1000, 2)), words(1)]:
        new = text + f" w{rng.randrange(50)}"
        tokens = rouge_tokens(new)
        scores = [fast_score(rouge_tokens(other), tokens) for other in known]
        verdict = pool.nearest(new)
        assert verdict.rouge_l == float(max(scores))
        assert verdict.nearest == scores.index(max(scores))


def fast_score(left: list[str], right: list[str]) -> Fraction:
    from rapidfuzz.distance import LCSseq

    return Fraction(2 * LCSseq.similarity(left, right), len(left) + len(right))


def test_more_different_tokens_than_there_are_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(novelty, "LARGEST_CHARACTER", 5)
    pool = NoveltyPool([words(*range(4)), words(*range(3, 12)), words(2, 3)])
    verdict = pool.nearest(words(*range(2, 12)))
    assert (verdict.nearest, verdict.rouge_l) == (1, 18 / 19)
    assert pool.nearest(words(1, 2, 3)).rouge_l == 6 / 7
