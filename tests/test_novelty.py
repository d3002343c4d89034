"""The novelty filter: exact at the threshold, and equal to rouge_score everywhere else."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from refine_af import novelty
from refine_af.novelty import NoveltyPool, rouge_tokens, unicode_tokens

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


def test_unicode_words() -> None:
    assert unicode_tokens("Напиши Стихи, Straße!") == ["напиши", "стихи", "strasse"]
    assert unicode_tokens("हिन्दी में") == ["हिन्दी", "में"], "marks belong to their word"
    assert unicode_tokens("写诗 ok") == ["写", "诗", "ok"]
    pool = NoveltyPool(["напиши короткие стихи"], tokens="unicode")
    assert pool.offer("напиши короткие стихи!").reason == "similar"
    assert pool.offer("переведи это предложение").accepted


@given(st.lists(texts, max_size=8), texts, st.sampled_from(["0.7", "0.5", "0.25", "1.0"]))
@settings(max_examples=300, deadline=None)
def test_nearest_is_the_maximum_over_the_pool(known: list[str], new: str, threshold: str) -> None:
    verdict = NoveltyPool(known, threshold=threshold).nearest(new)
    if not rouge_tokens(new):
        assert verdict.reason == "no tokens"
        return
    scores = [score(text, new) for text in known]
    best = max(scores, default=Fraction(0))
    assert verdict.rouge_l == float(best)
    assert verdict.nearest == (scores.index(best) if known else None)
    assert verdict.accepted is (best < Fraction(threshold))


@given(st.lists(texts, min_size=1, max_size=6), texts)
@settings(max_examples=200, deadline=None)
def test_equals_rouge_score_but_at_exact_ties(known: list[str], new: str) -> None:
    verdict = NoveltyPool(known).nearest(new)
    if verdict.reason == "no tokens":
        assert not rouge_tokens(new)
        return
    highest = max(ROUGE.score(text, new)["rougeL"].fmeasure for text in known)
    assert verdict.rouge_l == pytest.approx(highest, abs=1e-12)
    if abs(highest - 0.7) > 1e-9:
        assert verdict.accepted is (highest < 0.7)


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
